from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import bytewax.operators as op
import numpy as np
import pytest
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource, run_main
from hypothesis import given
from hypothesis import strategies as st

from operators.assertions.api import Moment, MomentBatch
from operators.join import Join, join
from operators.join_settings import JoinSettings, SensorBatch
from records import (
    EventKind,
    Reading,
    RecordError,
    Stage,
    StreamEvent,
    Verdict,
    VerdictBatch,
)
from records.range_boxes import RangeBoxes
from tests.support.sensors import MS, cars, scan, verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SETTINGS = JoinSettings({"gate": ("roof",)}, tolerance_seconds=0.05, wait_seconds=0.5)


def camera(*milliseconds: int, first: int = 0) -> VerdictBatch:
    return VerdictBatch("gate", tuple(verdict(first + k, t) for k, t in enumerate(milliseconds)))


def sensor(*milliseconds: int, name: str = "roof") -> SensorBatch:
    return SensorBatch("gate", name, tuple(scan(t, stream=name) for t in milliseconds))


def pairs(
    batches: Iterable[MomentBatch | None], sensors: Sequence[str] = ("roof",)
) -> list[tuple[int, list[int | None]]]:
    """Each verdict's time with those of its sensors, milliseconds."""
    return [
        (one.time_ns // MS, [_time(one.outputs.get(name)) for name in sensors])
        for batch in batches
        if batch is not None
        for one in batch.moments
    ]


def _time(output: object) -> int | None:
    return output.time_ns // MS if isinstance(output, RangeBoxes) else None


def run(items: Sequence[VerdictBatch | SensorBatch], settings: JoinSettings = SETTINGS) -> list[
    MomentBatch | None
]:  # fmt: skip
    logic = Join(settings)
    return [*(logic.on_item(item) for item in items), logic.flush()]


def test_the_nearest_output_within_the_tolerance_is_taken() -> None:
    found = run([camera(100, 200, 300), sensor(60, 110, 240, 360)])
    assert pairs(found) == [(100, [110]), (200, [240]), (300, [None])]


def test_a_verdict_leaves_as_soon_as_nothing_nearer_can_come() -> None:
    logic = Join(SETTINGS)
    assert logic.on_item(camera(100)) is None
    assert logic.on_item(sensor(80)) is None  # one at 100 would be nearer
    assert pairs([logic.on_item(sensor(120))]) == [(100, [80])]
    assert pairs([logic.on_item(camera(120, first=1))]) == [(120, [120])]


def test_a_dead_sensor_stalls_nothing() -> None:
    logic = Join(SETTINGS)
    left = [pairs([logic.on_item(camera(t, first=t // 100))]) for t in range(0, 900, 100)]
    assert left == [[]] * 5 + [[(t, [None])] for t in (0, 100, 200, 300)]
    assert pairs([logic.flush()]) == [(t, [None]) for t in range(400, 900, 100)]
    assert logic.flush() is None


def test_a_quiet_camera_does_not_hold_back_what_waits() -> None:
    found = run([camera(100), sensor(600, name="floor")], two_sensors())
    assert pairs(found, ("roof", "floor")) == [(100, [None, None])]


def two_sensors() -> JoinSettings:
    return JoinSettings({"gate": ("roof", "floor")}, tolerance_seconds=0.05, wait_seconds=0.5)


def test_each_sensor_is_joined_by_itself() -> None:
    found = run([sensor(95, name="floor"), camera(100), sensor(151), camera(200)], two_sensors())
    assert pairs(found, ("roof", "floor")) == [(100, [None, 95]), (200, [151, None])]


def test_late_outputs_are_counted() -> None:
    logic = Join(SETTINGS)
    # The verdict at 0 waits no more when one comes at 600; that leaves when the sensor is at 700.
    assert pairs([logic.on_item(camera(0, 600))]) == [(0, [None])]
    found = logic.on_item(sensor(700, 0, 20, 560))
    assert pairs([found]) == [(600, [None])]
    assert found is not None
    told = StreamEvent("roof", 560 * MS, EventKind.DROPPED, 2, "sensor_late")
    assert found.reports == (told,)
    # What came out of order but not too late still serves.
    assert pairs([logic.on_item(camera(610, first=2))]) == [(610, [560])]


def test_buffers_are_bounded_and_what_is_dropped_is_told() -> None:
    small = JoinSettings({"gate": ("roof",)}, 0.05, wait_seconds=9, most_waiting=2, most_held=3)
    logic = Join(small)
    found = logic.on_item(sensor(1, 2, 3, 4, 5))
    dropped = StreamEvent("roof", 5 * MS, EventKind.DROPPED, 2, "sensor_overflow")
    assert found == MomentBatch("gate", (), (dropped,))
    assert [one[0] for one in logic.snapshot().held["roof"]] == [3 * MS, 4 * MS, 5 * MS]
    assert pairs([logic.on_item(camera(1000, 1100, 1200, 1300))]) == [
        (1000, [None]),
        (1100, [None]),
    ]
    assert logic.snapshot().held["roof"] == ()


def test_a_camera_without_sensors_waits_for_nothing() -> None:
    alone = VerdictBatch("door", (Verdict("door", 0, 5, Stage.SKIP, 0.0, verdict(0, 0).answer),))
    found = Join(SETTINGS).on_item(alone)
    assert found is not None
    assert found == MomentBatch("door", (Moment.of(alone.verdicts[0]),))


def test_readings_are_inputs_and_boxes_are_outputs() -> None:
    settings = JoinSettings({"gate": ("rain", "side")})
    reading = Reading("rain", 3, 90 * MS, 1.0, np.zeros((1, 1), np.float32), ("mm",), ("mm",))
    seen = replace(verdict(4, 110, cars([(0, 0, 9, 9)])), stream="side")
    found = run(
        [
            SensorBatch("gate", "rain", (reading,)),
            SensorBatch("gate", "side", (seen,)),
            camera(100),
        ],
        settings,
    )
    (moment,) = [one for batch in found if batch for one in batch.moments]
    assert dict(moment.inputs) == {"rain": reading}
    assert dict(moment.outputs) == {"detections": verdict(0, 100).answer, "side": seen.answer}


def test_reports_pass_at_once() -> None:
    event = StreamEvent("gate", 0, EventKind.OPENED)
    found = Join(SETTINGS).on_item(VerdictBatch("gate", (verdict(0, 0),), (event,)))
    assert found == MomentBatch("gate", (), (event,))


def test_a_stranger_is_refused() -> None:
    with pytest.raises(RecordError, match="^floor must be a partner of gate, which has roof$"):
        Join(SETTINGS).on_item(sensor(0, name="floor"))


def test_settings_are_checked() -> None:
    with pytest.raises(RecordError, match="^tolerance_seconds must be at least 0, got -1$"):
        JoinSettings({}, tolerance_seconds=-1)
    with pytest.raises(RecordError, match="^wait_seconds must be at least 0, got inf$"):
        JoinSettings({}, wait_seconds=float("inf"))
    with pytest.raises(RecordError, match="^most_held must be at least 1, got 0$"):
        JoinSettings({}, most_held=0)
    with pytest.raises(RecordError, match="^a sensor must not be named detections, as the camera"):
        JoinSettings({"gate": ("detections",)})
    with pytest.raises(RecordError, match="^partners of gate must be named once, got"):
        JoinSettings({"gate": ("roof", "roof")})


times = st.lists(st.integers(0, 900), min_size=1, max_size=12, unique=True).map(sorted)


def nearest(verdicts: list[int], scans: list[int]) -> list[tuple[int, list[int | None]]]:
    """What a join must give, by looking at everything."""
    best = [min(scans, key=lambda s: (abs(s - t), s), default=None) for t in verdicts]
    return [
        (t, [s if s is not None and abs(s - t) <= 50 else None])
        for t, s in zip(verdicts, best, strict=True)
    ]


@given(times, times, st.data())
def test_nothing_is_lost_or_doubled_however_inputs_interleave(
    verdicts: list[int], scans: list[int], data: st.DataObject
) -> None:
    # No input runs further ahead of the other than the wait: the order of arrival then is nothing.
    patient = JoinSettings({"gate": ("roof",)}, 0.05, wait_seconds=10)
    items: list[VerdictBatch | SensorBatch] = []
    left, right = list(enumerate(verdicts)), list(scans)
    while left or right:
        take = data.draw(st.integers(1, 4))
        if left and (not right or data.draw(st.booleans())):
            now, left = left[:take], left[take:]
            items.append(VerdictBatch("gate", tuple(verdict(k, t) for k, t in now)))
        else:
            several, right = right[:take], right[take:]
            items.append(sensor(*several))
    found = run(items, patient)
    assert pairs(found) == nearest(verdicts, scans)
    assert all(batch is None or batch.reports == () for batch in found)


arrivals = st.lists(
    st.tuples(st.booleans(), st.integers(0, 2000)), min_size=1, max_size=30
)  # whether it is the camera's, and when, in any order


@given(arrivals, st.integers(1, 30))
def test_batches_do_not_matter_and_every_verdict_leaves_once(
    items: list[tuple[bool, int]], size: int
) -> None:
    single = [camera(t, first=k) if mine else sensor(t) for k, (mine, t) in enumerate(items)]
    grouped: list[VerdictBatch | SensorBatch] = []
    for item in single:
        last = grouped[-1] if grouped else None
        if isinstance(item, VerdictBatch) and isinstance(last, VerdictBatch):
            if len(last.verdicts) < size:
                grouped[-1] = VerdictBatch("gate", last.verdicts + item.verdicts)
                continue
        elif isinstance(item, SensorBatch) and isinstance(last, SensorBatch):
            grouped[-1] = SensorBatch("gate", "roof", last.outputs + item.outputs)
            continue
        grouped.append(item)
    one_by_one = run(single)
    assert pairs(run(grouped)) == pairs(one_by_one)
    assert [t for t, _ in pairs(one_by_one)] == [t for mine, t in items if mine]


def scans_of(*milliseconds: int) -> tuple[RangeBoxes, ...]:
    return tuple(scan(t) for t in milliseconds)


def test_the_operator_joins_streams_and_lets_everything_go_at_the_end() -> None:
    out: list[tuple[str, MomentBatch]] = []
    flow = Dataflow("join")
    cameras = op.input("cameras", flow, TestingSource([("gate", camera(0, 100, 200))]))
    sensors = op.input(
        "sensors", flow, TestingSource([("roof", scans_of(10, 110)), ("cellar", scans_of(0))])
    )
    op.output("out", join("join", cameras, sensors, SETTINGS), TestingSink(out))
    run_main(flow)
    assert {key for key, _ in out} == {"gate"}
    assert pairs(batch for _, batch in out) == [(0, [10]), (100, [110]), (200, [None])]
