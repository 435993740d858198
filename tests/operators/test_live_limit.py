from __future__ import annotations

from typing import TYPE_CHECKING, Any

import bytewax.operators as op
import numpy as np
import pytest
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource, run_main
from hypothesis import given
from hypothesis import strategies as st

from operators.live_limit import LiveFound, LiveLimit, LiveLimitSettings, LiveModels, live_limit
from operators.live_selection import Selection, SelectionSettings
from operators.predicate import Predicate
from records import Frame, FrameBatch, RecordError, Stage, Verdict
from records.units import NANOSECONDS
from tests.support.observed import steady
from tests.support.pictures import (
    TENTH_NS,
    Brightness,
    BrightnessScorer,
    frames,
    person_at,
    undecodable,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

SECOND = SelectionSettings(3600, apart_seconds=0)
"""A call each second."""

MINUTE = SelectionSettings(60)
"""A call each minute."""


def models(scorer: BrightnessScorer | None = None) -> LiveModels:
    return LiveModels(Predicate("person").holds, Brightness(60), scorer)


def found(sequence: int, level: int) -> Verdict:
    return Verdict(
        "gate", sequence, sequence * TENTH_NS, Stage.REFERENCE, 0.75, person_at(level),
        positive=True,
    )  # fmt: skip


def run(search: LiveLimit, levels: list[int], batch: int = 7) -> list[LiveFound]:
    outs = [
        search.on_item(frames(levels[k : k + batch], start=k)) for k in range(0, len(levels), batch)
    ]
    return [out for out in outs if out is not None]


def test_what_is_found_was_verified_and_is_apart() -> None:
    settings = LiveLimitSettings(3, SECOND, gap_seconds=5)
    outs = run(LiveLimit(settings, models()), [90] * 400)
    verdicts = [verdict for out in outs for verdict in out.verdicts]
    assert verdicts == [found(verdict.sequence, 90) for verdict in verdicts]
    assert np.diff([verdict.sequence for verdict in verdicts]).min() >= 50
    assert [(out.found, out.done) for out in outs] == [(1, False), (2, False), (3, True)]


def test_frames_in_a_gap_cost_no_calls() -> None:
    detector = Brightness()
    settings = LiveLimitSettings(2, SECOND, gap_frames=200)
    search = LiveLimit(settings, LiveModels(Predicate("person").holds, detector))
    outs = run(search, [90] * 400)
    assert [(out.found, out.calls) for out in outs] == [(1, 1), (2, 2)]
    assert sum(detector.batches) == 2


def test_frames_that_cannot_be_decoded_are_told() -> None:
    bad = tuple(Frame("gate", k, k * TENTH_NS, undecodable()) for k in range(30))
    search = LiveLimit(LiveLimitSettings(1, SECOND), models(BrightnessScorer()))
    out = search.on_item(FrameBatch("gate", bad))
    assert out is not None
    assert (out.verdicts, out.calls, out.done) == ((), 0, False)
    assert out.unanswered == pytest.approx(3, abs=1)


def test_a_dataflow_searches_each_stream() -> None:
    out: list[tuple[str, LiveFound]] = []
    flow = Dataflow("limit")
    items = [(stream, frames([90] * 50, stream=stream)) for stream in ("gate", "till")]
    up = op.input("in", flow, TestingSource(items))
    search = live_limit("limit", up, LiveLimitSettings(1, SECOND), models())
    op.output("out", search, TestingSink(out))
    run_main(flow)
    assert [(key, one.stream, one.found, one.done) for key, one in out] == [
        ("gate", "gate", 1, True),
        ("till", "till", 1, True),
    ]


def street(hours: int, seed: int) -> NDArray[np.bool_]:
    """Whether the predicate holds, at 10 Hz: events of two seconds, one in 100 seconds."""
    rng = np.random.default_rng(seed)
    return np.repeat(rng.random(hours * 1800) < 0.02, 20)


def spend(
    holds: NDArray[np.bool_], scores: NDArray[np.float64], seed: int = 0
) -> tuple[list[int], list[int]]:
    """The frames that are verified, and those of them that hold."""
    selection, times = Selection(SelectionSettings(60, seed=seed), "gate"), steady(len(holds), 10)
    verified, right = [], []
    for start in range(0, len(holds), 50):
        part = slice(start, start + 50)
        for place, arm in selection.choose(times[part], scores[part]):
            selection.learn(arm, holds=bool(holds[start + place]))
            verified.append(start + place)
            if holds[start + place]:
                right.append(start + place)
    return verified, right


def test_a_score_finds_more_and_a_useless_one_does_little_harm() -> None:
    holds = street(hours=8, seed=1)
    noise = np.repeat(np.random.default_rng(2).random(len(holds) // 20), 20)
    blind = len(spend(holds, np.full(len(holds), np.nan))[1])
    assert len(spend(holds, holds * 0.5 + noise)[1]) > 8 * blind
    assert len(spend(holds, noise)[1]) >= blind / 2


@given(st.integers(0, 5), st.integers(1, 20), st.booleans())
def test_no_span_uses_more_calls_than_the_budget(seed: int, saved: int, scored: bool) -> None:  # noqa: FBT001
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.choice([1, 1, 1, 40], 800)) * (NANOSECONDS // 4)
    scores = rng.random(800) if scored else np.full(800, np.nan)
    selection = Selection(SelectionSettings(360, saved=saved, apart_seconds=0), "gate")
    chosen = [times[place] for place, _ in selection.choose(times, scores)]
    assert len(chosen) > 20
    for first in range(len(chosen)):
        cells = (np.array(chosen[first:]) - chosen[first]) / (10 * NANOSECONDS) + 1
        assert (np.arange(1, len(cells) + 1) <= cells + 1 + saved).all()


@given(st.lists(st.integers(0, 120), min_size=1, max_size=90), st.integers(0, 15))
def test_a_restart_changes_nothing(levels: list[int], cut: int) -> None:
    settings = LiveLimitSettings(4, SelectionSettings(7200, apart_seconds=0.2), gap_seconds=0.5)
    items = [frames(levels[k : k + 6], start=k) for k in range(0, len(levels), 6)]
    whole = LiveLimit(settings, models(BrightnessScorer()))
    expected = [whole.on_item(item) for item in items]
    first = LiveLimit(settings, models(BrightnessScorer()))
    before = [first.on_item(item) for item in items[:cut]]
    second = LiveLimit(settings, models(BrightnessScorer()), first.snapshot())
    assert before + [second.on_item(item) for item in items[cut:]] == expected
    assert second.snapshot() == whole.snapshot()


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: LiveLimitSettings(0, MINUTE), "^limit must be at least 1 frame, got 0$"),
        (lambda: LiveLimitSettings(1, MINUTE, gap_frames=-1), "^gap_frames must be at least 0, "),
        (lambda: LiveLimitSettings(1, MINUTE, gap_seconds=np.nan), "^gap_seconds must be at least"),
        (lambda: LiveLimitSettings(1, MINUTE, batch=0), "^batch must be in 1..256 frames, got 0$"),
        (lambda: SelectionSettings(0), "^calls_per_hour must be above 0, and at most one a nano"),
        (lambda: SelectionSettings(1, saved=0), "^saved must be in 1..1000 calls, got 0$"),
        (lambda: SelectionSettings(1, apart_seconds=-1), "^apart_seconds must be at least 0 and "),
    ],
)
def test_settings_out_of_range_are_told(make: Any, text: str) -> None:
    with pytest.raises(RecordError, match=text):
        make()
