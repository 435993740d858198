from __future__ import annotations

import pickle
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource, run_main
from hypothesis import given
from hypothesis import strategies as st

from operators.assertions import (
    Corrector,
    CorrectorSettings,
    Moment,
    MomentBatch,
    Monitor,
    Monitored,
    MonitorSettings,
)
from operators.assertions.correction import CorrectorState, correct
from operators.assertions.flicker import Flicker
from operators.assertions.monitor import monitor
from records import (
    Correction,
    CorrectionKind,
    EventKind,
    Finding,
    Place,
    RecordError,
    Stage,
    StreamEvent,
    Verdict,
    VerdictBatch,
)
from tests.support.moments import Object, detections
from tests.support.pictures import TENTH_NS

if TYPE_CHECKING:
    from collections.abc import Iterable

SETTINGS = CorrectorSettings({"flicker": 0.0, "appear": 0.75}, hold_seconds=0.3)


def verdict(sequence: int, *objects: Object) -> Verdict:
    time_ns = sequence * TENTH_NS
    return Verdict("gate", sequence, time_ns, Stage.REFERENCE, 0.5, detections(objects))


def batch(*verdicts: Verdict) -> VerdictBatch:
    return VerdictBatch("gate", verdicts)


def looked(sequence: int, *findings: Finding, ended: bool = False) -> Monitored:
    return Monitored("gate", (sequence, sequence * TENTH_NS), findings, ended=ended)


def dropping(
    sequence: int, found_at: int, assertion: str = "flicker", right: float | None = None
) -> Finding:
    """A finding that drops the one box of a frame."""
    place = Place(sequence, sequence * TENTH_NS, (0.0, 0.0, 10.0, 20.0))
    return Finding(
        "gate", assertion, found_at, found_at * TENTH_NS, sequence, sequence * TENTH_NS, 1.0, "",
        correction_right=right, correction=Correction(CorrectionKind.DROP, (place,)),
    )  # fmt: skip


def left(*outs: VerdictBatch | None) -> list[tuple[int, int, tuple[str, ...]]]:
    """Sequence, number of boxes and corrections of the verdicts that left."""
    return [
        (each.sequence, len(each.answer), each.corrected)
        for out in outs
        if out is not None
        for each in out.verdicts
    ]


def test_verdicts_leave_when_the_assertions_have_looked_far_enough() -> None:
    logic = Corrector(SETTINGS)
    assert logic.on_item(batch(*[verdict(k, Object()) for k in range(9)])) is None
    assert left(logic.on_item(looked(4, dropping(1, 4)))) == [(0, 1, ()), (1, 0, ("flicker",))]
    assert left(logic.on_item(looked(5))) == [(2, 1, ())]
    assert left(logic.flush()) == [(k, 1, ()) for k in range(3, 9)]
    assert logic.flush() is None


def test_findings_may_come_before_their_verdicts() -> None:
    logic = Corrector(SETTINGS)
    assert logic.on_item(looked(5, dropping(1, 5))) is None
    out = logic.on_item(batch(*[verdict(k, Object()) for k in range(4)]))
    assert left(out) == [(0, 1, ()), (1, 0, ("flicker",)), (2, 1, ())]


@pytest.mark.parametrize(
    ("finding", "boxes"),
    [
        (dropping(0, 1), 0),
        (dropping(0, 1, "appear", 0.8), 0),
        (dropping(0, 1, "appear", 0.7), 1),
        (dropping(0, 1, "appear"), 1),
        (dropping(0, 1, "multibox", 1.0), 1),
        (replace(dropping(0, 1), correction=None), 1),
    ],
)
def test_only_chosen_and_probable_corrections_are_applied(finding: Finding, boxes: int) -> None:
    logic = Corrector(SETTINGS)
    logic.on_item(batch(verdict(0, Object())))
    logic.on_item(looked(0, finding))
    assert [each[1] for each in left(logic.flush())] == [boxes]


def test_corrections_of_other_outputs_are_left_alone() -> None:
    finding = dropping(0, 1)
    assert finding.correction is not None
    other = replace(finding, correction=replace(finding.correction, output="lidar"))
    assert not SETTINGS.applies(other)
    assert SETTINGS.applies(finding)


def test_a_correction_that_changes_nothing_leaves_no_mark() -> None:
    logic = Corrector(SETTINGS)
    one = verdict(0, Object(x=80.0))
    logic.on_item(batch(one))
    logic.on_item(looked(0, dropping(0, 0)))
    out = logic.flush()
    assert out is not None
    assert out.verdicts[0] is one


def test_several_corrections_of_a_frame_are_all_applied_and_named_once() -> None:
    logic = Corrector(CorrectorSettings({"flicker": 0.0, "multibox": 0.0}))
    logic.on_item(batch(verdict(0, Object(1), Object(2), Object(3, 50.0))))
    findings = [dropping(0, 0), dropping(0, 0, "multibox"), dropping(0, 0, "multibox")]
    logic.on_item(looked(0, *findings))
    assert left(logic.flush()) == [(0, 1, ("flicker", "multibox"))]


def test_what_comes_too_late_is_counted() -> None:
    logic = Corrector(SETTINGS)
    logic.on_item(batch(verdict(0, Object()), verdict(1, Object())))
    assert left(logic.on_item(looked(3))) == [(0, 1, ())]
    late = StreamEvent("gate", 6 * TENTH_NS, EventKind.ASSERTION, 1, "correction_too_late")
    out = logic.on_item(looked(6, dropping(0, 6), dropping(1, 6)))
    assert out == VerdictBatch("gate", (replace(verdict(1), corrected=("flicker",)),), (late,))


