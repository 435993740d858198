from __future__ import annotations

import pytest

from flows.counts import RunCounts, StreamCounts
from flows.measured import MeasuredDetector
from records import Detections, Estimate, EventKind, Stage, StreamEvent, Verdict
from tests.support.pictures import Brightness, Flat, frames, person_at


def event(kind: EventKind, count: int = 0, reason: str = "", detail: str = "") -> StreamEvent:
    return StreamEvent("gate", 0, kind, count, reason, detail)


def test_what_becomes_of_frames_is_counted() -> None:
    counts = RunCounts(["gate", "till"])
    counts.entered(frames([1, 2, 3]))
    verdict = Verdict("gate", 0, 0, Stage.REFERENCE, 0.0, Detections.empty())
    counts.observe("gate", [verdict, event(EventKind.DROPPED, 4, "flow_behind")])
    counts.observe("gate", [event(EventKind.CORRUPT, 2, "decode_error")])
    counts.observe("gate", [event(EventKind.TRUNCATED, 5, "", "declared 8 frames, held 3")])
    assert counts.streams["gate"].to_json() == {
        "entered": 3,
        "decided": {"reference": 1},
        "dropped": {"flow_behind": 4},
        "corrupt": {"decode_error": 2},
        "missing": 5,
        "events": {"dropped": 1, "corrupt": 1, "truncated": 1},
        "alerts": {},
        "classified": {},
        "corrected": 0,
        "findings": {},
        "last_fault": "declared 8 frames, held 3",
        "passed": {"reference": 0.0},
        "audited": 0,
        "audit": {},
        "contract": [],
        "models": [],
        "put_aside": {},
        "not_put_aside": {},
    }
    assert not counts.streams["gate"].unreadable


def test_the_audit_and_the_contract_are_kept() -> None:
    counts = RunCounts(["gate"])
    nothing = Detections.empty()
    counts.observe("gate", [
        Verdict("gate", 0, 0, Stage.SPECIALISED, 0.1, nothing, positive=False),
        Verdict("gate", 1, 1, Stage.DIFFERENCE, 0.0, nothing, 0, positive=False),
        Verdict("gate", 2, 2, Stage.REFERENCE, 0.0, nothing,
                positive=False, audited=True, unaudited=True),
        Verdict("gate", 3, 3, Stage.SPECIALISED, 0.1, nothing, positive=False),
        Estimate("gate", "audit precision", 0, 3, 0.0, 0.0, 0.9, 0.95, 1, 3, revision=1),
        Estimate("gate", "average", 0, 3, 0.0, 0.0, 0.9, 0.95, 1, 3),
    ])  # fmt: skip
    got = counts.streams["gate"]
    assert got.passed == {
        "difference": pytest.approx(3 / 4), "specialised": pytest.approx(1 / 3), "reference": 0,
    }  # fmt: skip
    assert (got.audited, set(got.audit)) == (1, {"audit precision"})
    assert got.to_json()["audit"]["audit precision"] == {
        "value": 0.0, "low": 0.0, "high": 0.9, "confidence": 0.95, "frames": 1,
    }  # fmt: skip
    counts.observe("gate", [event(EventKind.CONTRACT, 0, "precision_broken", "to reference")])
    assert got.to_json()["contract"] == [
        {"time_ns": 0, "reason": "precision_broken", "detail": "to reference"}
    ]
    assert got.audit == {}


def test_what_becomes_of_versions_is_kept_and_a_swap_begins_the_estimates_anew() -> None:
    counts = RunCounts(["gate"])
    share = Estimate("gate", "audit recall", 0, 3, 1.0, 0.5, 1.0, 0.95, 1, 3, revision=1)
    passed = event(EventKind.MODEL, 0, "shadow_passed", "gate@2 beside gate@1: …")
    counts.observe("gate", [share, passed])
    got = counts.streams["gate"]
    assert set(got.audit) == {"audit recall"}
    counts.observe("gate", [event(EventKind.MODEL, 0, "swapped", "gate@1 to gate@2")])
    assert got.audit == {}
    again = StreamCounts.from_json("gate", got.to_json())
    assert again == got
    assert [one.reason for one in again.models] == ["shadow_passed", "swapped"]
    again.add(got)
    assert len(again.models) == 4


def test_a_stream_is_unreadable_when_it_gave_nothing_because_it_failed() -> None:
    counts = RunCounts(["gate"])
    assert not counts.streams["gate"].unreadable
    counts.observe("gate", [event(EventKind.LOST, reason="refused")])
    assert counts.streams["gate"].unreadable
    assert counts.streams["gate"].last == "refused"
    counts.entered(frames([1]))
    assert not counts.streams["gate"].unreadable


def test_a_measured_detector_answers_as_the_one_inside_and_counts() -> None:
    calls: list[int] = []
    detector = MeasuredDetector(Brightness(), lambda images, _: calls.append(images))
    assert (detector.name, detector.class_names) == ("brightness", ("person", "car"))
    assert detector.detect([Flat(5).rgb(), Flat(0).rgb()]) == [person_at(5), person_at(0)]
    assert detector.detect([]) == []
    assert (detector.calls, detector.images, calls) == (2, 2, [2, 0])
    assert detector.seconds >= 0
