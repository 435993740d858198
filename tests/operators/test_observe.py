from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import bytewax.operators as op
import numpy as np
import pytest
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource, run_main

from operators.budget import BudgetSettings
from operators.observations import PredicateGroup
from operators.observe import Observer, ObserveSettings, observe
from operators.predicate import Predicate
from records import EventKind, Frame, FrameBatch, RecordError, StreamEvent
from tests.support.pictures import TENTH_NS, Brightness, BrightnessScorer, frames, undecodable

if TYPE_CHECKING:
    from operators.observations import Observations

PERSON = PredicateGroup("person", (Predicate("person"),))
CAR = PredicateGroup("car", (Predicate("car"),))
EVERY_TENTH = ObserveSettings((PERSON,), pane_seconds=10, calls_per_pane=10)


def drawn(items: list[Observations]) -> list[int]:
    return [int(n) for item in items for n in item.sequence[item.drawn]]


def test_the_reference_sees_only_drawn_frames_in_batches_over_streams() -> None:
    detector = Brightness()
    observer = Observer(replace(EVERY_TENTH, batch=4), detector)
    levels = [number % 3 for number in range(100)]
    outs = observer.on_items([frames(levels), frames(levels, stream="till")])
    assert [(out.stream, len(out)) for out in outs] == [("gate", 100), ("till", 100)]
    calls = [int(out.drawn.sum()) for out in outs]
    assert calls == [pytest.approx(10, abs=1)] * 2
    assert max(detector.batches) == 4
    assert sum(detector.batches) == sum(calls)
    for out in outs:
        seen = np.array(levels)[out.drawn] > 0
        assert out.value[out.drawn][:, 0].tolist() == seen.astype(float).tolist()
        assert np.isnan(out.value[~out.drawn]).all()
        assert np.allclose(out.weight[out.drawn], 10)


def test_one_batch_at_a_time_gives_the_same() -> None:
    items = [frames([k, 0, 9], start=3 * k, stream="gt"[k % 2]) for k in range(80)]
    settings = replace(
        EVERY_TENTH, pane_seconds=2, calls_per_pane=0, budget=BudgetSettings(9000, 2)
    )
    together = Observer(settings, Brightness()).on_items(items)
    alone = Observer(settings, Brightness())
    assert repr(together) == repr([alone.on_item(item) for item in items])


def test_a_count_model_is_held_between_the_frames_that_it_scores() -> None:
    settings = replace(EVERY_TENTH, groups=(CAR, PERSON), proxy_stride=3)
    observer = Observer(settings, Brightness(), {"person": BrightnessScorer()})
    first = observer.on_item(frames([51, 0, 0, 102, 0]))
    second = observer.on_item(frames([0, 255, 255], start=5))
    assert first is not None
    assert second is not None
    told = np.concatenate([first.proxy, second.proxy])
    assert np.isnan(told[:, 0]).all()
    assert told[:, 1].tolist() == pytest.approx([0.2, 0.2, 0.2, 0.4, 0.4, 0.4, 1.0, 1.0])


def test_frames_that_cannot_be_decoded_are_drawn_without_an_answer() -> None:
    bad = tuple(Frame("gate", k, k * TENTH_NS, undecodable()) for k in range(50))
    detector = Brightness()
    out = Observer(EVERY_TENTH, detector, {"person": BrightnessScorer()}).on_item(
        FrameBatch("gate", bad)
    )
    assert out is not None
    assert out.drawn.any()
    assert np.isnan(out.value).all()
    assert np.isnan(out.proxy).all()
    assert detector.batches == []


def test_the_end_of_a_stream_is_told_without_frames() -> None:
    observer = Observer(EVERY_TENTH, Brightness())
    assert observer.on_item(FrameBatch("gate", ())) is None
    end = StreamEvent("gate", 7, EventKind.ENDED)
    out = observer.on_item(FrameBatch("gate", (), (end,)))
    assert out is not None
    assert (len(out), out.ended) == (0, True)


def test_a_budget_moves_calls_to_the_stream_that_changes() -> None:
    budget = BudgetSettings(1200, pane_seconds=60, streams=("busy", "quiet"))
    observer = Observer(
        replace(EVERY_TENTH, pane_seconds=60, calls_per_pane=0, budget=budget), Brightness()
    )
    rng = np.random.default_rng(0)
    calls: dict[str, list[int]] = {"busy": [], "quiet": []}
    for minute in range(4):
        for stream, made in calls.items():
            # The busy picture is black in half of all seconds.
            levels = np.repeat(rng.choice([0, 9], 60) if stream == "busy" else [9] * 60, 10)
            out = observer.on_item(frames(levels.tolist(), stream=stream, start=600 * minute))
            assert out is not None
            made.append(int(out.drawn.sum()))
    assert all(sum(pair) in (19, 20, 21) for pair in zip(*calls.values(), strict=True))
    assert calls["busy"][0] == pytest.approx(10, abs=1)
    assert min(calls["busy"][1:]) >= 15


def test_streams_may_have_groups_of_their_own() -> None:
    nowhere = Predicate("person", zone=((500, 0), (600, 0), (600, 100)))
    settings = ObserveSettings(
        (PERSON,),
        pane_seconds=1,
        calls_per_pane=10,
        stream_groups={"till": (PredicateGroup("person", (nowhere,)),)},
    )
    outs = Observer(settings, Brightness()).on_items(
        [frames([9] * 9), frames([9] * 9, stream="till")]
    )
    assert [set(out.value[out.drawn][:, 0]) for out in outs] == [{1.0}, {0.0}]


def test_a_dataflow_observes_each_stream() -> None:
    out: list[tuple[str, Observations]] = []
    flow = Dataflow("observe")
    items = [(stream, frames([9] * 30, stream=stream)) for stream in ("gate", "till")]
    observed = observe(
        "observe",
        op.input("in", flow, TestingSource(items)),
        EVERY_TENTH,
        Brightness(),
        {},
        lambda _: "shard",
    )
    op.output("out", observed, TestingSink(out))
    run_main(flow)
    assert [(key, item.stream, len(item)) for key, item in out] == [
        ("gate", "gate", 30),
        ("till", "till", 30),
    ]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"groups": ()}, r"^groups must have distinct names, and be one at least, got \[\]$"),
        ({"calls_per_pane": 0}, "^either calls_per_pane or budget must be given$"),
        ({"pane_seconds": 0}, "^pane_seconds must be above 0 and finite, got 0$"),
        ({"batch": 0}, r"^batch must be in 1..256, got 0$"),
        ({"stream_groups": {"a": (CAR,)}}, r"^the groups of a must have the names \['person'\]$"),
        (
            {"calls_per_pane": 0, "budget": BudgetSettings(1, 60)},
            "^the budget must have the same pane_seconds, 10, got 60$",
        ),
    ],
)
def test_settings_out_of_range_are_told(change: dict[str, Any], text: str) -> None:
    with pytest.raises(RecordError, match=text):
        replace(EVERY_TENTH, **change)


def test_a_proxy_needs_its_group() -> None:
    with pytest.raises(RecordError, match=r"^proxies must belong to groups \['person'\], got "):
        Observer(EVERY_TENTH, Brightness(), {"car": BrightnessScorer()})
