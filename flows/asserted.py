"""Assertions in a dataflow: verdicts are watched, corrected, and what is found becomes alerts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import bytewax.operators as op

from operators.assertions.agree import context_of
from operators.assertions.api import Moment, MomentBatch
from operators.assertions.correction import CorrectorSettings, correct
from operators.assertions.health.watch import Relayed, health_of
from operators.assertions.monitor import Monitored, MonitorSettings, monitor
from operators.false_alarms import FalseAlarmSettings, odds_e_value
from operators.finding_episode_settings import EpisodeSettings
from operators.finding_episodes import finding_episodes
from records import EventKind, StreamEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bytewax.operators import KeyedStream

    from flows.assertions import Assertions
    from operators.alerting import AlertOrigin
    from operators.finding_episode_settings import FindingAlerts
    from operators.severity import SeverityCalibration
    from records import Finding, Record, VerdictBatch

BEYOND_DOUBT = 1e12
"""The evidence of findings without a calibration: the promise on false alarms is not about them."""

SUREST = 1 - 1e-9
"""The highest probability that is taken as evidence."""


@dataclass(frozen=True, slots=True)
class Asserted:
    """What assertions make of verdicts.

    Attributes:
        verdicts: The verdicts, corrected where that is asked for.
        monitored: What was found, calibrated, by stream.
        records: Findings, alerts, and what there is to say of the assertions, by stream.
    """

    verdicts: KeyedStream[VerdictBatch]
    monitored: KeyedStream[Monitored]
    records: list[KeyedStream[list[Record]]]


def assert_on(
    decided: KeyedStream[VerdictBatch],
    assertions: Assertions,
    origin: AlertOrigin,
    moments: KeyedStream[MomentBatch] | None = None,
) -> Asserted:
    """Run the assertions on the verdicts of each stream.

    Args:
        decided: The verdicts, tracked, with what was found of their frames.
        assertions: The assertions.
        origin: What stands behind the alerts.
        moments: Their moments, where sensors were joined; None where there are no sensors.
    """
    if moments is None:
        moments = op.map_value("moments", decided, moments_of)
    found = found_in("answer", moments, assertions, origin)
    section = assertions.section
    if not section.correct:
        return Asserted(decided, found.monitored, found.records)
    asked = CorrectorSettings(section.correct, section.hold_seconds)
    sure = op.map_value(
        "sure", found.monitored, partial(_sure, assertions.calibration, section.correct)
    )
    corrected = correct("corrections", decided, sure, asked)
    return Asserted(corrected, found.monitored, found.records)


@dataclass(frozen=True, slots=True)
class Found:
    """What assertions found.

    Attributes:
        monitored: The findings, calibrated, by stream.
        records: Findings, alerts, and what there is to say of the assertions, by stream.
    """

    monitored: KeyedStream[Monitored]
    records: list[KeyedStream[list[Record]]]


def found_in(
    step: str, moments: KeyedStream[MomentBatch], assertions: Assertions, origin: AlertOrigin
) -> Found:
    """Run the assertions on the moments of each stream, and tell of what they find.

    Args:
        step: What the names of the steps begin with.
        moments: The moments.
        assertions: The assertions.
        origin: What stands behind the alerts.
    """
    section = assertions.section
    every = (*(Relayed(name) for name in sorted(assertions.health_names)), *assertions.outputs)
    settings = MonitorSettings(assertions.health_names, most_failures=section.most_failures)
    monitored = monitor(f"{step}_assertions", moments, every, settings)
    monitored = op.map_value(
        f"{step}_calibrated", monitored, partial(_calibrated, assertions.calibration)
    )
    records = [op.filter_map_value(f"{step}_findings", monitored, _records)]
    if section.alerts is not None:
        alerting = op.map_value(f"{step}_alerting", monitored, partial(_only, assertions.alerting))
        settled = episode_settings(assertions)
        told = finding_episodes(f"{step}_alerts", alerting, settled, origin, evidence(assertions))
        records.append(op.filter_map_value(f"{step}_changes", told, _alerts))
    return Found(monitored, records)


def moments_of(batch: VerdictBatch) -> MomentBatch:
    """The moments of verdicts, each with what was found of its frame."""
    moments = [health_of(Moment.of(verdict), batch.findings) for verdict in batch.verdicts]
    reports = batch.reports
    if batch.ended:
        last_ns = batch.verdicts[-1].time_ns if batch.verdicts else 0
        reports = (*reports, StreamEvent(batch.stream, last_ns, EventKind.ENDED))
    return MomentBatch(batch.stream, tuple(moments), reports)


def episode_settings(assertions: Assertions) -> EpisodeSettings:
    """How findings are gathered into episodes. Inhibition is the monitor's."""
    alerts = assertions.section.alerts
    assert alerts is not None, "asked only where findings alert"
    values = alerts.model_dump(exclude={"only", "false_alarms_per_day"})
    per_day = alerts.false_alarms_per_day
    control = None if per_day is None else FalseAlarmSettings(per_day)
    return EpisodeSettings(**values, false_alarms=control)


def evidence(assertions: Assertions) -> Callable[[Finding], float]:
    """The evidence of a finding, from its calibrated probability and how often that was so."""
    rates: dict[str, float] = {}
    for (name, _), curves in assertions.calibration.curves.items():
        bins = curves.model_wrong.bins
        count = sum(one.n for one in bins)
        if count:
            rate = sum(one.n * one.probability for one in bins) / count
            rates[name] = max(rates.get(name, 0.0), rate)

    def of(finding: Finding) -> float:
        rate = rates.get(finding.assertion)
        if finding.model_wrong is None or rate is None:
            return BEYOND_DOUBT
        return odds_e_value(min(finding.model_wrong, SUREST), min(max(rate, 1 - SUREST), SUREST))

    return of


def _calibrated(calibration: SeverityCalibration, item: Monitored) -> Monitored:
    if not item.findings or not calibration.curves:
        return item
    known = tuple(calibration.apply(one, context_of(one)) for one in item.findings)
    return replace(item, findings=known)


def _sure(
    calibration: SeverityCalibration, least_right: Mapping[str, float], item: Monitored
) -> Monitored:
    """Only the findings whose corrections are surely right, just as evaluations apply them."""
    sure = tuple(
        one
        for one in item.findings
        if one.assertion in least_right
        and calibration.surely_right(one, least_right[one.assertion], context_of(one))
    )
    return replace(item, findings=sure)


def _only(names: frozenset[str], item: Monitored) -> Monitored:
    return replace(item, findings=tuple(one for one in item.findings if one.assertion in names))


def _records(item: Monitored) -> list[Record] | None:
    return [*item.findings, *item.reports] or None


def _alerts(told: FindingAlerts) -> list[Record] | None:
    return list(told.alerts) or None
