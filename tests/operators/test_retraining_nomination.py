from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import bytewax.operators as op
import numpy as np
import pytest
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource, run_main

from operators import retraining_nomination
from operators.assertions.api import Moment, MomentBatch
from operators.assertions.flicker import Flicker
from operators.assertions.monitor import Monitored, MonitorSettings, monitor
from operators.retraining import admit
from operators.retraining_held import concerned_box, held_frames, item_of, notes_of
from operators.retraining_nomination import Nomination
from operators.retraining_settings import (
    AdmissionSettings,
    Candidate,
    Candidates,
    Dropped,
    Nominations,
    NominationSettings,
)
from records import (
    Classification,
    ClassificationBatch,
    Correction,
    CorrectionKind,
    Detections,
    Finding,
    Flag,
    Label,
    Origin,
    Place,
    RecordError,
    RetrainingItem,
    Stage,
    Verdict,
    VerdictBatch,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from records.finding import Box

SECOND = 10**9
TENTH = SECOND // 10
PERSON = Detections.of([[10, 10, 30, 50]], [0.75], ["person"], tracks=[4])


def verdict(k: int, **changes: Any) -> Verdict:
    made = Verdict("gate", k, k * TENTH, Stage.REFERENCE, 0.75, PERSON)
    return replace(made, **changes)


def verdicts(*numbers: int) -> VerdictBatch:
    return VerdictBatch("gate", tuple(verdict(k) for k in numbers))


def finding(k: int, correction: Correction | None = None, **changes: Any) -> Finding:
    made = Finding("gate", "flicker", k, k * TENTH, k, k * TENTH, 3.0, "", correction=correction)
    return replace(made, **changes)


def monitored(k: int, *findings: Finding, ended: bool = False) -> Monitored:
    return Monitored("gate", (k, k * TENTH), findings, ended=ended)


def nominate(items: Sequence[Any], **settings: Any) -> list[RetrainingItem]:
    wanted = NominationSettings(**({"random_seconds": 0.0, "hold_seconds": 0.5} | settings))
    logic = Nomination(wanted)
    outs = [out for item in items if (out := logic.on_item(item)) is not None]
    return [one for out in outs for one in out.items]


def test_a_finding_nominates_its_frame_when_nothing_more_can_be_found_of_it() -> None:
    settings = NominationSettings(
        random_seconds=0,
        hold_seconds=0.5,
        uris={"gate": "rtsp://gate"},
        model="m",
        configuration="c",
    )
    logic = Nomination(settings)
    assert logic.on_item(verdicts(*range(8))) is None
    assert logic.on_item(monitored(3, finding(2, object="4", model_wrong=0.9))) is None
    assert logic.on_item(monitored(6)) == Nominations("gate", (), left=(1, TENTH))
    assert logic.on_item(monitored(7)) == Nominations(
        "gate",
        (
            RetrainingItem(
                "gate", 2, 2 * TENTH, (Origin.ASSERTION,), 0.9, 1.0,
                (Flag("flicker", 3.0, "gate:flicker:4:2", 0.9),), 0.5,
                uri="rtsp://gate", model="m", configuration="c",
            ),
        ),
        left=(2, 2 * TENTH),
        boxes={2: (10.0, 10.0, 30.0, 50.0)},
    )  # fmt: skip


def test_whichever_comes_first_frames_or_findings_the_items_are_the_same() -> None:
    frames, found = verdicts(*range(8)), monitored(7, finding(1), finding(2, assertion="appear"))
    one = nominate([frames, found])
    assert one == nominate([found, frames])
    assert [each.sequence for each in one] == [1, 2]


def test_all_that_is_found_of_a_frame_is_one_item() -> None:
    (one,) = nominate(
        [verdicts(*range(8)), monitored(7, finding(1), finding(1, assertion="appear", severity=4))]
    )
    assert [(flag.assertion, flag.severity) for flag in one.flags] == [
        ("appear", 4),
        ("flicker", 3),
    ]
    assert one.priority == 0.8


def test_episodes_last_until_nothing_is_found_for_a_while() -> None:
    found = [finding(k, object=who) for k, who in ((0, "1"), (1, "2"), (9, "1"), (20, "1"))]
    items = nominate(
        [verdicts(*range(30)), monitored(29, *found)], clear_seconds=1.0, hold_seconds=0.1
    )
    assert [one.flags[0].episode for one in items] == [
        "gate:flicker:1:0",
        "gate:flicker:2:1",
        "gate:flicker:1:0",
        "gate:flicker:1:20",
    ]


def correction(kind: CorrectionKind, *numbers: int, name: str = "car") -> Correction:
    places = tuple(Place(k, k * TENTH, (10.0, 10.0, 30.0, 50.0), 0.5) for k in numbers)
    return Correction(kind, places, name, 4)


def test_corrections_make_weak_labels_of_the_frames_that_they_change() -> None:
    found = finding(
        6, correction(CorrectionKind.MODIFY, *range(7)), correction_right=0.5, model_wrong=1.0
    )
    items = nominate([verdicts(*range(12)), monitored(12, found)])
    assert [one.sequence for one in items] == [0, 3, 6]
    assert [one.label and one.label.probability for one in items] == [0.5] * 3
    label = items[0].label
    assert label is not None
    assert label.source == "flicker"
    assert label.boxes is not None
    assert label.boxes.classes == ("car",)


def test_several_corrections_of_a_frame_must_all_be_right() -> None:
    drop = finding(1, correction(CorrectionKind.DROP, 1), correction_right=0.5)
    far = Correction(
        CorrectionKind.INTERPOLATE, (Place(1, TENTH, (100.0, 100.0, 120.0, 140.0)),), "dog", 9
    )
    add = finding(1, far, assertion="appear", correction_right=0.5)
    (one,) = nominate([verdicts(*range(8)), monitored(7, drop, add)])
    want = Detections.of([[100, 100, 120, 140]], [1.0], ["dog"], tracks=[9])
    assert one.label == Label("flicker+appear", boxes=want, probability=0.25)
    uncalibrated = replace(add, correction_right=None)
    (one,) = nominate([verdicts(*range(8)), monitored(7, drop, uncalibrated)])
    assert one.label == Label("flicker+appear", boxes=want)


def test_frames_in_which_no_stage_looked_for_boxes_get_no_weak_label() -> None:
    quick = verdict(
        1, stage=Stage.SPECIALISED, score=0.25, answer=Detections.empty(), positive=False
    )
    found = finding(1, correction(CorrectionKind.INTERPOLATE, 1))
    (one,) = nominate([VerdictBatch("gate", (quick,)), monitored(9, found)])
    assert (one.label, one.uncertainty) == (None, 0.5)


def test_windows_of_signals_get_a_class() -> None:
    windows = tuple(
        Classification("bed", k, k * SECOND, SECOND, ("N", "A"), (0.25, 0.75)) for k in range(5)
    )
    change = Correction(
        CorrectionKind.MODIFY, (Place(2, 2 * SECOND),), "N", output="classification"
    )
    found = Finding("bed", "class_change", 3, 3 * SECOND, 1, SECOND, 1.0, "", correction=change)
    (one,) = nominate(
        [ClassificationBatch("bed", windows), Monitored("bed", (4, 4 * SECOND), (found,))]
    )
    assert (one.sequence, one.uncertainty) == (2, 0.25)
    assert one.label == Label("class_change", class_name="N")


def test_a_mistake_that_the_audit_saw_is_nominated_with_the_reference_answer() -> None:
    wrong = verdict(1, positive=True, audited=True, unaudited=False)
    right = verdict(2, positive=True, audited=True, unaudited=True)
    (one,) = nominate([VerdictBatch("gate", (wrong, right)), monitored(9)])
    assert (one.sequence, one.origins, one.priority) == (1, (Origin.AUDIT,), 1.0)
    assert one.label == Label("reference", boxes=PERSON)


def test_the_reference_answer_labels_the_random_share_for_free() -> None:
    every = [
        verdict(0), verdict(1, stage=Stage.DIFFERENCE, copied_from=0),
        verdict(2, positive=True, audited=True, unaudited=True),
    ]  # fmt: skip
    items = [
        item_of("gate", replace(frame, chance=0.5), (), NominationSettings())
        for frame in held_frames(VerdictBatch("gate", tuple(every)))
    ]
    free = Label("reference", boxes=PERSON)
    assert [one and one.label for one in items] == [free, None, free]


def test_where_assertions_changed_something_their_label_stays() -> None:
    drop = finding(1, correction(CorrectionKind.DROP, 1), correction_right=0.5)
    (frame,) = held_frames(VerdictBatch("gate", (verdict(1),)))
    notes = [note for _, note in notes_of(drop, "e", 3)]
    one = item_of("gate", replace(frame, chance=0.5), notes, NominationSettings())
    assert one is not None
    assert one.label == Label("flicker", boxes=PERSON.of_classes([]), probability=0.5)
    # A finding alone doubts the reference: its answer is then no label.
    doubt = [note for _, note in notes_of(finding(1), "e", 3)]
    only_found = item_of("gate", frame, doubt, NominationSettings())
    assert only_found is not None
    assert only_found.label is None


def test_what_the_findings_of_a_frame_are_about() -> None:
    two = Detections.of([[10, 10, 30, 50], [90, 90, 99, 99]], [0.9] * 2, ["car"] * 2, tracks=[4, 5])
    (frame,) = held_frames(VerdictBatch("gate", (verdict(1, answer=two),)))
    placed = correction(CorrectionKind.DROP, 1)

    def box(*findings: Finding) -> Box | None:
        return concerned_box(frame, [note for one in findings for _, note in notes_of(one, "e", 3)])

    assert box(finding(1), finding(1, object="6"), finding(1, object="front door")) is None
    assert box(finding(1, object="5")) == (90.0, 90.0, 99.0, 99.0)
    assert box(finding(1, placed, object="5")) == (10.0, 10.0, 30.0, 50.0)
    assert box(finding(1, object="4"), finding(1, object="5")) == (10.0, 10.0, 99.0, 99.0)


def test_what_waits_at_the_end_leaves() -> None:
    logic = Nomination(NominationSettings(random_seconds=0, hold_seconds=5))
    assert logic.flush() is None
    logic.on_item(verdicts(*range(8)))
    logic.on_item(monitored(7, finding(6)))
    resumed = Nomination(NominationSettings(random_seconds=0, hold_seconds=5), logic.snapshot())
    rest = resumed.flush()
    assert rest is not None
    assert ([one.sequence for one in rest.items], rest.left) == ([6], (7, 7 * TENTH))
    assert resumed.flush() is None


def test_the_random_share_is_drawn_with_a_known_probability() -> None:
    batches = [verdicts(*range(k, k + 100)) for k in range(0, 10_000, 100)]
    items = nominate(batches, random_seconds=10.0, hold_seconds=0.0)
    assert all(one.origins == (Origin.RANDOM,) for one in items)
    assert len(items) == 100
    # One frame in a hundred; a frame beside a border of cells may be drawn by either.
    assert [round(one.propensity, 3) for one in items] == [0.01] * 100
    again = nominate([verdicts(*range(10_000))], random_seconds=10.0, hold_seconds=0.0)
    assert again == items
    other = nominate(batches, random_seconds=10.0, hold_seconds=0.0, seed=1)
    assert [one.sequence for one in other] != [one.sequence for one in items]


def test_the_queue_estimates_a_mean_over_all_frames_without_bias() -> None:
    flagged = set(range(0, 3000, 40))
    value = {k: float(k in flagged) * 3 + k % 7 for k in range(3000)}
    truth = np.mean(list(value.values()))
    estimates = []
    for seed in range(25):
        items = nominate(
            [
                verdicts(*range(3000)),
                monitored(2999, *(finding(k) for k in sorted(flagged)), ended=True),
            ],
            random_seconds=1.0,
            seed=seed,
        )
        # What admission does with items that a rule admits.
        weights = [1.0 if Origin.ASSERTION in one.origins else 1 / one.propensity for one in items]
        total = sum(w * value[one.sequence] for w, one in zip(weights, items, strict=True))
        estimates.append(total / 3000)
    error = np.std(estimates, ddof=1) / np.sqrt(len(estimates))
    assert abs(np.mean(estimates) - truth) < 4 * error
    assert error < 0.02


def test_findings_that_come_too_late_or_for_frames_that_never_came_are_counted() -> None:
    logic = Nomination(NominationSettings(random_seconds=0, hold_seconds=0.5))
    logic.on_item(verdicts(0, 1, 3, 4, 5, 6, 7, 8, 9))
    logic.on_item(monitored(5, finding(2)))
    late = {Dropped.LATE: 1}
    assert logic.on_item(monitored(9)) == Nominations("gate", (), late, (4, 4 * TENTH))
    assert logic.on_item(monitored(9, finding(0))) == Nominations("gate", (), late, (4, 4 * TENTH))


def test_what_is_said_of_the_input_nominates_nothing() -> None:
    found = monitored(9, finding(1, assertion="dark"), finding(2))
    items = nominate([verdicts(*range(5)), found], ignored=frozenset({"dark"}))
    assert [one.sequence for one in items] == [2]


def test_no_more_frames_wait_than_allowed_and_none_after_the_end() -> None:
    found = monitored(4, finding(1), finding(4))
    assert [one.sequence for one in nominate([found, verdicts(*range(5))], most_held=3)] == [1]
    ended = monitored(4, finding(1), finding(4), ended=True)
    assert [one.sequence for one in nominate([verdicts(*range(5)), ended])] == [1, 4]


def test_what_is_found_in_a_dataflow_is_nominated_and_admitted() -> None:
    gone = Detections.empty()
    shown = [verdict(k, answer=gone) if k in {4, 5} else verdict(k) for k in range(40)]
    batches = [VerdictBatch("gate", tuple(shown[k : k + 4])) for k in range(0, 40, 4)]
    out: list[tuple[str, Candidates]] = []
    flow = Dataflow("retraining")
    answers = op.input("in", flow, TestingSource([("gate", each) for each in batches]))
    moments = op.map_value(
        "moments", answers, lambda b: MomentBatch(b.stream, tuple(map(Moment.of, b.verdicts)))
    )
    found = monitor("monitor", moments, [Flicker()], MonitorSettings())
    settings = NominationSettings(random_seconds=0, hold_seconds=1.0)
    items = retraining_nomination.nominate("nominate", answers, found, settings)
    candidates = op.map_value(
        "pictures",
        items,
        lambda all_of: Candidates(
            all_of.stream, tuple(Candidate(one) for one in all_of.items), all_of.dropped
        ),
    )
    op.output("out", admit("admit", candidates, AdmissionSettings()), TestingSink(out))
    run_main(flow)
    admitted = [one.item for _, each in out for one in each.candidates]
    assert [one.sequence for one in admitted] == [4, 5]
    for one in admitted:
        assert one.label is not None
        assert one.label.boxes is not None
        assert one.label.boxes.classes == ("person",)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"random_seconds": -1.0}, "random_seconds must be at least 0, got -1.0"),
        ({"reference_seconds": -1.0}, "reference_seconds must be at least 0, got -1.0"),
        ({"random_seconds": 1e-12}, "random_seconds must be 0 or at least 1e-09, got 1e-12"),
        ({"hold_seconds": float("inf")}, "hold_seconds must be at least 0, got inf"),
        ({"most_held": 0}, "most_held must be at least 1, got 0"),
        ({"most_places": 0}, "most_places must be at least 1, got 0"),
        ({"clear_seconds": 0.0}, "clear_seconds must be above 0, got 0.0"),
        (
            {"ignored": frozenset({""})},
            "ignored must be 1 to 200 printable characters without ':', got ''",
        ),
        ({"seed": -1}, "seed must be a whole number of at least 0, got -1"),
    ],
)
def test_settings_that_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError) as caught:
        NominationSettings(**changes)
    assert str(caught.value) == message
