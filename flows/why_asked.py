"""What a run was asked to tell: the rules and assertions of its manifest's configuration.

Nothing of it is run: files of assertions are not loaded, and what else the configuration names need
not be there any more.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from connectors.log_manifest import MANIFEST_NAME
from flows.assertions import Assertions, read_calibration
from flows.build import count_rule
from flows.config import AlertSection, AssertionsSection
from flows.config.document import mapping, read_document
from operators.assertions.health.watch import Relayed
from operators.severity import SeverityCalibration
from records import LogError, RecordError

if TYPE_CHECKING:
    from pathlib import Path

    from connectors.replay import EventLog
    from operators.alerting import CountRule
    from records import Verdict

_TELLING = ("alerts", "assertions")
"""The sections that say what is told."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a run was asked to tell.

    Attributes:
        rules: The rules that count.
        assertions: The section of assertions; None for none.
        calibration: The probabilities of findings, read anew for their evidence.
        streams: The streams as they were written, by name.
        notes: What could not be read, for people.
    """

    rules: tuple[CountRule, ...] = ()
    assertions: AssertionsSection | None = None
    calibration: SeverityCalibration = field(default_factory=SeverityCalibration)
    streams: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def health_names(self) -> tuple[str, ...]:
        """The names of the checks of the input."""
        return () if self.assertions is None else tuple(self.assertions.health)

    @property
    def known(self) -> Assertions | None:
        """The assertions without those of one's own, only to be asked about; None for none."""
        return self._with(())

    def alerts(self, assertion: str) -> bool:
        """Whether the findings of an assertion may alert."""
        known = self._with((assertion,))
        return known is not None and assertion in known.alerting

    def rule(self, name: str) -> CountRule | None:
        """The rule of a name; None if there is none."""
        return next((rule for rule in self.rules if rule.name == name), None)

    def _with(self, names: tuple[str, ...]) -> Assertions | None:
        if self.assertions is None:
            return None
        health = tuple(Relayed(name) for name in self.health_names)
        outputs = tuple(Relayed(name) for name in names if name not in self.health_names)
        return Assertions(self.assertions, health, outputs, self.calibration)


def read_asked(log: EventLog, configuration_sha256: str = "") -> Asked:
    """Read what a run was asked to tell.

    Args:
        log: The run's log.
        configuration_sha256: The configuration that is meant, of those that the run had; the first
            one where it had none such.

    Raises:
        LogError: the manifest's configuration is none that this release can read.
    """
    text = log.manifest.text_of(configuration_sha256) or log.manifest.configuration
    document = read_document(text, MANIFEST_NAME, os.environ)
    if document.value is None:
        raise _unreadable(log, str(document.faults[0]))
    for fault in document.faults:
        if fault.key.partition(".")[0].partition("[")[0] in _TELLING:
            raise _unreadable(log, str(fault))
    found = document.value
    try:
        alerts = [AlertSection.model_validate(one) for one in found.get("alerts") or ()]
        section = found.get("assertions")
        asserted = None if section is None else AssertionsSection.model_validate(section)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise _unreadable(log, f"{first['loc'][0]}: {first['msg']}") from error
    calibration, notes = _calibration(log, asserted)
    return Asked(
        tuple(count_rule(one) for one in alerts),
        asserted,
        calibration,
        mapping(found.get("streams")),
        notes,
    )


def places(log: EventLog) -> tuple[Path, ...]:
    """Where relative paths of the configuration may count from: a run is usually in runs/."""
    run_dir = log.run_dir.resolve()
    return run_dir.parent.parent, run_dir.parent


def boxes_counted(rule: CountRule, verdict: Verdict) -> tuple[int, list[float]]:
    """How many boxes of a verdict the rule counts, and the scores of those that are too low."""
    scores = verdict.answer.of_classes([rule.class_name]).scores
    low = scores < rule.score_at_least
    return int((~low).sum()), sorted(scores[low].tolist(), reverse=True)


def _calibration(
    log: EventLog, section: AssertionsSection | None
) -> tuple[SeverityCalibration, tuple[str, ...]]:
    """The calibration, needed only to replay a promise on false alarms."""
    nothing = SeverityCalibration()
    if section is None or section.alerts is None or section.alerts.false_alarms_per_day is None:
        return nothing, ()
    if section.calibration is None:
        return nothing, ()
    problem = "cannot be found"
    for place in places(log):
        path = place / section.calibration
        if path.is_file():
            try:
                return read_calibration(path), ()
            except RecordError as error:
                problem = str(error)
    note = f"the calibration {section.calibration} {problem}: false_alarms_per_day is left out"
    return nothing, (note,)


def _unreadable(log: EventLog, problem: str) -> LogError:
    return LogError(
        f"{log.run_dir} has a configuration that this release cannot read: {problem}; look at it "
        f"in {MANIFEST_NAME}"
    )
