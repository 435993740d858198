from __future__ import annotations

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource, cluster_main, run_main
from hypothesis import given
from hypothesis import strategies as st

from operators.cascade import Cascade, CascadeSettings, cascade
from operators.detect import DetectSettings
from operators.difference import DifferenceSettings
from records import FrameBatch, Stage, Verdict, VerdictBatch
from tests.support.pictures import TENTH_NS, Brightness, frames, person_at

SETTINGS = CascadeSettings(DifferenceSettings(threshold=8.0, hold_seconds=100), DetectSettings(4))


def test_quiet_frames_copy_the_earlier_answer() -> None:
    verdicts = Cascade(SETTINGS, Brightness()).on_batch(frames([10, 11, 20, 20])).verdicts
    assert verdicts == (
        Verdict("gate", 0, 0, Stage.REFERENCE, 0.75, person_at(10)),
        Verdict("gate", 1, TENTH_NS, Stage.DIFFERENCE, 1.0, person_at(10), copied_from=0),
        Verdict("gate", 2, 2 * TENTH_NS, Stage.REFERENCE, 0.75, person_at(20)),
        Verdict("gate", 3, 3 * TENTH_NS, Stage.DIFFERENCE, 0.0, person_at(20), copied_from=2),
    )


def test_copies_reach_over_batches() -> None:
    one = Cascade(SETTINGS, Brightness())
    one.on_batch(frames([10, 20]))
    (verdict,) = one.on_batch(frames([20], start=2)).verdicts
    assert (verdict.copied_from, verdict.answer) == (1, person_at(20))


def test_an_empty_answer_is_copied_too_and_scores_nothing() -> None:
    verdicts = Cascade(SETTINGS, Brightness()).on_batch(frames([0, 0])).verdicts
    assert [(v.stage, v.score, len(v.answer)) for v in verdicts] == [
        (Stage.REFERENCE, 0.0, 0),
        (Stage.DIFFERENCE, 0.0, 0),
    ]


def test_without_a_difference_detector_the_reference_decides_all() -> None:
    detector = Brightness()
    verdicts = Cascade(CascadeSettings(None), detector).on_batch(frames([10, 10])).verdicts
    assert [v.stage for v in verdicts] == [Stage.REFERENCE] * 2
    assert detector.batches == [2]


@given(
    st.lists(st.lists(st.integers(0, 40), min_size=1, max_size=6), min_size=1, max_size=5),
    st.floats(0, 200),
)
def test_every_frame_gets_one_verdict_however_it_is_batched(
    chunks: list[list[int]], threshold: float
) -> None:
    settings = CascadeSettings(DifferenceSettings(threshold=threshold), DetectSettings(2))
    levels = [level for chunk in chunks for level in chunk]
    whole = Cascade(settings, Brightness()).on_batch(frames(levels)).verdicts
    one, start = Cascade(settings, Brightness()), 0
    parts: list[Verdict] = []
    for chunk in chunks:
        parts += one.on_batch(frames(chunk, start=start)).verdicts
        start += len(chunk)
    assert tuple(parts) == whole
    assert [verdict.sequence for verdict in whole] == list(range(len(levels)))
    for verdict in whole:
        source = verdict.sequence if verdict.copied_from is None else verdict.copied_from
        assert verdict.answer == person_at(levels[source])


def run_flow(batches: list[FrameBatch], workers: int) -> dict[str, list[Verdict]]:
    flow = Dataflow("test")
    items = op.input("in", flow, TestingSource([(b.stream, b) for b in batches], batch_size=2))
    out: list[tuple[str, VerdictBatch]] = []
    op.output("out", cascade("cascade", items, SETTINGS, Brightness()), TestingSink(out))
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
        stream: list(Cascade(SETTINGS, Brightness()).on_batch(frames(all_, stream=stream)).verdicts)
        for stream, all_ in levels.items()
    }
    assert run_flow(batches, workers) == want
