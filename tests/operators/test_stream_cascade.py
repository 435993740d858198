"""The audit of a running cascade, the fall-back after its alarm, and certification anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.audit import AuditSettings
from operators.cascade import Cascade, CascadeSettings, Models, TrialSettings
from operators.difference import DifferenceSettings
from operators.plan import REFERENCE, Band, Plan
from operators.predicate import Predicate
from records import Estimate, EventKind, FrameBatch, RecordError, Stage, StreamEvent, Verdict
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

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

PERSON = Predicate("person")
SURE = Plan(specialised=Band(0.1, 0.1))
SAFER = Plan(specialised=Band(0.1, 0.9))
EVERYTHING = Plan(
    packets=Band(0.1, 0.9),
    stride=2,
    difference=DifferenceSettings(threshold=50.0),
    specialised=Band(0.05, 0.1),
)
NO_ALARM = AuditSettings(0.9, 0.9, cell_seconds=0.3, false_alarm=1e-12)
ALARM = AuditSettings(0.9, 0.9, cell_seconds=0.3, false_alarm=0.9)
END = FrameBatch("gate", (), (StreamEvent("gate", 0, EventKind.ENDED),))


class Accepts:
    """A certifier that accepts the first plan that is right often enough, and keeps what it saw."""

    def __init__(self, least: float = 1.0) -> None:
        self.least = least
        self.seen: list[tuple[list[list[bool]], list[bool]]] = []

    def __call__(
        self,
        answers: Sequence[NDArray[np.bool_]],
        truth: NDArray[np.bool_],
        times_ns: NDArray[np.int64],
    ) -> int | None:
        assert all(one.shape == truth.shape == times_ns.shape for one in answers)
        self.seen.append(([one.tolist() for one in answers], truth.tolist()))
        good = [place for place, one in enumerate(answers) if (one == truth).mean() >= self.least]
        return good[0] if good else None


def make(
    settings: CascadeSettings, detector: Brightness | None = None, certifier: Accepts | None = None
) -> Cascade:
    models = Models(detector or Brightness(), BrightnessScorer(), SizeScorer(), certifier)
    return Cascade(settings, models)


def run(one: Cascade, *batches: FrameBatch) -> tuple[list[Verdict], list[Estimate | StreamEvent]]:
    verdicts: list[Verdict] = []
    reports: list[Estimate | StreamEvent] = []
    for batch in batches:
        for out in one.on_items([batch]):
            verdicts += out.verdicts
            reports += out.reports
    return verdicts, reports


def chunked(levels: list[int], sizes: list[int]) -> list[FrameBatch]:
    batches, start = [], 0
    for size in [*sizes, len(levels)]:
        part = levels[start : start + size]
        batches.append(coded([level * 25 for level in part], part, start=start))
        start += len(part)
    return [*batches, END]


@given(levels=st.lists(st.integers(0, 40), min_size=1, max_size=30))
def test_the_audit_changes_no_other_verdict(levels: list[int]) -> None:
    plain, _ = run(make(CascadeSettings(EVERYTHING, PERSON)), *chunked(levels, []))
    audited, _ = run(
        make(CascadeSettings(EVERYTHING, PERSON, audit=NO_ALARM)), *chunked(levels, [])
    )
    assert len(audited) == len(plain) == len(levels)
    for with_audit, without, level in zip(audited, plain, levels, strict=True):
        if with_audit.audited:
            assert with_audit.unaudited == without.positive
            assert with_audit.stage is Stage.REFERENCE
            assert with_audit.answer == person_at(level)
            assert with_audit.positive is (level > 0)
            assert with_audit.copied_from is None
        else:
            assert with_audit == without


def test_one_frame_a_cell_is_audited_and_its_estimates_are_told() -> None:
    one = make(CascadeSettings(SURE, PERSON, audit=NO_ALARM))
    verdicts, reports = run(one, frames([0, 200] * 15))
    assert sum(verdict.audited for verdict in verdicts) == 10
    estimates = [report for report in reports if isinstance(report, Estimate)]
    assert len(estimates) == len(reports) == 20
    recall, precision = estimates[-2:]
    last = max(v.sequence for v in verdicts if v.audited)
    assert (recall.name, precision.name) == ("audit recall", "audit precision")
    assert (recall.start_ns, recall.end_ns, recall.frames) == (0, last * TENTH_NS + 1, last + 1)
    assert (recall.value, precision.value, recall.high) == (1.0, 1.0, 1.0)
    assert 0 < recall.low < 1
    assert recall.reference_calls == sum(v.audited and v.positive is True for v in verdicts)


def test_a_frame_that_cannot_be_decoded_is_not_audited() -> None:
    levels = [undecodable() if n % 3 else 200 for n in range(30)]
    packets = Plan(packets=Band(0.5, 0.5))
    one = make(CascadeSettings(packets, PERSON, audit=NO_ALARM))
    verdicts, _ = run(one, coded([900] * 30, levels), END)
    assert len(verdicts) == 30
    assert all(v.stage is Stage.PACKETS for v in verdicts if v.sequence % 3)
    assert 0 < sum(v.audited for v in verdicts) < 9


# The detector sees nothing below 100, the specialised model a person from 26 on: precision breaks.
WRONG = [50] * 90


def broken(trial: TrialSettings | None = None) -> CascadeSettings:
    return CascadeSettings(SURE, PERSON, safer=(SAFER,), audit=ALARM, trial=trial)


def test_an_alarm_falls_back_plan_by_plan_to_the_reference() -> None:
    one = make(CascadeSettings(SURE, PERSON, audit=ALARM), Brightness(100))
    verdicts, reports = run(one, frames(WRONG))
    (event,) = (report for report in reports if isinstance(report, StreamEvent))
    assert (event.kind, event.reason) == (EventKind.CONTRACT, "precision_broken")
    assert event.detail.endswith("from specialised > reference to reference")
    assert event.time_ns % round(0.3e9) < TENTH_NS, "plans change between two cells"
    after = [v for v in verdicts if v.time_ns >= event.time_ns]
    before = [v for v in verdicts if v.time_ns < event.time_ns and not v.audited]
    assert {(v.stage, v.positive, v.audited) for v in after} == {(Stage.REFERENCE, False, False)}
    assert {(v.stage, v.positive) for v in before} == {(Stage.SPECIALISED, True)}


def test_the_next_plan_is_audited_anew() -> None:
    verdicts, reports = run(make(broken(), Brightness(100)), frames(WRONG))
    events = [report for report in reports if isinstance(report, StreamEvent)]
    # The safer plan refers these frames, and is right.
    assert [event.detail.partition("; ")[2] for event in events] == [
        "from specialised > reference to specialised > reference"
    ]
    revisions = [
        r.revision for r in reports if isinstance(r, Estimate) and r.name == "audit recall"
    ]
    assert revisions.count(1) == 2, "the estimates begin anew"
    assert verdicts[-1].stage is Stage.REFERENCE


def test_a_trial_certifies_what_is_right_again() -> None:
    certifier = Accepts()
    settings = CascadeSettings(SURE, PERSON, audit=ALARM, trial=TrialSettings(1.2))
    levels = [*WRONG[:30], *[50, 200] * 15, *[0, 200] * 30]
    verdicts, reports = run(make(settings, Brightness(100), certifier), frames(levels))
    events = [report for report in reports if isinstance(report, StreamEvent)]
    reasons = [event.reason for event in events]
    assert reasons[0] == "precision_broken"
    assert reasons[1:-1] == ["not_certified"] * (len(reasons) - 2)
    assert reasons[-1] == "certified"
    assert len(certifier.seen) == len(reasons) - 1
    *_, (answers, truth) = certifier.seen
    assert answers == [truth]
    assert len(truth) == 12
    after = [v for v in verdicts if v.time_ns >= events[-1].time_ns]
    assert {v.stage for v in after if not v.audited} == {Stage.SPECIALISED}


def test_a_trial_sees_what_the_packets_would_have_said_though_it_waits_for_them() -> None:
    certifier = Accepts()
    packets = Plan(packets=Band(0.5, 0.5), stride=2)
    settings = CascadeSettings(packets, PERSON, audit=ALARM, trial=TrialSettings(0.9))
    sizes = [900] * 20 + [900, 100] * 20
    levels = [0] * 20 + [200, 0] * 20
    verdicts, reports = run(make(settings, certifier=certifier), coded(sizes, levels), END)
    assert [v.sequence for v in verdicts] == list(range(60))
    assert [r.reason for r in reports if isinstance(r, StreamEvent)][-1] == "certified"
    assert all(answers == [truth] for answers, truth in certifier.seen[-1:])


@given(
    levels=st.lists(st.sampled_from([0, 50, 200]), min_size=1, max_size=60),
    sizes=st.lists(st.integers(0, 12), max_size=8),
)
def test_how_frames_are_batched_changes_nothing(levels: list[int], sizes: list[int]) -> None:
    settings = CascadeSettings(
        Plan(packets=Band(0.3, 0.9), specialised=Band(0.1, 0.1)),
        PERSON,
        safer=(EVERYTHING,),
        audit=ALARM,
        trial=TrialSettings(0.7),
    )
    whole = run(make(settings, Brightness(100), Accepts(0.8)), *chunked(levels, []))
    parts = run(make(settings, Brightness(100), Accepts(0.8)), *chunked(levels, sizes))
    assert parts == whole
    at_once = make(settings, Brightness(100), Accepts(0.8)).on_items(chunked(levels, sizes))
    assert [v for out in at_once for v in out.verdicts] == whole[0]
    assert [v.sequence for v in whole[0]] == list(range(len(levels)))


def test_sixteen_streams_share_full_batches_and_none_waits() -> None:
    detector = Brightness()
    settings = CascadeSettings(SAFER, PERSON, batch=8, score_batch=32)
    one = make(settings, detector)
    items = [frames([50] * (1 + n % 5), stream=f"camera{n}") for n in range(16)]
    outs = one.on_items(items)
    assert [(out.stream, len(out.verdicts)) for out in outs] == [
        (f"camera{n}", 1 + n % 5) for n in range(16)
    ]
    assert detector.batches == [8, 8, 8, 8, 8, 6]


def test_streams_may_have_plans_predicates_and_models_of_their_own() -> None:
    detector = Brightness()
    models = Models(detector)
    own = (CascadeSettings(SURE, PERSON), Models(detector, BrightnessScorer()))
    one = Cascade(CascadeSettings(REFERENCE, PERSON), models, streams={"till": own})
    gate, till = one.on_items([frames([50]), frames([50], stream="till")])
    assert (gate.verdicts[0].stage, till.verdicts[0].stage) == (
        Stage.REFERENCE, Stage.SPECIALISED,
    )  # fmt: skip


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(RecordError, match="predicate must be given for an audit"):
        CascadeSettings(REFERENCE, audit=ALARM)
    with pytest.raises(RecordError, match="audit must be given for plans to fall back to"):
        CascadeSettings(SURE, PERSON, safer=(SAFER,))
    with pytest.raises(RecordError, match="has trials, but their certifier is missing"):
        make(broken(TrialSettings()))
    with pytest.raises(RecordError, match="seconds must be above 0 and at most 604800, got 0"):
        TrialSettings(0)
