"""The monitor: a set of assertions at work on each stream.

An assertion that raises harms nobody else: the failure is told once a kind until the assertion
works again, and after too many failures in a row it is switched off. While the input of a model is
at fault, what the model says of it is no news: findings of the other assertions are then held back
and counted.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import bytewax.operators as op
from bytewax.dataflow import operator
from bytewax.operators import KeyedStream
from typing_extensions import override

from operators.assertions.api import REPEAT_SECONDS, Assertion, MomentBatch
from operators.keyed import KeyedLogic
from records import EventKind, Finding, RecordError, StreamEvent
from records.checks import check_name
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from operators.assertions.api import Check, Moment

FAILED = "failed"
"""The reason of an event: an assertion raised."""

DISABLED = "disabled"
"""The reason of an event: an assertion raised too often and is switched off."""

INHIBITED = "inhibited"
"""The reason of an event: findings were held back while the input was at fault."""

LONGEST_ERROR = 200
"""The longest text of an error in an event, characters."""


@dataclass(frozen=True, slots=True)
class MonitorSettings:
    """How assertions are run.

    Attributes:
        inhibited_by: The names of assertions about the input; while one of them finds something,
            the others are held back.
        hold_seconds: An input counts as faulty for this long after the last finding about it,
            seconds of event time; longer than lasting faults take to be told again.
        most_failures: An assertion is switched off after so many failures in a row.

    Raises:
        RecordError: a setting is out of its range.
    """

    inhibited_by: frozenset[str] = frozenset()
    hold_seconds: float = 2 * REPEAT_SECONDS
    most_failures: int = 10

    def __post_init__(self) -> None:
        for name in self.inhibited_by:
            check_name("inhibited_by", name)
        if not REPEAT_SECONDS <= self.hold_seconds < math.inf:
            raise RecordError(
                f"hold_seconds must be at least {REPEAT_SECONDS}, since a fault that lasts is told "
                f"again so often, got {self.hold_seconds}"
            )
        if self.most_failures < 1:
            raise RecordError(f"most_failures must be at least 1, got {self.most_failures}")


@dataclass(frozen=True, slots=True)
class Monitored:
    """What the assertions say of a batch of moments.

    Attributes:
        stream: The stream's name.
        reached: Sequence and event time of the last moment that was looked at.
        findings: What was found, in order.
        reports: Failures of assertions, and how much was held back.
        ended: Whether the stream has ended.
    """

    stream: str
    reached: tuple[int, int]
    findings: tuple[Finding, ...] = ()
    reports: tuple[StreamEvent, ...] = ()
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Failing:
    """An assertion that failed last time.

    Attributes:
        in_a_row: How often since it last worked.
        kinds: The kinds of failure that were told, the names of exceptions.
    """

    in_a_row: int = 0
    kinds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MonitorState:
    """What survives a restart.

    Attributes:
        checks: The snapshot of each assertion's check, by name.
        failing: The assertions that failed last time, by name.
        fault_ns: Event time of the last finding about the input; None where there was none.
        held_back: Findings held back since the fault began, by assertion.
        reached: Sequence and event time of the last moment.
    """

    checks: Mapping[str, object] = field(default_factory=dict)
    failing: Mapping[str, Failing] = field(default_factory=dict)
    fault_ns: int | None = None
    held_back: Mapping[str, int] = field(default_factory=dict)
    reached: tuple[int, int] = (0, 0)


class Monitor(KeyedLogic[MomentBatch, Monitored, MonitorState]):
    """The assertions of one stream.

    Args:
        assertions: The assertions, each with a name of its own.
        settings: How they are run.
        resume: The state to go on from; None at a new start. What it holds of assertions that are
            not among these is forgotten, and those that were switched off get another chance.

    Raises:
        RecordError: two assertions have the same name.
    """

    def __init__(
        self,
        assertions: Sequence[Assertion],
        settings: MonitorSettings | None = None,
        resume: MonitorState | None = None,
    ) -> None:
        self._settings = settings or MonitorSettings()
        names = [each.name for each in assertions]
        if len(set(names)) < len(names):
            raise RecordError(f"assertions must have names of their own, got {', '.join(names)}")
        state = resume or MonitorState()
        about_input = self._settings.inhibited_by
        # Those about the input come first, so that they inhibit at the same moment.
        ordered = sorted(assertions, key=lambda each: each.name not in about_input)
        self._checks: dict[str, Check] = {
            each.name: each.start(state.checks.get(each.name)) for each in ordered
        }
        self._failing = {
            name: one
            for name, one in state.failing.items()
            if name in self._checks and one.in_a_row < self._settings.most_failures
        }
        self._fault_ns = state.fault_ns
        self._held_back = Counter(state.held_back)
        self._reached = state.reached
        self._hold_ns = round(self._settings.hold_seconds * NANOSECONDS)

    @override
    def on_item(self, item: MomentBatch) -> Monitored | None:
        """Run the assertions on a batch; None for a batch without anything."""
        findings: list[Finding] = []
        reports: list[StreamEvent] = []
        for moment in item.moments:
            self._reached = moment.sequence, moment.time_ns
            if self._fault_ns is not None:
                self._fault_ns = min(self._fault_ns, moment.time_ns)  # a clock may be set back
            for name, check in self._checks.items():
                findings += self._run(name, check, moment, reports)
            if self._held_back and not self._faulty(moment.time_ns):
                reports.append(self._count_held_back(item.stream))
        ended = any(
            isinstance(each, StreamEvent) and each.kind is EventKind.ENDED for each in item.reports
        )
        if ended and self._held_back:
            reports.append(self._count_held_back(item.stream))
        if not item.moments and not ended:
            return None
        return Monitored(item.stream, self._reached, tuple(findings), tuple(reports), ended)

    @override
    def snapshot(self) -> MonitorState:
        """The state of every check, and who failed."""
        checks = {name: check.snapshot() for name, check in self._checks.items()}
        return MonitorState(
            checks, dict(self._failing), self._fault_ns, dict(self._held_back), self._reached
        )

    def _run(
        self, name: str, check: Check, moment: Moment, reports: list[StreamEvent]
    ) -> list[Finding]:
        """Let one assertion look at a moment; what it may tell."""
        failing = self._failing.get(name)
        if failing is not None and failing.in_a_row >= self._settings.most_failures:
            return []
        try:
            found = check.observe(moment)
        except Exception as error:  # noqa: BLE001 - a user's function may raise anything; told
            reports += self._fail(name, moment, error)
            return []
        if failing is not None:
            del self._failing[name]
        if found and name in self._settings.inhibited_by:
            self._fault_ns = moment.time_ns
        elif found:
            told = [each for each in found if not self._faulty(each.start_ns)]
            if len(told) < len(found):
                self._held_back[name] += len(found) - len(told)
            return told
        return found

    def _faulty(self, time_ns: int) -> bool:
        """Whether the input was at fault at some time, or after it."""
        return self._fault_ns is not None and time_ns <= self._fault_ns + self._hold_ns

    def _fail(self, name: str, moment: Moment, error: Exception) -> list[StreamEvent]:
        failing = self._failing.get(name, Failing())
        kind = type(error).__name__
        in_a_row = failing.in_a_row + 1
        self._failing[name] = Failing(
            in_a_row, failing.kinds if kind in failing.kinds else (*failing.kinds, kind)
        )
        reports = []
        if kind not in failing.kinds:
            text = " ".join(f"{kind}: {error}".split())[:LONGEST_ERROR]
            reports.append(_event(moment.stream, moment.time_ns, 1, FAILED, f"{name}: {text}"))
        if in_a_row == self._settings.most_failures:
            detail = f"{name}: switched off after {in_a_row} failures in a row"
            reports.append(_event(moment.stream, moment.time_ns, in_a_row, DISABLED, detail))
        return reports

    def _count_held_back(self, stream: str) -> StreamEvent:
        counts, self._held_back = self._held_back, Counter()
        detail = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
        return _event(stream, self._reached[1], counts.total(), INHIBITED, detail)


def _event(stream: str, time_ns: int, count: int, reason: str, detail: str) -> StreamEvent:
    return StreamEvent(stream, time_ns, EventKind.ASSERTION, count, reason, detail)


@operator
def monitor(
    step_id: str,
    up: KeyedStream[MomentBatch],
    assertions: Sequence[Assertion],
    settings: MonitorSettings,
) -> KeyedStream[Monitored]:
    """Run the assertions on the moments of each stream."""
    return op.stateful_batch(
        "monitor", up, lambda resume: Monitor(assertions, settings, resume).as_bytewax()
    )
