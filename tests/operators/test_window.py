from __future__ import annotations

import pickle
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import bytewax.operators as op
import numpy as np
import pytest
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource, run_main
from hypothesis import given
from hypothesis import strategies as st

from operators.observations import Observations
from operators.window import Windows, window
from operators.window_settings import Aggregate, WindowSettings
from records import Estimate, EventKind, RecordError, StreamEvent
from records.units import NANOSECONDS
from tests.support.observed import sampled, seconds, steady

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

AVERAGE = (Aggregate.AVERAGE,)
S = NANOSECONDS


def settings(**changes: Any) -> WindowSettings:
    known: dict[str, Any] = {
        "name": "q",
        "groups": ("car",),
        "aggregates": AVERAGE,
        "size_seconds": 10,
    }
    return WindowSettings(**{**known, **changes})


def run(
    windows: Windows, items: Iterable[Observations]
) -> tuple[list[Estimate], list[StreamEvent]]:
    reports = [report for item in items if (report := windows.on_item(item)) is not None]
    return (
        [one for report in reports for one in report.estimates],
        [one for report in reports for one in report.events],
    )


def of(times: Sequence[float], values: Sequence[Any], **more: Any) -> Observations:
    return Observations.of("gate", seconds(*times), values, **more)


def exact(value: float, start: int, end: int, frames: int, **more: Any) -> Estimate:
    """An estimate from all frames."""
    known: dict[str, Any] = {"name": "q/average/car", **more}
    return Estimate(
        "gate", known.pop("name"), start * S, end * S, value, value, value, 0.95, frames, frames,
        **known,
    )  # fmt: skip


def test_tumbling_windows_are_told_when_the_watermark_passes_their_end() -> None:
    windows = Windows(settings())
    assert windows.on_item(of([1, 5, 9.9], [2, 4, 3])) is None
    assert run(windows, [of([10], [7])]) == ([exact(3.0, 0, 10, 3)], [])
    assert run(windows, [of([12, 30], [9, 1])])[0] == [exact(8.0, 10, 20, 2)]


def test_sliding_windows_share_their_panes() -> None:
    windows = Windows(settings(size_seconds=6, slide_seconds=2))
    told, events = run(windows, [of([0.5, 2.5, 4.5, 6.5, 8.5], [1, 2, 3, 4, 5])])
    assert (told, events) == ([exact(2.0, 0, 6, 3), exact(3.0, 2, 8, 3)], [])


def test_aggregates_of_each_group() -> None:
    asked = settings(
        groups=("car", "bus"),
        aggregates=(Aggregate.AVERAGE, Aggregate.SUM, Aggregate.PRESENCE),
        at_least=2,
    )
    told, _ = run(Windows(asked), [of([1, 2, 3, 4, 11], [[2, 0], [3, 0], [1, 1], [0, 0], [9, 9]])])
    assert [(one.name, one.value) for one in told] == [
        ("q/average/car", 1.5),
        ("q/sum/car", 6.0),
        ("q/presence/car", 0.5),
        ("q/average/bus", 0.25),
        ("q/sum/bus", 1.0),
        ("q/presence/bus", 0.0),
    ]


def test_distinct_tracks_are_counted_over_all_panes() -> None:
    asked = settings(size_seconds=4, slide_seconds=2, aggregates=(Aggregate.TRACKS,), tracked=True)
    sightings = np.array([[0, 0, 7], [1, 0, 7], [1, 0, 8], [2, 0, 9]])
    plain = of([1, 3, 5], [1, 2, 1])
    item = Observations(
        plain.stream, plain.sequence, plain.time_ns, plain.proxy, plain.weight, plain.value,
        sightings, ended=True,
    )  # fmt: skip
    told, _ = run(Windows(asked), [item])
    assert told == [
        exact(count, start, start + 4, frames, name="q/tracks/car")
        for count, start, frames in [(2.0, 0, 2), (3.0, 2, 2), (1.0, 4, 1)]
    ]


def test_the_end_of_a_stream_tells_what_is_left() -> None:
    item = of([1, 2], [3, 5])
    ended = Observations.of("gate", seconds(), [], start=2)
    ended = Observations(
        "gate", ended.sequence, ended.time_ns, ended.proxy, ended.weight, ended.value, ended=True
    )
    windows = Windows(settings())
    assert run(windows, [item, ended]) == ([exact(4.0, 0, 10, 2)], [])
    assert run(windows, [ended]) == ([], [])
    # A stream that goes on after its end corrects what was told.
    corrected = exact(6.0, 0, 10, 3, late=1, revision=1)
    assert run(windows, [of([3], [10])]) == ([corrected], [])