def test_the_end_of_a_stream_lets_everything_go_however_it_comes() -> None:
    shown = [verdict(k, Object()) for k in range(3)]
    parts: list[VerdictBatch | Monitored] = [batch(*shown), looked(2, ended=True)]
    for order in (parts, parts[::-1]):
        logic = Corrector(SETTINGS)
        assert left(*[logic.on_item(part) for part in order]) == [(k, 1, ()) for k in range(3)]


def test_a_clock_that_is_set_back_keeps_nothing_waiting() -> None:
    logic = Corrector(SETTINGS)
    back = replace(verdict(1), time_ns=5)
    logic.on_item(batch(verdict(0), back))
    out = logic.on_item(Monitored("gate", (1, 5)))
    assert [each[0] for each in left(out, logic.flush())] == [0, 1]


def test_reports_go_on_at_once() -> None:
    report = StreamEvent("gate", 5, EventKind.CONTRACT, reason="broken")
    out = Corrector(SETTINGS).on_item(VerdictBatch("gate", (verdict(0),), (report,)))
    assert out == VerdictBatch("gate", (), (report,))


def test_only_so_many_verdicts_wait() -> None:
    logic = Corrector(CorrectorSettings({}, most_held=2))
    outs = [logic.on_item(batch(verdict(k))) for k in range(4)]
    assert [each[0] for each in left(*outs)] == [0, 1]


def test_changes_for_frames_that_never_come_are_forgotten() -> None:
    logic = Corrector(SETTINGS)
    logic.on_item(looked(2, dropping(1, 2), dropping(2, 2)))
    logic.on_item(batch(verdict(0), verdict(3)))
    logic.on_item(looked(9))
    assert logic.snapshot() == CorrectorState((), {}, (9, 9 * TENTH_NS), ended=False, left=3)


@st.composite
def interleavings(draw: st.DrawFn) -> list[VerdictBatch | Monitored]:
    """Verdicts and what is found in them, cut into batches and merged in any order."""
    total = draw(st.integers(1, 25))
    cuts = sorted({0, total, *draw(st.lists(st.integers(1, total), max_size=5))})
    ranges = [range(*pair) for pair in pairwise(cuts)]
    verdicts = [batch(*[verdict(k, Object()) for k in each]) for each in ranges]
    found = [
        looked(each[-1], *[dropping(k - 1, k) for k in each if k and k % 3 == 0]) for each in ranges
    ]
    merged: list[VerdictBatch | Monitored] = []
    for first in draw(st.lists(st.booleans(), max_size=2 * len(ranges))):
        side: list[Any] = verdicts if first else found
        if side:
            merged.append(side.pop(0))
    merged += [*verdicts, *found]
    return merged


@given(interleavings(), st.integers(0, 20))
def test_no_verdict_is_lost_or_doubled_whatever_the_order(
    items: list[VerdictBatch | Monitored], cut: int
) -> None:
    logic = Corrector(SETTINGS)
    outs = [logic.on_item(item) for item in items[:cut]]
    logic = Corrector(SETTINGS, pickle.loads(pickle.dumps(logic.snapshot())))
    outs += [logic.on_item(item) for item in items[cut:]]
    total = sum(len(item.verdicts) for item in items if isinstance(item, VerdictBatch))
    dropped = {k - 1 for k in range(1, total) if k % 3 == 0}
    assert left(*outs, logic.flush()) == [
        (k, 0, ("flicker",)) if k in dropped else (k, 1, ()) for k in range(total)
    ]


def flow_of(items: Iterable[VerdictBatch]) -> list[VerdictBatch]:
    """Track-like verdicts through monitor and corrector in a real dataflow."""
    out: list[tuple[str, VerdictBatch]] = []
    flow = Dataflow("correcting")
    verdicts = op.input("in", flow, TestingSource([(each.stream, each) for each in items]))
    moments = op.map_value(
        "moments", verdicts, lambda b: MomentBatch(b.stream, tuple(map(Moment.of, b.verdicts)))
    )
    found = monitor("flicker", moments, [Flicker()], MonitorSettings())
    settings = CorrectorSettings({"flicker": 0.0}, hold_seconds=1.0)
    op.output("out", correct("correct", verdicts, found, settings), TestingSink(out))
    run_main(flow)
    return [each for _, each in out]


def test_a_flicker_is_filled_in_a_dataflow() -> None:
    shown = [verdict(k, *[Object()] * (k not in {4, 5, 14})) for k in range(18)]
    outs = flow_of([batch(*shown[k : k + 3]) for k in range(0, 18, 3)])
    assert left(*outs) == [(k, 1, ("flicker",) if k in {4, 5, 14} else ()) for k in range(18)]


def test_the_monitor_and_the_corrector_agree_without_a_dataflow() -> None:
    watch, logic = Monitor([Flicker()]), Corrector(SETTINGS)
    shown = [verdict(k, *[Object()] * (k != 2)) for k in range(6)]
    outs = [logic.on_item(batch(*shown))]
    moments = MomentBatch("gate", tuple(map(Moment.of, shown)))
    monitored = watch.on_item(moments)
    assert monitored is not None
    outs += [logic.on_item(monitored), logic.flush()]
    assert left(*outs) == [(k, 1, ("flicker",) if k == 2 else ()) for k in range(6)]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"least_right": {"a": 1.5}}, "least_right of a must be in 0..1, got 1.5"),
        (
            {"least_right": {}, "hold_seconds": float("inf")},
            "hold_seconds must be at least 0, got inf",
        ),
        ({"least_right": {}, "most_held": 0}, "most_held must be at least 1, got 0"),
    ],
)
def test_settings_say_what_must_be(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError) as caught:
        CorrectorSettings(**settings)
    assert str(caught.value) == message
