"""Machines that plans are made for: devices, the links between them, and what a runtime adds.

FlexFlow, section 3: a device topology has devices as nodes and connections, each with a bandwidth
and a latency, as edges. Here links are of three levels, as in the clusters that are planned for:
within a switch, within a node, and between nodes.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from records import RecordError

if TYPE_CHECKING:
    from collections.abc import Mapping

LinkId = tuple[str, int, int]
"""Which link: its level and two numbers. Transfers with the same id take turns."""

MOST_MACHINE_DEVICES = 4096
"""The most devices of a machine."""


@dataclass(frozen=True, slots=True)
class Device:
    """One device.

    Attributes:
        name: Its name.
        memory_bytes: Its memory, bytes.
        node: The node that it is in, from 0.
        switch: The switch of the node that it is at, from 0.
        kind: Devices of one kind compute equally fast.
        flops: Its peak, floating-point operations a second.
        memory_bytes_per_second: Its memory's bandwidth, bytes a second.
        launch_seconds: What starting an operator takes at least, seconds.

    Raises:
        RecordError: a value is out of range.
    """

    name: str
    memory_bytes: int
    node: int = 0
    switch: int = 0
    kind: str = "processor"
    flops: float = 5e10
    memory_bytes_per_second: float = 8e9
    launch_seconds: float = 1e-5

    def __post_init__(self) -> None:
        if type(self.memory_bytes) is not int or self.memory_bytes < 1:
            raise RecordError(f"memory_bytes must be at least 1, got {self.memory_bytes!r}")
        for name in ("node", "switch"):
            if type(getattr(self, name)) is not int or getattr(self, name) < 0:
                raise RecordError(f"{name} must be at least 0, got {getattr(self, name)!r}")
        for name in ("flops", "memory_bytes_per_second"):
            _check_positive(name, getattr(self, name))
        _check_not_negative("launch_seconds", self.launch_seconds)


@dataclass(frozen=True, slots=True)
class Link:
    """The connections of one level.

    Attributes:
        bytes_per_second: Bandwidth of one connection, bytes a second.
        latency_seconds: What each message takes beside its bytes, seconds.
        shared: Whether all devices of the level's group (a switch, a node, or a node's network
            adapter) send over one connection, one message at a time; else each pair has its own.

    Raises:
        RecordError: a value is out of range.
    """

    bytes_per_second: float
    latency_seconds: float
    shared: bool = False

    def __post_init__(self) -> None:
        _check_positive("bytes_per_second", self.bytes_per_second)
        _check_not_negative("latency_seconds", self.latency_seconds)

    def seconds(self, n_bytes: int) -> float:
        """What a message takes."""
        return self.latency_seconds + n_bytes / self.bytes_per_second


@dataclass(frozen=True, slots=True)
class Runtime:
    """What a runtime without overlap adds to its operators, as `calibrate` finds it.

    Such a runtime walks through one tape on every device (see `tape`): a transfer keeps both of
    its ends busy, and each waits for the other.

    Attributes:
        message_seconds: For each message, seconds.
        bytes_per_second: Bandwidth of messages, bytes a second.
        memory_bytes_per_second: At which exchanges copy and add up, and parameters are updated,
            bytes a second.
        stage_seconds: For each operator, forward and again backward, on every device, seconds.
        part_seconds: For each part, forward and again backward, seconds.
        step_seconds: For each step, seconds.
        compute_factor: What operators take in a step, over what they take alone in a loop.
        alone_factor: What an operator takes while all other devices wait, over what it takes
            while all compute; at most 1.

    Raises:
        RecordError: a value is out of range.
    """

    message_seconds: float = 1e-4
    bytes_per_second: float = 1e9
    memory_bytes_per_second: float = 4e9
    stage_seconds: float = 3e-5
    part_seconds: float = 3e-5
    step_seconds: float = 2e-4
    compute_factor: float = 1.0
    alone_factor: float = 0.9

    def __post_init__(self) -> None:
        for field in fields(self):
            _check_positive(field.name, getattr(self, field.name))
        if self.alone_factor > 1:
            raise RecordError(f"alone_factor must be at most 1, got {self.alone_factor}")


@dataclass(frozen=True, slots=True)
class Machine:
    """Devices and the links between them.

    Attributes:
        name: Its name.
        devices: Its devices.
        links: The links by level: "switch", "node" and "network".
        runtime: What the runtime adds, where transfers block devices; None for the machine of the
            paper, whose links work by themselves while devices compute.

    Raises:
        RecordError: there are no devices or too many, or a level is missing.
    """

    name: str
    devices: tuple[Device, ...]
    links: Mapping[str, Link]
    runtime: Runtime | None = None

    def __post_init__(self) -> None:
        if not 1 <= len(self.devices) <= MOST_MACHINE_DEVICES:
            raise RecordError(
                f"a machine must have 1..{MOST_MACHINE_DEVICES} devices, got {len(self.devices)}"
            )
        if set(self.links) != set(LEVELS):
            raise RecordError(f"links must be given for {list(LEVELS)}, got {sorted(self.links)}")

    @property
    def overlap(self) -> bool:
        """Whether devices compute while links transfer."""
        return self.runtime is None

    def transfer_seconds(self, src: int, dst: int, n_bytes: int) -> float:
        """What a message takes on a free link, seconds; 0 from a device to itself."""
        return 0.0 if src == dst else self.links[self._level(src, dst)].seconds(n_bytes)

    def link(self, src: int, dst: int) -> LinkId:
        """The link of a message; messages on one link take turns."""
        level = self._level(src, dst)
        if not self.links[level].shared:
            return (level, src, dst)
        giver = self.devices[src]
        return (level, giver.node, giver.switch if level == "switch" else 0)

    def _level(self, src: int, dst: int) -> str:
        giver, taker = self.devices[src], self.devices[dst]
        if giver.node != taker.node:
            return "network"
        return "switch" if giver.switch == taker.switch else "node"


LEVELS = ("switch", "node", "network")
"""The levels of links."""


def this_machine(ranks: int, runtime: Runtime | None = None) -> Machine:
    """The machine that this runs on, with processes as devices: see `ranks`.

    Args:
        ranks: How many.
        runtime: What `calibrate` found; None for typical values.

    Raises:
        RecordError: there are too many ranks or none.
    """
    if type(ranks) is not int or not 1 <= ranks <= MOST_MACHINE_DEVICES:
        raise RecordError(f"ranks must be in 1..{MOST_MACHINE_DEVICES}, got {ranks!r}")
    runtime = runtime or Runtime()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // ranks
    devices = tuple(
        Device(f"rank {rank}", memory, memory_bytes_per_second=runtime.memory_bytes_per_second)
        for rank in range(ranks)
    )
    link = Link(runtime.bytes_per_second, runtime.message_seconds)
    return Machine("this machine", devices, dict.fromkeys(LEVELS, link), runtime)


def _check_positive(name: str, value: float) -> None:
    if isinstance(value, bool) or not 0 < value < math.inf:
        raise RecordError(f"{name} must be above 0 and finite, got {value!r}")


def _check_not_negative(name: str, value: float) -> None:
    if isinstance(value, bool) or not 0 <= value < math.inf:
        raise RecordError(f"{name} must be at least 0 and finite, got {value!r}")