def test_frames_within_the_bound_are_on_time() -> None:
    windows = Windows(settings(out_of_order_seconds=3))
    told, events = run(windows, [of([5, 12, 9, 12.9, 13], [1, 7, 3, 7, 7])])
    assert (told, events) == ([exact(2.0, 0, 10, 2)], [])


def test_late_frames_correct_a_window_until_its_lateness_is_over() -> None:
    windows = Windows(settings(lateness_seconds=5))
    items = [of([5, 11], [1, 7]), of([6, 7], [3, 5]), of([8, 15], [7, 7]), of([9, 16], [100, 7])]
    assert run(windows, items) == (
        [
            exact(1.0, 0, 10, 1),
            exact(3.0, 0, 10, 3, late=2, revision=1),
            exact(4.0, 0, 10, 4, late=3, revision=2),
        ],
        [StreamEvent("gate", 9 * S, EventKind.WINDOW, 1, "too_late")],
    )


def test_a_late_frame_may_be_on_time_for_a_sliding_window() -> None:
    windows = Windows(settings(size_seconds=4, slide_seconds=2, lateness_seconds=2))
    told, events = run(windows, [of([1, 3, 5], [1, 3, 4]), of([3.5, 6], [11, 0])])
    assert (told, events) == (
        [
            exact(2.0, 0, 4, 2),
            exact(6.0, 2, 6, 3),
            exact(5.0, 0, 4, 3, late=1, revision=1),
        ],
        [],
    )


def test_windows_without_frames_are_told_once_for_a_gap() -> None:
    windows = Windows(settings())
    told, events = run(windows, [of([5, 45], [1, 3]), of([1_000_000_005], [4])])
    assert told == [exact(1.0, 0, 10, 1), exact(3.0, 40, 50, 1)]
    kind, reason = EventKind.WINDOW, "no_frames"
    detail = "{} windows of q have no frames"
    assert events == [
        StreamEvent("gate", 10 * S, kind, 0, reason, detail.format(3)),
        StreamEvent("gate", 50 * S, kind, 0, reason, detail.format(99_999_995)),
    ]


def test_frames_without_answers_give_the_widest_interval_or_an_event() -> None:
    item = of([1, 2, 11], [np.nan, np.nan, 1], weight=[0, 2, 2])
    broken = StreamEvent("gate", 2 * S, EventKind.WINDOW, 1, "no_answer")
    told, events = run(Windows(settings(most=8)), [item])
    assert told == [Estimate("gate", "q/average/car", 0, 10 * S, 4.0, 0.0, 8.0, 0.95, 0, 2)]
    assert events == [broken]
    told, events = run(Windows(settings()), [item])
    detail = "a window of q has fewer than 2 answers of the reference"
    assert told == []
    assert events == [broken, StreamEvent("gate", 0, EventKind.WINDOW, 2, "no_answers", detail)]


def test_a_number_above_the_most_widens_the_interval_and_breaks_nothing() -> None:
    told, _ = run(Windows(settings(most=2)), [of([1, 2, 3, 11], [0, 9, np.nan, 0], weight=[2] * 4)])
    assert (told[0].low, told[0].value, told[0].high) == (0.0, 6.0, 9.0)


@st.composite
def streams(draw: st.DrawFn) -> Observations:
    """Frames that come unevenly, late, in part drawn, in part answered."""
    n = draw(st.integers(1, 60))
    steps = draw(st.lists(st.sampled_from([-2.5, -0.5, 0, 0.1, 0.5, 1, 7]), min_size=n, max_size=n))
    times = np.maximum(np.cumsum(steps) + 3, 0)
    rng = np.random.default_rng(draw(st.integers(0, 5)))
    weight = rng.choice([0.0, 1.0, 4.0], n)
    values = np.where((weight > 0) & (rng.random(n) < 0.9), rng.integers(0, 5, n), np.nan)
    proxy = np.where(rng.random(n) < 0.7, rng.random(n), np.nan)
    return Observations.of("gate", seconds(*times), values, weight=weight, proxy=proxy)


def part(item: Observations, start: int, end: int) -> Observations:
    return Observations(
        item.stream, item.sequence[start:end], item.time_ns[start:end], item.proxy[start:end],
        item.weight[start:end], item.value[start:end],
    )  # fmt: skip


SLIDING = settings(
    size_seconds=4, slide_seconds=2, out_of_order_seconds=0.7, lateness_seconds=3, most=9,
    aggregates=(Aggregate.AVERAGE, Aggregate.PRESENCE),
)  # fmt: skip


