"""A candidate beside the version that decides."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.audit import AuditSettings
from operators.cascade import Cascade, CascadeSettings, CascadeVersion, Models
from operators.cascade_settings import ShadowSettings
from operators.cascade_version import versions_told
from operators.difference import DifferenceSettings
from operators.plan import REFERENCE, Band, Plan
from operators.predicate import Predicate
from records import EventKind, FrameBatch, RecordError, StreamEvent, Verdict
from tests.support.pictures import Brightness, BrightnessScorer, SizeScorer, coded, undecodable

PERSON = Predicate("person")
AUDIT = AuditSettings(0.8, 0.8, cell_seconds=0.3, false_alarm=1e-12)
SHADOW = ShadowSettings(least_audited=20, most_seconds=1000, worse_by=0.1)
END = FrameBatch("gate", (), (StreamEvent("gate", 0, EventKind.ENDED),))
RIGHT = Plan(specialised=Band(0.1, 0.9))
WRONG = Plan(specialised=Band(0.1, 0.1))
"""Says yes from grey level 26 on, where the detector sees nothing below 100."""
PACKETS = Plan(packets=Band(0.1, 0.9), stride=2, difference=DifferenceSettings(threshold=50.0))
COPIES = Plan(stride=2, difference=DifferenceSettings(threshold=1e4, hold_seconds=0.7))
LEVELS = np.random.default_rng(5).choice([0, 50, 200], 600).tolist()


def version(
    name: str, plan: Plan, shadow: CascadeVersion | None = None, judged: ShadowSettings = SHADOW
) -> CascadeVersion:
    models = Models(Brightness(100), BrightnessScorer(), SizeScorer())
    settings = CascadeSettings(plan, PERSON, audit=AUDIT, shadow=judged)
    return CascadeVersion(settings, models, name, shadow)


def cascade(wanted: CascadeVersion, detector: Brightness | None = None) -> Cascade:
    models = Models(detector or Brightness(100), BrightnessScorer(), SizeScorer())
    return Cascade(CascadeSettings(REFERENCE), models, versions=lambda _: wanted)


def batches(levels: list[int], sizes: list[int]) -> list[FrameBatch]:
    made, start = [], 0
    for size in [*sizes, len(levels)]:
        part = levels[start : start + size]
        made.append(coded([level * 4 for level in part], part, start=start))
        start += len(part)
    return [*made, END]


def run(one: Cascade, given_batches: list[FrameBatch]) -> tuple[list[Verdict], list[StreamEvent]]:
    outs = [out for batch in given_batches for out in one.on_items([batch])]
    events = [each for out in outs for each in out.reports if isinstance(each, StreamEvent)]
    return [verdict for out in outs for verdict in out.verdicts], events


def test_a_good_candidate_passes_once_and_changes_no_verdict() -> None:
    candidate = version("gate@2", RIGHT)
    plain, _ = run(cascade(version("gate@1", WRONG)), batches(LEVELS, []))
    verdicts, events = run(cascade(version("gate@1", WRONG, candidate)), batches(LEVELS, []))
    assert verdicts == plain
    (event,) = events
    assert (event.kind, event.reason) == (EventKind.MODEL, "shadow_passed")
    assert versions_told(event) == ("gate@2", "gate@1")
    assert event.detail == (
        "gate@2 beside gate@1: 20 audited frames, both right 14, only gate@2 6, only gate@1 0, "
        "neither 0; difference -0.069..+0.896; recall 0.415..1.000 against 0.415..1.000, "
        "precision 0.415..1.000 against 0.103..0.845"
    )


def test_a_bad_candidate_fails_and_runs_no_more() -> None:
    detector = Brightness(100)
    one = cascade(version("gate@1", RIGHT, version("gate@2", WRONG)), detector)
    _, events = run(one, batches(LEVELS, []))
    assert [event.reason for event in events] == ["shadow_failed"]
    state = one.snapshot()["gate"].version.shadow
    assert state is not None
    assert (state.passed, state.own, state.answers, state.found) == (False, (), (), {})


def test_what_is_not_proven_in_time_has_failed() -> None:
    late = replace(SHADOW, most_seconds=3.0, least_audited=1000)
    one = cascade(version("gate@1", RIGHT, version("gate@2", RIGHT), late))
    _, events = run(one, batches(LEVELS[:60], []))
    assert [(event.reason, event.time_ns) for event in events] == [("shadow_failed", 3 * 10**9)]
    assert events[0].detail.endswith("; not proven in time")


def test_beside_the_reference_alone_the_contract_is_what_counts() -> None:
    for plan, reason in ((RIGHT, "shadow_passed"), (WRONG, "shadow_failed")):
        detector = Brightness(100)
        one = cascade(version("none@0", REFERENCE, version("gate@1", plan)), detector)
        verdicts, events = run(one, batches(LEVELS, []))
        assert [event.reason for event in events] == [reason]
        assert not any(verdict.audited for verdict in verdicts)
        assert sum(detector.batches) == len(LEVELS), "the candidate asks for nothing more"


def test_a_plan_that_has_passed_is_the_one_that_the_version_begins_with() -> None:
    candidate = version("gate@1", RIGHT)
    uncertified = replace(candidate, settings=replace(candidate.settings, begin=1))
    shelf = [version("none@0", REFERENCE, uncertified)]
    models = Models(Brightness(100), BrightnessScorer(), SizeScorer())
    one = Cascade(CascadeSettings(REFERENCE), models, versions=lambda _: shelf[0])
    run(one, batches(LEVELS, [])[:-1])
    shelf[0] = uncertified
    more = coded([800] * 30, [250] * 30, start=len(LEVELS))
    verdicts, events = run(one, [more])
    assert [event.detail for event in events] == ["none@0 to gate@1"]
    assert {str(v.stage) for v in verdicts[5:] if not v.audited} == {"specialised"}


def alone(plan: Plan, levels: list[int]) -> list[bool]:
    """What a plan says of every frame when it decides, by a cascade without an audit."""
    models = Models(Brightness(100), BrightnessScorer(), SizeScorer())
    verdicts, _ = run(Cascade(CascadeSettings(plan, PERSON), models), batches(levels, []))
    return [bool(verdict.positive) for verdict in verdicts]


@pytest.mark.parametrize("candidate", [PACKETS, COPIES, WRONG], ids=["packets", "copies", "small"])
@pytest.mark.parametrize("incumbent", [RIGHT, PACKETS, REFERENCE], ids=["small", "packets", "ref"])
@pytest.mark.parametrize("sizes", [[], [7] * 40], ids=["whole", "cut"])
def test_the_candidate_is_counted_as_it_would_have_decided(
    candidate: Plan, incumbent: Plan, sizes: list[int]
) -> None:
    """Also where it copies, and where packets let one of both wait."""
    levels = [level // 2 if k % 3 else level for k, level in enumerate(LEVELS[:300])]
    said, said_before = alone(candidate, levels), alone(incumbent, levels)
    never = replace(SHADOW, least_audited=10**6)
    one = cascade(version("gate@1", incumbent, version("gate@2", candidate), never))
    verdicts, _ = run(one, batches(levels, sizes))
    state = one.snapshot()["gate"].version.shadow
    assert state is not None
    counts = state.counts
    if incumbent != REFERENCE:
        drawn = [v.sequence for v in verdicts if v.audited]
        assert counts.frames == len(drawn)
        truth = [levels[k] >= 100 for k in drawn]
        right = [said[k] == t for k, t in zip(drawn, truth, strict=True)]
        before = [said_before[k] == t for k, t in zip(drawn, truth, strict=True)]
        pairs = list(zip(right, before, strict=True))
        assert (counts.both, counts.candidate, counts.incumbent, counts.neither) == tuple(
            pairs.count(pair)
            for pair in ((True, True), (True, False), (False, True), (False, False))
        )
        assert counts.reported.frames == sum(said[k] for k in drawn)
    else:
        assert (counts.candidate, counts.neither) == (0, 0)
        assert 98 <= counts.frames <= 100, "one a cell"
    assert (state.own, state.answers, state.found) == ((), (), {}), "nothing is held for ever"


@given(
    levels=st.lists(st.sampled_from([0, 50, 200]), min_size=1, max_size=80),
    sizes=st.lists(st.integers(0, 12), max_size=8),
    plans=st.tuples(*[st.sampled_from([RIGHT, WRONG, PACKETS, COPIES, REFERENCE])] * 2),
)
def test_how_frames_are_batched_changes_nothing(
    levels: list[int], sizes: list[int], plans: tuple[Plan, Plan]
) -> None:
    quick = ShadowSettings(least_audited=3, most_seconds=4.0, worse_by=0.3, confidence=0.6)
    wanted = version("gate@1", plans[0], version("gate@2", plans[1]), quick)
    whole = run(cascade(wanted), batches(levels, []))
    assert run(cascade(wanted), batches(levels, sizes)) == whole
    at_once = cascade(wanted).on_items(batches(levels, sizes))
    assert [v for out in at_once for v in out.verdicts] == whole[0]


def test_a_restart_at_any_batch_changes_nothing() -> None:
    wanted = version("gate@1", PACKETS, version("gate@2", RIGHT))
    cut = batches(LEVELS[:300], [17] * 17)
    whole = run(cascade(wanted), cut)
    for place in range(0, len(cut), 3):
        first = cascade(wanted)
        before = run(first, cut[:place])
        models = Models(Brightness(100), BrightnessScorer(), SizeScorer())
        state = pickle.loads(pickle.dumps(first.snapshot()))
        second = Cascade(CascadeSettings(REFERENCE), models, state, versions=lambda _: wanted)
        after = run(second, cut[place:])
        assert (before[0] + after[0], before[1] + after[1]) == whole


def test_frames_that_cannot_be_decoded_are_not_compared() -> None:
    levels = [undecodable() if k % 3 else 200 for k in range(60)]
    never = replace(SHADOW, least_audited=10**6)
    one = cascade(version("none@0", REFERENCE, version("gate@1", RIGHT), never))
    verdicts, _ = run(one, [coded([800] * 60, levels), END])
    state = one.snapshot()["gate"].version.shadow
    assert state is not None
    assert len(verdicts) == 60
    assert 0 < state.counts.frames == state.counts.both < 19
    assert state.counts.incumbent == 0


def test_another_candidate_begins_anew_and_none_ends() -> None:
    shelf = [version("gate@1", RIGHT, version("gate@2", RIGHT))]
    models = Models(Brightness(100), BrightnessScorer(), SizeScorer())
    one = Cascade(CascadeSettings(REFERENCE), models, versions=lambda _: shelf[0])
    names = []
    for start in range(0, 90, 30):
        run(one, [coded([800] * 30, LEVELS[start : start + 30], start=start)])
        state = one.snapshot()["gate"].version.shadow
        names.append(None if state is None else (state.candidate, state.counts.frames > 5))
        candidate = version("gate@3", RIGHT) if start == 0 else None
        shelf[0] = version("gate@1", RIGHT, candidate)
    assert names == [("gate@2", True), ("gate@3", True), None]


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(RecordError, match="least_audited must be at least 1 frame, got 0"):
        ShadowSettings(least_audited=0)
    with pytest.raises(RecordError, match="most_seconds must be above 0 and finite, got 0"):
        ShadowSettings(most_seconds=0)
    with pytest.raises(RecordError, match="worse_by must be between 0 and 1, got 1"):
        ShadowSettings(worse_by=1)
    with pytest.raises(RecordError, match="audit must be given for candidates to be judged"):
        CascadeSettings(RIGHT, PERSON, shadow=SHADOW)
