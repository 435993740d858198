"""Versions of a cascade that change while frames come: nothing is lost, or decided twice."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.audit import AuditSettings
from operators.cascade import Cascade, CascadeSettings, CascadeVersion, Models
from operators.cascade_version import ModelReason, versions_told
from operators.difference import DifferenceSettings
from operators.plan import REFERENCE, Band, Plan
from operators.predicate import Predicate
from records import (
    Estimate,
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
)

PERSON = Predicate("person")
AUDIT = AuditSettings(0.9, 0.9, cell_seconds=0.3, false_alarm=1e-12)
ALARM = replace(AUDIT, false_alarm=0.9)
END = FrameBatch("gate", (), (StreamEvent("gate", 0, EventKind.ENDED),))
PLANS = (
    REFERENCE,
    Plan(specialised=Band(0.1, 0.9)),
    Plan(packets=Band(0.1, 0.9), specialised=Band(0.05, 0.1)),
    Plan(stride=2, difference=DifferenceSettings(threshold=50.0), specialised=Band(0.05, 0.1)),
    Plan(packets=Band(0.2, 0.8), stride=3, difference=DifferenceSettings(threshold=50.0)),
)


def version(
    name: str, plan: Plan, audit: AuditSettings | None = AUDIT, seconds: float = 0.0
) -> CascadeVersion:
    settings = CascadeSettings(plan, PERSON, audit=audit, probation_seconds=seconds)
    return CascadeVersion(settings, Models(Brightness(), BrightnessScorer(), SizeScorer()), name)


@dataclass
class Shelf:
    """Holds the version that every stream is to have."""

    version: CascadeVersion

    def __call__(self, stream: str) -> CascadeVersion:
        assert stream
        return self.version


def cascade(shelf: Shelf, detector: Brightness | None = None, resume: object = None) -> Cascade:
    state = pickle.loads(pickle.dumps(resume))
    models = Models(detector or Brightness(), BrightnessScorer(), SizeScorer())
    return Cascade(CascadeSettings(REFERENCE, PERSON), models, state, versions=shelf)


def told(outs: list[VerdictBatch]) -> tuple[list[Verdict], list[StreamEvent], list[Estimate]]:
    reports = [report for out in outs for report in out.reports]
    return (
        [verdict for out in outs for verdict in out.verdicts],
        [one for one in reports if isinstance(one, StreamEvent)],
        [one for one in reports if isinstance(one, Estimate)],
    )


@pytest.mark.parametrize("audit", [AUDIT, None], ids=["audit", "no audit"])
def test_a_hundred_swaps_lose_no_frame_and_decide_none_twice(audit: AuditSettings | None) -> None:
    rng = np.random.default_rng(3)
    shelf = Shelf(version("gate@0", PLANS[1], audit))
    one = cascade(shelf)
    outs: list[VerdictBatch] = []
    entered, number, swaps = 0, 0, 0
    while swaps < 100:
        sizes = rng.integers(0, 12, rng.integers(1, 4))
        batches = []
        for size in sizes:
            levels = rng.integers(0, 256, size).tolist()
            batches.append(coded([level * 4 for level in levels], levels, start=entered))
            entered += int(size)
        outs += one.on_items(batches)
        swaps = sum(event.reason == ModelReason.SWAPPED for event in told(outs)[1])
        if rng.random() < 0.6:
            number += 1
            shelf.version = version(f"gate@{number}", PLANS[rng.integers(len(PLANS))], audit)
        if rng.random() < 0.1:
            one = cascade(shelf, resume=one.snapshot())
    outs += one.on_items([END])
    verdicts, events, _ = told(outs)
    assert [verdict.sequence for verdict in verdicts] == list(range(entered))
    assert [verdict.time_ns for verdict in verdicts] == [k * TENTH_NS for k in range(entered)]
    assert {event.kind for event in events} == {EventKind.MODEL}
    assert len({event.id for event in events}) == len(events) == 100
    chain = [versions_told(event) for event in events]
    assert [before for _, before in chain] == ["gate@0", *(now for now, _ in chain[:-1])]


@given(
    levels=st.lists(st.integers(0, 40), min_size=30, max_size=60),
    plans=st.lists(st.sampled_from(PLANS), min_size=1, max_size=5),
    cuts=st.lists(st.integers(1, 59), max_size=12),
)
def test_how_frames_are_batched_changes_nothing_but_the_frame_after_which_a_version_is_there(
    levels: list[int], plans: list[Plan], cuts: list[int]
) -> None:
    """A version is there from one frame on; how the frames between are cut plays no part."""
    changes = {10 * (k + 1): version(f"gate@{k + 1}", plan) for k, plan in enumerate(plans)}
    runs = []
    for inner in ([], cuts):
        shelf = Shelf(version("gate@0", PLANS[2]))
        one, outs, start = cascade(shelf), [], 0
        for end in sorted({*changes, *inner, len(levels)}):
            part = levels[start:end]
            if part:
                outs += one.on_items([coded([level * 25 for level in part], part, start=start)])
            start += len(part)
            shelf.version = changes.get(end, shelf.version)
        outs += one.on_items([END])
        runs.append(told(outs))
    assert runs[0] == runs[1]
    assert [verdict.sequence for verdict in runs[0][0]] == list(range(len(levels)))


def test_a_swap_begins_a_new_epoch_between_two_cells_and_says_so() -> None:
    shelf = Shelf(version("gate@1", PLANS[1]))
    one = cascade(shelf)
    outs = one.on_items([frames([0, 200] * 10)])
    shelf.version = version("gate@2", PLANS[3])
    outs += one.on_items([frames([0, 200] * 10, start=20)])
    verdicts, events, estimates = told(outs)
    (event,) = events
    assert (event.kind, event.reason, event.detail) == (
        EventKind.MODEL, "swapped", "gate@1 to gate@2",
    )  # fmt: skip
    assert event.time_ns == 21 * TENTH_NS, "the first frame of a cell"
    stages = {v.sequence: v.stage for v in verdicts if not v.audited}
    assert {stages[k] for k in stages if k < 21} == {Stage.SPECIALISED, Stage.REFERENCE}
    assert Stage.SKIP in {stages[k] for k in stages if k > 21}
    revisions = [one.revision for one in estimates if one.name == "audit recall"]
    assert revisions.count(1) == 2, "the estimates begin anew"


def test_without_an_audit_a_swap_waits_for_the_next_batch_only() -> None:
    shelf = Shelf(version("gate@1", REFERENCE, None))
    one = cascade(shelf)
    outs = one.on_items([frames([200] * 3)])
    shelf.version = version("gate@2", PLANS[1], None)
    outs += one.on_items([frames([250] * 2, start=3), frames([250] * 2, start=5)])
    verdicts, events, _ = told(outs)
    assert [v.stage for v in verdicts] == [Stage.REFERENCE] * 3 + [Stage.SPECIALISED] * 4
    assert [(event.time_ns, event.detail) for event in events] == [
        (3 * TENTH_NS, "gate@1 to gate@2")
    ]


def test_who_goes_on_with_another_version_swaps_and_says_so() -> None:
    shelf = Shelf(version("gate@3", PLANS[4]))
    one = cascade(shelf)
    outs = one.on_items([coded([500, 100, 900, 500], [200, 0, 200, 200])])
    shelf.version = version("gate@4", PLANS[1])
    resumed = cascade(shelf, resume=one.snapshot())
    again = cascade(shelf, resume=resumed.snapshot())  # stopped again before any frame came
    outs += again.on_items([coded([500] * 3, [250] * 3, start=4), END])
    verdicts, events, _ = told(outs)
    assert [v.sequence for v in verdicts] == list(range(7))
    assert [(event.reason, event.detail) for event in events] == [("swapped", "gate@3 to gate@4")]
    assert again.on_items([coded([500], [250], start=7)])[0].reports == ()


def test_streams_swap_each_at_its_own_time() -> None:
    shelves = {name: Shelf(version("a@1", PLANS[1])) for name in ("gate", "till")}
    models = Models(Brightness())
    one = Cascade(
        CascadeSettings(REFERENCE, PERSON), models, versions=lambda name: shelves[name](name)
    )
    one.on_items([frames([0] * 3), frames([0] * 3, stream="till")])
    shelves["till"].version = version("b@1", REFERENCE)
    gate, till = one.on_items(
        [frames([250] * 3, start=3), frames([250] * 3, stream="till", start=3)]
    )
    assert [event for event in gate.reports if isinstance(event, StreamEvent)] == []
    assert {v.stage for v in till.verdicts} == {Stage.REFERENCE}


# The detector sees nothing below 100; the second version says yes from 26 on: precision breaks.
WRONG = [50, 200] * 120


def test_a_version_on_probation_that_breaks_the_contract_has_worsened() -> None:
    detector = Brightness(100)
    shelf = Shelf(version("gate@1", Plan(specialised=Band(0.1, 0.9)), ALARM, 60))
    one = cascade(shelf, detector)
    outs = one.on_items([frames(WRONG)])
    shelf.version = version("gate@2", Plan(specialised=Band(0.1, 0.1)), ALARM, 60)
    outs += one.on_items([frames(WRONG, start=240)])
    model = [event for event in told(outs)[1] if event.kind is EventKind.MODEL]
    assert [event.reason for event in model] == ["swapped", "worsened"]
    assert model[1].detail.startswith("gate@2 after gate@1: precision is in 0.")
    assert model[1].detail.endswith("the contract is broken")
    contract = [event for event in told(outs)[1] if event.kind is EventKind.CONTRACT]
    assert [event.reason for event in contract] == ["precision_broken"]
    assert contract[0].time_ns == model[1].time_ns


@pytest.mark.parametrize(("seconds", "worse"), [(200.0, True), (1.0, False)])
def test_a_version_may_worsen_within_its_contract(seconds: float, worse: bool) -> None:  # noqa: FBT001 - a case of a test
    lenient = AuditSettings(0.1, 0.1, cell_seconds=0.3, false_alarm=1e-12)
    detector = Brightness(100)
    shelf = Shelf(version("gate@1", Plan(specialised=Band(0.1, 0.9)), lenient, seconds))
    one = cascade(shelf, detector)
    outs = one.on_items([frames(WRONG * 2)])
    shelf.version = version("gate@2", Plan(specialised=Band(0.1, 0.1)), lenient, seconds)
    for start in range(480, 960, 40):
        outs += one.on_items([frames(WRONG[:40], start=start)])
    reasons = [event.reason for event in told(outs)[1]]
    assert reasons == (["swapped", "worsened"] if worse else ["swapped"])
    if worse:
        detail = told(outs)[1][1].detail
        assert detail.startswith("gate@2 after gate@1: precision is in 0.")
        assert "audited frames, and was above 0.9" in detail


def test_what_is_wrong_is_said() -> None:
    good = version("gate@1", PLANS[1])
    with pytest.raises(RecordError, match="a version's name must be one word, got 'a b'"):
        replace(good, name="a b")
    with pytest.raises(RecordError, match="gate@2 must have the question and the audit of gate@1"):
        replace(good, shadow=version("gate@2", PLANS[1], ALARM))
    with pytest.raises(RecordError, match="has the stage specialised, but its model is missing"):
        replace(good, models=Models(Brightness()))
    shelf = Shelf(good)
    one = cascade(shelf)
    one.on_items([frames([0])])
    shelf.version = version("gate@2", PLANS[1], None)
    with pytest.raises(RecordError, match="gate@2 must have the audit of gate@1"):
        one.on_items([frames([0], start=1)])
    with pytest.raises(
        RecordError, match="probation_seconds must be at least 0 and finite, got -1"
    ):
        CascadeSettings(REFERENCE, probation_seconds=-1)
