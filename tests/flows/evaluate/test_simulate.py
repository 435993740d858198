from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.evaluate.simulate import STAGES, decoded, simulate
from operators.cascade import Cascade, CascadeSettings, Models
from operators.difference import DifferenceSettings
from operators.plan import REFERENCE, Band, Plan
from operators.predicate import Predicate
from records import EventKind, FrameBatch, RecordError, StreamEvent, Verdict
from tests.support.pictures import Brightness, BrightnessScorer, SizeScorer, coded
from tests.support.tables import flat_table

bands = st.one_of(
    st.none(),
    st.tuples(st.floats(0, 1), st.floats(0, 1)).map(lambda pair: Band(min(pair), max(pair))),
)
differences = st.one_of(
    st.none(),
    st.builds(
        DifferenceSettings,
        threshold=st.floats(0, 300),
        hold_seconds=st.sampled_from([0.3, 100.0]),
        against=st.sampled_from(["fired", "earlier"]),
        earlier_seconds=st.just(0.2),
    ),
)
plans = st.builds(
    Plan, packets=bands, stride=st.integers(1, 4), difference=differences, specialised=bands
)


def run(plan: Plan, levels: list[int], sizes: list[int]) -> list[Verdict]:
    models = Models(Brightness(), BrightnessScorer(), SizeScorer())
    one = Cascade(CascadeSettings(plan, Predicate("person")), models)
    end = FrameBatch("gate", (), (StreamEvent("gate", 0, EventKind.ENDED),))
    outs = one.on_items([coded(sizes, levels), end])
    return [verdict for batch in outs for verdict in batch.verdicts]


@given(
    plan=plans,
    frames=st.lists(st.tuples(st.integers(0, 255), st.integers(0, 1000)), min_size=1, max_size=30),
)
def test_a_simulation_gives_what_the_cascade_gives(
    plan: Plan, frames: list[tuple[int, int]]
) -> None:
    levels, sizes = [level for level, _ in frames], [size for _, size in frames]
    outcome = simulate(plan, flat_table(levels, sizes))
    verdicts = run(plan, levels, sizes)
    assert [STAGES[stage] for stage in outcome.stages] == [verdict.stage for verdict in verdicts]
    assert outcome.positive.tolist() == [bool(verdict.positive) for verdict in verdicts]
    assert outcome.counts.reference == sum(v.stage == "reference" for v in verdicts)


def test_counts_of_a_plan_with_every_stage() -> None:
    levels = [0, 0, 50, 50, 51, 200, 0, 0]
    sizes = [500, 500, 500, 500, 500, 500, 10, 10]
    plan = Plan(Band(0.1, 0.9), 1, DifferenceSettings(4.0, hold_seconds=100), Band(0.1, 0.5))
    counts = simulate(plan, flat_table(levels, sizes)).counts
    assert (counts.frames, counts.packets, counts.lumas) == (8, 8, 6)
    assert (counts.specialised, counts.reference) == (3, 1)
    assert (counts.keyframes, counts.others) == (2, 4)


def test_the_reference_alone_is_right() -> None:
    table = flat_table([0, 9, 0, 200], [1, 1, 1, 1])
    outcome = simulate(REFERENCE, table)
    assert outcome.positive.tolist() == table.truth.tolist()
    assert outcome.counts.reference == 4


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.data())
def test_decoding_is_counted_as_a_walk_through_the_groups(
    keys: list[bool], data: st.DataObject
) -> None:
    keyframe = np.array([True, *keys[1:]])
    wanted = sorted(data.draw(st.sets(st.integers(0, len(keys) - 1))))
    seen: set[int] = set()
    for place in wanted:
        start = max(k for k in range(place + 1) if keyframe[k])
        seen |= set(range(start, place + 1))
    keyframes = sum(bool(keyframe[k]) for k in seen)
    assert decoded(keyframe, np.array(wanted, np.int64)) == (keyframes, len(seen) - keyframes)


def test_what_is_missing_is_said() -> None:
    table = flat_table([0, 1], [1, 1]).with_scores()
    with pytest.raises(RecordError, match="no scores for the stage packets"):
        simulate(Plan(packets=Band(0, 1)), table)
    with pytest.raises(RecordError, match="no grey images of 10x10 pixels"):
        simulate(Plan(difference=DifferenceSettings(width=10, height=10)), table)
    with pytest.raises(RecordError, match="a background cannot be simulated"):
        simulate(Plan(difference=DifferenceSettings(against="background")), table)
