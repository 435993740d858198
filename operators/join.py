"""Joins a camera's verdicts with what other sensors measured at the same event time.

Each verdict is paired with the output of each of its sensors that is nearest in event time, within
a tolerance; of two that are equally near, the earlier. One output may serve several verdicts, since
sensors run at rates of their own. A verdict waits until the sensor's event time shows that nothing
nearer will come, and never longer than the wait: then its moment goes on without that output, which
`operators.assertions.missing_partner` tells; so a dead sensor is a finding and stalls nothing.
Verdicts leave once each, in their order.
"""

from __future__ import annotations

import bisect
from collections import Counter
from dataclasses import replace
from operator import itemgetter

import bytewax.operators as op
from bytewax.dataflow import operator
from bytewax.operators import KeyedStream
from typing_extensions import override

from operators.assertions.api import Moment, MomentBatch
from operators.assertions.health.watch import health_of
from operators.join_settings import (
    LATE,
    OVERFLOW,
    JoinSettings,
    JoinState,
    Sensed,
    SensorBatch,
)
from operators.keyed import KeyedLogic
from records import Estimate, EventKind, Reading, RecordError, StreamEvent, Verdict, VerdictBatch


class Join(KeyedLogic[VerdictBatch | SensorBatch, MomentBatch, JoinState]):
    """The join of one camera.

    Args:
        settings: Who belongs together, and how long is waited.
        resume: The state to go on from; None at a new start.
    """

    def __init__(self, settings: JoinSettings, resume: JoinState | None = None) -> None:
        state = resume or JoinState()
        self._settings = settings
        self._waiting = list(state.waiting)
        self._held = {sensor: list(outputs) for sensor, outputs in state.held.items()}
        self._reached = dict(state.reached_ns)
        self._now, self._gone = state.now_ns, state.gone_ns
        self._findings = list(state.findings)
        self._ended = state.ended

    @override
    def on_item(self, item: VerdictBatch | SensorBatch) -> MomentBatch | None:
        """Take verdicts or outputs of a sensor; the moments of verdicts that wait no more.

        Raises:
            RecordError: the sensor is no partner of the camera.
        """
        left: list[Moment] = []
        reports: tuple[Estimate | StreamEvent, ...]
        if isinstance(item, VerdictBatch):
            self._findings += item.findings
            self._ended |= item.ended
            for verdict in item.verdicts:
                self._waiting.append(verdict)
                self._now = max(self._now, verdict.time_ns)
                left += self._release(item.stream)
            reports = item.reports
        else:
            left, reports = self._take(item)
        return MomentBatch(item.stream, tuple(left), reports) if left or reports else None

    @override
    def snapshot(self) -> JoinState:
        """What waits and what is held."""
        held = {sensor: tuple(outputs) for sensor, outputs in self._held.items()}
        return JoinState(
            tuple(self._waiting),
            held,
            dict(self._reached),
            self._now,
            self._gone,
            tuple(self._findings),
            self._ended,
        )

    @override
    def flush(self) -> MomentBatch | None:
        """Let all verdicts go, with what there is: nothing more will come."""
        if not self._waiting:
            return None
        stream = self._waiting[0].stream
        left = tuple(self._joined(stream) for _ in range(len(self._waiting)))
        ended = (StreamEvent(stream, left[-1].time_ns, EventKind.ENDED),) if self._ended else ()
        return MomentBatch(stream, left, ended)

    def _take(self, item: SensorBatch) -> tuple[list[Moment], tuple[StreamEvent, ...]]:
        if item.sensor not in self._settings.partners.get(item.stream, ()):
            raise RecordError(
                f"{item.sensor} must be a partner of {item.stream}, which has "
                f"{', '.join(self._settings.partners.get(item.stream, ())) or 'none'}"
            )
        left: list[Moment] = []
        dropped: Counter[str] = Counter()
        held = self._held.setdefault(item.sensor, [])
        for output in item.outputs:
            time_ns = output.time_ns
            self._reached[item.sensor] = max(self._reached.get(item.sensor, 0), time_ns)
            self._now = max(self._now, time_ns)
            if self._useless(time_ns):
                dropped[LATE] += 1
            else:
                bisect.insort(held, (time_ns, output), key=itemgetter(0))
            if len(held) > self._settings.most_held:
                del held[0]
                dropped[OVERFLOW] += 1
            left += self._release(item.stream)
        return left, tuple(
            StreamEvent(item.sensor, item.outputs[-1].time_ns, EventKind.DROPPED, count, reason)
            for reason, count in sorted(dropped.items())
        )

    def _useless(self, time_ns: int) -> bool:
        """Whether no verdict to come can be near enough."""
        return self._gone is not None and time_ns + self._settings.tolerance_ns < self._gone

    def _release(self, stream: str) -> list[Moment]:
        """The verdicts that need not or must not wait any longer."""
        left = []
        while self._waiting and (
            len(self._waiting) > self._settings.most_waiting or self._ready(stream)
        ):
            left.append(self._joined(stream))
        return left

    def _ready(self, stream: str) -> bool:
        verdict = self._waiting[0]
        if self._now - verdict.time_ns >= self._settings.wait_ns:
            return True
        for sensor in self._settings.partners.get(stream, ()):
            near = self._nearest(sensor, verdict.time_ns)
            ahead = self._reached.get(sensor, 0) - verdict.time_ns
            if near is None and ahead <= self._settings.tolerance_ns:
                return False
            if near is not None and ahead < abs(near.time_ns - verdict.time_ns):
                return False
        return True

    def _joined(self, stream: str) -> Moment:
        """Let the oldest verdict go, and forget the outputs that only it could use."""
        verdict = self._waiting.pop(0)
        sensors = self._settings.partners.get(stream, ())
        found = [(sensor, self._nearest(sensor, verdict.time_ns)) for sensor in sensors]
        self._gone = max(self._gone or 0, verdict.time_ns)
        for held in self._held.values():
            while held and self._useless(held[0][0]):
                del held[0]
        moment = health_of(Moment.of(verdict), self._findings)
        self._findings = [one for one in self._findings if one.sequence > verdict.sequence]
        inputs = {sensor: one for sensor, one in found if isinstance(one, Reading)}
        outputs = {
            sensor: one.answer if isinstance(one, Verdict) else one
            for sensor, one in found
            if one is not None and not isinstance(one, Reading)
        }
        return replace(
            moment, inputs={**moment.inputs, **inputs}, outputs={**moment.outputs, **outputs}
        )

    def _nearest(self, sensor: str, time_ns: int) -> Sensed | None:
        """The output nearest in time and within the tolerance; the earlier of two."""
        held = self._held.get(sensor, [])
        place = bisect.bisect_left(held, time_ns, key=itemgetter(0))
        near = held[max(place - 1, 0) : place + 1]
        if not near:
            return None
        when, output = min(near, key=lambda pair: abs(pair[0] - time_ns))
        return output if abs(when - time_ns) <= self._settings.tolerance_ns else None


@operator
def join(
    step_id: str,
    cameras: KeyedStream[VerdictBatch],
    sensors: KeyedStream[tuple[Sensed, ...]],
    settings: JoinSettings,
) -> KeyedStream[MomentBatch]:
    """Join the verdicts of each camera with the outputs of its sensors.

    Args:
        step_id: Unique.
        cameras: Verdicts, keyed by camera.
        sensors: Outputs, keyed by sensor; those of sensors that are no partner are not used.
        settings: Who belongs together, and how long is waited.
    """
    cameras_of: dict[str, list[str]] = {}
    for camera, partners in settings.partners.items():
        for sensor in partners:
            cameras_of.setdefault(sensor, []).append(camera)

    def addressed(item: tuple[str, tuple[Sensed, ...]]) -> list[tuple[str, SensorBatch]]:
        sensor, outputs = item
        return [
            (camera, SensorBatch(camera, sensor, outputs)) for camera in cameras_of.get(sensor, ())
        ]

    outputs = op.flat_map("addressed", sensors, addressed)
    both: KeyedStream[VerdictBatch | SensorBatch] = op.merge("both", cameras, outputs)
    return op.stateful_batch("join", both, lambda resume: Join(settings, resume).as_bytewax())
