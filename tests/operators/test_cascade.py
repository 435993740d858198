from __future__ import annotations

import bytewax.operators as op
import numpy as np
import pytest
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource, cluster_main, run_main
from hypothesis import given
from hypothesis import strategies as st

from operators.cascade import Cascade, CascadeSettings, Models, cascade
from operators.difference import DifferenceSettings
from operators.plan import REFERENCE, Band, Plan
from operators.predicate import Predicate
from records import (
    Detections,
    EventKind,
    FrameBatch,
    RecordError,
    Stage,
    StreamEvent,
    Verdict,
    VerdictBatch,
)
from tests.support.pictures import (
    TENTH_NS,
    Brightness,
    BrightnessScorer,
    SizeScorer,
    coded,
    frames,
    person_at,
    undecodable,
)

QUIET = Plan(difference=DifferenceSettings(threshold=8.0, hold_seconds=100))
PERSON = Predicate("person")


def make(
    plan: Plan, detector: Brightness | None = None, predicate: Predicate | None = PERSON
) -> Cascade:
    settings = CascadeSettings(plan, predicate, batch=4, score_batch=3)
    return Cascade(settings, Models(detector or Brightness(), BrightnessScorer(), SizeScorer()))


def verdicts(one: Cascade, batch: FrameBatch) -> tuple[Verdict, ...]:
    found = one.on_item(batch)
    return () if found is None else found.verdicts


def stages(found: tuple[Verdict, ...]) -> list[tuple[str, bool | None]]:
    return [(verdict.stage.value, verdict.positive) for verdict in found]


def test_quiet_frames_copy_the_earlier_answer() -> None:
    found = verdicts(make(QUIET, predicate=None), frames([10, 11, 20, 20]))
    assert found == (
        Verdict("gate", 0, 0, Stage.REFERENCE, 0.75, person_at(10)),
        Verdict("gate", 1, TENTH_NS, Stage.DIFFERENCE, 1.0, person_at(10), copied_from=0),
        Verdict("gate", 2, 2 * TENTH_NS, Stage.REFERENCE, 0.75, person_at(20)),
        Verdict("gate", 3, 3 * TENTH_NS, Stage.DIFFERENCE, 0.0, person_at(20), copied_from=2),
    )


def test_the_reference_alone_decides_every_frame() -> None:
    detector = Brightness()
    found = verdicts(make(REFERENCE, detector), frames([10, 10, 0]))
    assert stages(found) == [("reference", True), ("reference", True), ("reference", False)]
    assert detector.batches == [3]


def test_frames_between_strides_take_the_last_verdict() -> None:
    detector = Brightness()
    found = verdicts(make(Plan(stride=3), detector), frames([10, 0, 0, 0, 10, 10, 20]))
    assert stages(found) == [
        ("reference", True), ("skip", True), ("skip", True),
        ("reference", False), ("skip", False), ("skip", False), ("reference", True),
    ]  # fmt: skip
    assert [verdict.copied_from for verdict in found] == [None, 0, 0, None, 3, 3, None]
    assert sum(detector.batches) == 3


def test_the_specialised_model_decides_what_it_is_sure_of() -> None:
    detector = Brightness()
    plan = Plan(specialised=Band(0.2, 0.6))
    found = verdicts(make(plan, detector), frames([0, 50, 100, 200, 101]))
    assert stages(found) == [
        ("specialised", False), ("specialised", False), ("reference", True),
        ("specialised", True), ("reference", True),
    ]  # fmt: skip
    assert [len(verdict.answer) for verdict in found] == [0, 0, 1, 0, 1]
    assert found[3].score == pytest.approx(200 / 255)
    assert detector.batches == [2]


def test_the_packet_model_decides_without_pixels() -> None:
    detector = Brightness()
    one = make(Plan(packets=Band(0.2, 0.6)), detector)
    sizes = [0, 900, 400, 100, 900, 900]
    found = verdicts(one, coded(sizes, [undecodable(), undecodable(), 40, undecodable(),
                                        undecodable(), undecodable()]))  # fmt: skip
    # The model looks one frame ahead, so the last frame waits for the next batch.
    assert stages(found) == [
        ("packets", False), ("packets", True), ("reference", True),
        ("packets", False), ("packets", True),
    ]  # fmt: skip
    ended = StreamEvent("gate", 6 * TENTH_NS, EventKind.ENDED)
    rest = verdicts(one, FrameBatch("gate", (), (ended,)))
    assert [(verdict.sequence, verdict.stage.value) for verdict in rest] == [(5, "packets")]
    assert sum(detector.batches) == 1