@given(streams(), st.lists(st.integers(0, 60), max_size=5), st.integers(0, 5))
def test_a_restart_at_any_batch_changes_nothing(
    item: Observations, cuts: list[int], restart: int
) -> None:
    ends = [0, *sorted(min(cut, len(item)) for cut in cuts), len(item)]
    items = [part(item, a, b) for a, b in pairwise(ends)]
    expected = run(Windows(SLIDING), items)
    first = Windows(SLIDING)
    before = run(first, items[:restart])
    resumed = Windows(SLIDING, pickle.loads(pickle.dumps(first.snapshot())))
    after = run(resumed, items[restart:])
    assert (before[0] + after[0], before[1] + after[1]) == expected


@given(streams(), st.lists(st.integers(0, 60), max_size=5))
def test_first_reports_do_not_depend_on_the_batches(item: Observations, cuts: list[int]) -> None:
    ends = [0, *sorted(min(cut, len(item)) for cut in cuts), len(item)]
    items = [part(item, a, b) for a, b in pairwise(ends)]

    def first(items: list[Observations]) -> list[Estimate]:
        return [one for one in run(Windows(SLIDING), items)[0] if one.late == 0]

    assert first(items) == first([item])


@given(streams())
def test_every_frame_is_counted_or_told(item: Observations) -> None:
    tumbling = settings(size_seconds=4, out_of_order_seconds=0.7, lateness_seconds=3, most=9)
    ended = Observations.of("gate", seconds(), [])
    last = Observations(
        "gate", ended.sequence, ended.time_ns, ended.proxy, ended.weight, ended.value, ended=True
    )
    told, events = run(Windows(tumbling), [item, last])
    latest = {one.start_ns: one.frames for one in told}
    dropped = sum(event.count for event in events if event.reason == "too_late")
    assert sum(latest.values()) + dropped == len(item)


def test_state_does_not_grow_with_the_stream() -> None:
    windows = Windows(SLIDING)
    sizes = set()
    for item in sampled(steady(40_000, 10), np.zeros(40_000), pane_seconds=2, cells=5, batch=500):
        windows.on_item(item)
        state = windows.snapshot()
        sizes.add((len(state.panes), len(state.learned), len(state.reported)))
    assert max(sizes) <= (7, 5, 4)


def test_a_dataflow_tells_estimates_and_events() -> None:
    estimates: list[tuple[str, Estimate]] = []
    events: list[tuple[str, StreamEvent]] = []
    flow = Dataflow("windows")
    items = [("gate", of([1, 2], [1, 3])), ("gate", of([11, 31], [5, 5]))]
    out = window("window", op.input("in", flow, TestingSource(items)), settings())
    op.output("estimates", out.estimates, TestingSink(estimates))
    op.output("events", out.events, TestingSink(events))
    run_main(flow)
    assert estimates == [("gate", exact(2.0, 0, 10, 2)), ("gate", exact(5.0, 10, 20, 1))]
    assert [(key, event.reason) for key, event in events] == [("gate", "no_frames")]


def test_what_cannot_be_answered_is_told_when_it_is_asked() -> None:
    with pytest.raises(
        RecordError,
        match="^the number of distinct tracks cannot be estimated from drawn frames: an object may "
        "never be in one; track every frame, or ask for another aggregate$",
    ):
        settings(aggregates=(Aggregate.TRACKS,))
    with pytest.raises(
        RecordError, match="^size_seconds must be a multiple of slide_seconds, got 10 and 3$"
    ):
        settings(slide_seconds=3)
    with pytest.raises(RecordError, match="^confidence must be between 0 and 1, got 95$"):
        settings(confidence=95)
    with pytest.raises(RecordError, match=r"^groups must be 1 to 1000 distinct names, got \[\]$"):
        settings(groups=())
    with pytest.raises(RecordError, match=r"^aggregates must be distinct, and one at least, got "):
        settings(aggregates=())
    with pytest.raises(RecordError, match="^most must be above 0 and finite, got 0$"):
        settings(most=0)
    with pytest.raises(RecordError, match="^lateness_seconds must be in 0..100000, which is 10000"):
        settings(lateness_seconds=1e9)
    with pytest.raises(
        RecordError, match="^the query q has 1 groups, but the observations of gate have 2$"
    ):
        Windows(settings()).on_item(of([1], [[1, 2]]))
    with pytest.raises(
        RecordError, match="^the query q needs tracks, but the observations of gate"
    ):
        Windows(settings(tracked=True)).on_item(of([1], [1]))
