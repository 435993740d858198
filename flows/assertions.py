"""The assertions of a configuration: made, loaded and checked, with every fault told at once."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field, fields
from functools import partial
from typing import TYPE_CHECKING, Any

from flows.assertions_loading import BUILT_IN, load_entry_point, load_file
from flows.lidar import lidar_assertions
from operators.assertions.health.blocked import Blocked
from operators.assertions.health.clock_skew import ClockSkew
from operators.assertions.health.dark import Dark
from operators.assertions.health.frozen import Frozen
from operators.assertions.health.gap import Gap
from operators.assertions.health.moved import Moved
from operators.severity import SeverityCalibration
from operators.severity_json import calibration_from_json
from records import ConfigurationError, Fault, RecordError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from flows.config import AssertionsSection, LidarSection
    from operators.assertions.api import Assertion

QUIET = frozenset(BUILT_IN) - {"class_change"}
"""The assertions that do not alert unless they are asked to: single boxes are often wrong."""

HEALTH_CHECKS: dict[str, type[Assertion]] = {
    "frozen": Frozen,
    "dark": Dark,
    "blocked": Blocked,
    "moved": Moved,
    "clock_skew": ClockSkew,
    "gap": Gap,
}
"""The checks of frames and their times, by name."""

MOST_CALIBRATION_BYTES = 10_000_000
"""The largest file of a calibration, bytes."""


@dataclass(frozen=True, slots=True)
class Assertions:
    """The assertions of a flow.

    Attributes:
        section: What the configuration says of them.
        health: The checks of the input.
        outputs: The assertions on verdicts.
        calibration: Gives findings their probabilities.
    """

    section: AssertionsSection
    health: tuple[Assertion, ...]
    outputs: tuple[Assertion, ...]
    calibration: SeverityCalibration = field(default_factory=SeverityCalibration)

    @property
    def health_names(self) -> frozenset[str]:
        """The names of the checks of the input, which inhibit the others."""
        return frozenset(each.name for each in self.health)

    @property
    def alerting(self) -> frozenset[str]:
        """The names of the assertions that alert."""
        alerts = self.section.alerts
        if alerts is None:
            return frozenset()
        if alerts.only is not None:
            return frozenset(alerts.only)
        own = {each.name for each in self.outputs} - QUIET
        return self.health_names | own


def load_assertions(
    section: AssertionsSection,
    folder: Path,
    file: str = "",
    lidars: Mapping[str, LidarSection] | None = None,
) -> Assertions:
    """Make the assertions of a section.

    Args:
        section: The section.
        folder: Where its relative paths count from.
        file: The configuration's name, for faults.
        lidars: The LIDARs, with which cameras must agree.

    Raises:
        ConfigurationError: a setting is wrong, a file cannot be loaded, or a name is unknown.
    """
    faults: list[Fault] = []
    health = _built("health", section.health, HEALTH_CHECKS, file, faults)
    outputs = _built("outputs", section.outputs, BUILT_IN, file, faults)
    outputs += lidar_assertions(lidars or {})
    for name in section.files:
        outputs += _loaded(partial(load_file, folder / name, "assertions.files"), faults)
    for name in section.packages:
        outputs += _loaded(partial(load_entry_point, name, "assertions.packages"), faults)
    faults += _name_faults(section, [each.name for each in (*health, *outputs)], file)
    calibration = SeverityCalibration()
    if section.calibration is not None:
        try:
            calibration = read_calibration(folder / section.calibration)
        except RecordError as error:
            key, remedy = "assertions.calibration", "Name one of 'evaluate assertions --save'."
            faults.append(Fault(file, 0, key, section.calibration, str(error), remedy))
    elif section.alerts is not None and section.alerts.false_alarms_per_day is not None:
        key, remedy = "assertions.alerts.false_alarms_per_day", "Add assertions.calibration."
        faults.append(Fault(file, 0, key, "", "needs a calibration", remedy))
    if faults:
        raise ConfigurationError(faults)
    return Assertions(section, tuple(health), tuple(outputs), calibration)


def read_calibration(path: Path) -> SeverityCalibration:
    """Read the calibration of severities that an evaluation saved.

    Raises:
        RecordError: the file cannot be read, or is no calibration.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MOST_CALIBRATION_BYTES + 1)
    except OSError as error:
        raise RecordError(f"cannot be read: {error.strerror}") from error
    if len(data) > MOST_CALIBRATION_BYTES:
        raise RecordError(f"is larger than {MOST_CALIBRATION_BYTES} bytes")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"is no JSON: {error}") from error
    return calibration_from_json(value)


def _built(
    key: str,
    asked: Mapping[Any, dict[str, Any] | None],
    known: Mapping[str, type[Assertion]],
    file: str,
    faults: list[Fault],
) -> list[Assertion]:
    """Make built-in assertions from their settings."""
    made: list[Assertion] = []
    for name, settings in asked.items():
        try:
            made.append(known[name](**settings or {}))
        except (RecordError, TypeError) as error:
            # A setting that there is not, or of another type, is a TypeError of the class.
            problem = " ".join(
                str(error).replace(f"{known[name].__name__}.__init__() ", "").split()
            )
            remedy = f"Its settings are: {', '.join(_settings_of(known[name]))}."
            faults.append(Fault(file, 0, f"assertions.{key}.{name}", "", problem, remedy))
    return made


def _settings_of(assertion: type[Assertion]) -> list[str]:
    return [each.name for each in fields(assertion) if each.init]  # type: ignore[arg-type]  # dataclasses all


def _loaded(load: Callable[[], tuple[Assertion, ...]], faults: list[Fault]) -> list[Assertion]:
    try:
        return list(load())
    except ConfigurationError as error:
        faults += error.faults
        return []


def _name_faults(section: AssertionsSection, known: list[str], file: str) -> list[Fault]:
    """Names that stand twice, and names that stand for nothing."""
    faults = [
        Fault(file, 0, "assertions", name, "two assertions have this name", "Give each its own.")
        for name, count in Counter(known).items()
        if count > 1
    ]
    asked = [("correct", name) for name in section.correct]
    if section.alerts is not None:
        asked += [("alerts.only", name) for name in section.alerts.only or ()]
    remedy = f"Use one of {', '.join(sorted(known))}."
    return faults + [
        Fault(file, 0, f"assertions.{key}", name, "is no assertion here", remedy)
        for key, name in asked
        if name not in known
    ]