def test_a_frame_that_cannot_be_decoded_takes_the_last_verdict() -> None:
    found = verdicts(make(REFERENCE), coded([1, 1, 1], [40, undecodable(), 0]))
    assert stages(found) == [("reference", True), ("skip", True), ("reference", False)]
    first = verdicts(make(REFERENCE), coded([1], [undecodable()]))
    assert stages(first) == [("skip", None)]


def test_quiet_against_the_background_is_empty() -> None:
    background = DifferenceSettings(threshold=8.0, against="background", hold_seconds=100)
    one = make(Plan(difference=background))
    first = verdicts(one, frames([0, 40]))
    assert stages(first) == [("reference", False), ("reference", True)]
    assert stages(verdicts(one, frames([1, 40], start=2))) == [
        ("difference", False), ("reference", True),
    ]  # fmt: skip


@pytest.mark.parametrize("against", ["fired", "earlier"])
@given(
    chunks=st.lists(st.lists(st.integers(0, 40), min_size=1, max_size=6), min_size=1, max_size=5),
    threshold=st.floats(0, 200),
    stride=st.integers(1, 3),
)
def test_every_frame_gets_one_verdict_however_it_is_batched(
    against: str, chunks: list[list[int]], threshold: float, stride: int
) -> None:
    difference = DifferenceSettings(threshold=threshold, against=against, earlier_seconds=0.2)  # type: ignore[arg-type]
    plan = Plan(packets=Band(0.1, 0.9), stride=stride, difference=difference,
                specialised=Band(0.05, 0.1))  # fmt: skip
    levels = [level for chunk in chunks for level in chunk]
    sizes = [level * 25 for level in levels]
    end = FrameBatch("gate", (), (StreamEvent("gate", 0, EventKind.ENDED),))
    at_once = make(plan)
    whole = verdicts(at_once, coded(sizes, levels)) + verdicts(at_once, end)
    one, start = make(plan), 0
    parts: tuple[Verdict, ...] = ()
    for chunk in chunks:
        stop = start + len(chunk)
        parts += verdicts(one, coded(sizes[start:stop], chunk, start=start))
        start = stop
    parts += verdicts(one, end)
    assert parts == whole
    assert [verdict.sequence for verdict in whole] == list(range(len(levels)))


def run_flow(batches: list[FrameBatch], workers: int) -> dict[str, list[Verdict]]:
    flow = Dataflow("test")
    items = op.input("in", flow, TestingSource([(b.stream, b) for b in batches], batch_size=2))
    out: list[tuple[str, VerdictBatch]] = []
    models = Models(Brightness())
    decided = cascade("cascade", items, CascadeSettings(QUIET, PERSON), models, lambda _: "0")
    op.output("out", decided, TestingSink(out))
    if workers == 1:
        run_main(flow)
    else:
        cluster_main(flow, [], 0, worker_count_per_proc=workers)
    found: dict[str, list[Verdict]] = {}
    for stream, batch in out:
        found.setdefault(stream, []).extend(batch.verdicts)
    return found


@pytest.mark.parametrize("workers", [1, 2])
def test_the_dataflow_gives_what_the_in_process_cascade_gives(workers: int) -> None:
    levels = {"gate": [10, 11, 20, 20, 21, 30], "till": [5, 5, 5, 90, 90, 5]}
    batches = [
        frames(levels[stream][start : start + 2], stream=stream, start=start)
        for start in (0, 2, 4)
        for stream in levels
    ]
    want = {
        stream: list(verdicts(make(QUIET), frames(all_, stream=stream)))
        for stream, all_ in levels.items()
    }
    assert run_flow(batches, workers) == want


def test_streams_of_a_shard_share_the_calls() -> None:
    detector = Brightness()
    one = make(REFERENCE, detector)
    outs = one.on_items([frames([5, 7]), frames([9, 11], stream="till")])
    assert [batch.stream for batch in outs] == ["gate", "till"]
    assert detector.batches == [4]


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(RecordError, match=r"^batch must be in 1\.\.256 frames, got 0$"):
        CascadeSettings(REFERENCE, batch=0)
    with pytest.raises(RecordError, match="predicate must be given for a plan with a scoring"):
        CascadeSettings(Plan(specialised=Band(0, 1)))
    settings = CascadeSettings(Plan(packets=Band(0, 1)), PERSON)
    with pytest.raises(RecordError, match="stage packets, but its model is missing"):
        Cascade(settings, Models(Brightness()))


def test_no_frames_give_no_verdicts() -> None:
    assert make(QUIET).on_item(FrameBatch("gate", ())) is None
    assert isinstance(Detections.empty().boxes, np.ndarray)
