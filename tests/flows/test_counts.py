from __future__ import annotations

from flows.counts import MeasuredDetector, RunCounts
from records import Detections, EventKind, Stage, StreamEvent, Verdict
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
        "last_fault": "declared 8 frames, held 3",
    }
    assert not counts.streams["gate"].unreadable


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
