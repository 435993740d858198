"""A user's own machine from a YAML file.

::

    name: lab
    nodes: 2        # computers
    switches: 1     # in each node
    devices: 4      # at each switch
    device:
      kind: A4000
      memory_bytes: 17179869184
      flops: 19.2e12
      memory_bytes_per_second: 448e9
      launch_seconds: 5e-6
    links:          # switch: at one switch; node: in one node; network: between nodes
      switch: {bytes_per_second: 16e9, latency_seconds: 1e-5}
      node: {bytes_per_second: 16e9, latency_seconds: 1e-5, shared: true}
      network: {bytes_per_second: 1.25e9, latency_seconds: 5e-5, shared: true}
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from models.soap.machine import LEVELS, MOST_MACHINE_DEVICES, Device, Link, Machine
from records import ConfigurationError, Fault, RecordError
from records.checks import MOST_BRACKETS, deepest_brackets

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Made = TypeVar("Made")

MOST_FILE_BYTES = 65_536
"""The largest file that describes a machine, bytes."""

_TOP = {"name": str, "nodes": int, "switches": int, "devices": int, "device": dict, "links": dict}
_DEVICE = {
    "kind": str,
    "memory_bytes": int,
    "flops": float,
    "memory_bytes_per_second": float,
    "launch_seconds": float,
}
_LINK = {"bytes_per_second": float, "latency_seconds": float, "shared": bool}
_MOST_BITS = 1000
_OPTIONAL = frozenset({"launch_seconds", "shared"})
_WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false",
          dict: "a mapping"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class MachineFile:
    """Equal nodes of equal switches of equal devices.

    Attributes:
        name: The machine's name.
        nodes: How many nodes.
        switches: Switches in each node.
        devices: Devices at each switch.
        device: One of them.
        links: The links by level.

    Raises:
        RecordError: a count is out of range, or there are too many devices.
    """

    name: str
    nodes: int
    switches: int
    devices: int
    device: Device
    links: Mapping[str, Link]

    def __post_init__(self) -> None:
        for field in ("nodes", "switches", "devices"):
            value = getattr(self, field)
            if type(value) is not int or not 1 <= value <= MOST_MACHINE_DEVICES:
                raise RecordError(f"{field} must be in 1..{MOST_MACHINE_DEVICES}, got {value!r}")
        total = self.nodes * self.switches * self.devices
        if total > MOST_MACHINE_DEVICES:
            raise RecordError(
                f"a machine must have at most {MOST_MACHINE_DEVICES} devices, got {total}"
            )


def build(description: MachineFile) -> Machine:
    """The machine that a description tells of."""
    devices = tuple(
        replace(description.device, name=f"{node}.{switch}.{place}", node=node, switch=switch)
        for node in range(description.nodes)
        for switch in range(description.switches)
        for place in range(description.devices)
    )
    return Machine(description.name, devices, description.links)


def read_machine(path: Path) -> Machine:
    """Read a machine from a YAML file.

    Raises:
        ConfigurationError: the file cannot be read or is wrong; the error names line and key.
    """
    top = _Section(path, "", _load(path))
    values = top.read(_TOP)
    device = _Section(path, "device", values["device"])
    links = _Section(path, "links", values["links"])
    each = links.read(dict.fromkeys(LEVELS, dict))
    found = {}
    for level in LEVELS:
        link = _Section(path, f"links.{level}", each[level])
        found[level] = link.make(Link, link.read(_LINK))
    made = device.make(Device, {"name": "device", **device.read(_DEVICE)})
    described = top.make(MachineFile, {**values, "device": made, "links": found})
    return build(described)


@dataclass(frozen=True, slots=True)
class _Section:
    """A mapping of the file, and where it stands."""

    path: Path
    key: str
    value: CommentedMap

    def read(self, wanted: Mapping[str, type]) -> dict[str, Any]:
        """The values, when all keys are there, known and of their type."""
        faults = [
            self._fault(key, self.value[key], "is not known", f"Known are {list(wanted)}.")
            for key in self.value
            if key not in wanted
        ]
        values = {}
        for key, kind in wanted.items():
            if key not in self.value:
                if key not in _OPTIONAL:
                    faults.append(self._fault(key, None, "is missing", f"Give {_WORDS[kind]}."))
                continue
            value = _plain(self.value[key])
            if kind is float and type(value) is int:
                value = float(value)
            values[key] = value
            fits = isinstance(value, kind) and isinstance(value, bool) == (kind is bool)
            if not fits:
                faults.append(
                    self._fault(key, value, "has the wrong type", f"Give {_WORDS[kind]}.")
                )
        if faults:
            raise ConfigurationError(faults)
        return values

    def make(self, kind: type[Made], values: Mapping[str, Any]) -> Made:
        """A checked object of the values."""
        try:
            return kind(**values)
        except RecordError as error:
            fault = Fault(
                str(self.path), self.value.lc.line + 1, self.key, "", str(error), "Mend the value."
            )
            raise ConfigurationError([fault]) from error

    def _fault(self, key: object, value: object, problem: str, remedy: str) -> Fault:
        line = self.value.lc.key(key)[0] if key in self.value else self.value.lc.line
        shown = "" if value is None else repr(_plain(value))[:60]
        name = str(_plain(key))
        dotted = f"{self.key}.{name}" if self.key else name
        return Fault(str(self.path), line + 1, dotted, shown, problem, remedy)


def _plain(value: object) -> object:
    """A scalar without what the reader of YAML adds to it; what no float holds is infinite."""
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        return math.inf
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value


def _load(path: Path) -> CommentedMap:
    try:
        with path.open("rb") as file:
            data = file.read(MOST_FILE_BYTES + 1)
        # What is too large is read as nothing, and refused below.
        text = data.decode("utf-8") if len(data) <= MOST_FILE_BYTES else ""
        nested = deepest_brackets(text) > MOST_BRACKETS
        value = YAML(typ="rt").load("" if nested else text)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise ConfigurationError([_whole(path, f"is no YAML: {error.problem}", line)]) from error
    except (OSError, YAMLError, ValueError, TypeError, LookupError, AttributeError,
            RecursionError) as error:  # fmt: skip
        # The parser raises plain Python errors for some broken keys and tags.
        raise ConfigurationError([_whole(path, f"cannot be read: {error}")]) from error
    if len(data) > MOST_FILE_BYTES:
        raise ConfigurationError([_whole(path, f"is larger than {MOST_FILE_BYTES} bytes")])
    if nested:
        raise ConfigurationError([_whole(path, "is nested too deeply")])
    if not isinstance(value, CommentedMap):
        raise ConfigurationError([_whole(path, "must be a mapping")])
    return value


def _whole(path: Path, problem: str, line: int = 0) -> Fault:
    return Fault(
        str(path), line, "", "", problem, "See the example in models/soap/machine_file.py."
    )
