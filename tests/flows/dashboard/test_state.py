"""The view that records are folded into."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from flows.dashboard.series import MINUTE_NS, MOST_MINUTES, MOST_POINTS, MinuteCounts
from flows.dashboard.state import (
    MOST_ALERTS,
    MOST_EVENTS,
    MOST_STREAMS,
    DashboardState,
    alert_key,
)
from flows.dashboard.stream_state import MOST_NAMES, MOST_SERIES, key_of
from records import (
    Alert,
    AlertState,
    Classification,
    Detections,
    Estimate,
    EventKind,
    Finding,
    Stage,
    StreamEvent,
    Verdict,
)
from tests.support.boards import alerts, estimates, verdicts
from tests.support.records import START_NS

START_MS = START_NS / 1e6


def one_stream(state: DashboardState) -> dict[str, object]:
    (stream,) = state.view()["streams"]
    assert isinstance(stream, dict)
    return stream


def estimate(name: str, end: int, value: float) -> Estimate:
    return Estimate("gate", name, end - 10, end, value, value - 1, value + 1, 0.95, 30, 300)


def test_the_whole_view_of_a_small_run() -> None:
    state = DashboardState(["gate"])
    answer = Detections.of([[0, 0, 9, 9]], [0.5], ["person"])
    state.take(
        "gate",
        [
            StreamEvent("gate", START_NS, EventKind.OPENED, detail="h264 at 10 Hz"),
            Verdict("gate", 0, START_NS, Stage.REFERENCE, 0.5, answer, positive=True, audited=True),
            Verdict("gate", 1, START_NS + 10**8, Stage.DIFFERENCE, 3.14159, answer, copied_from=0),
            Finding("gate", "flicker", 1, START_NS + 10**8, 0, START_NS, 1.0, "on and off"),
        ],
    )
    key = key_of("gate")
    assert state.view() == {
        "revision": 2,
        "streams": [
            {
                "key": key,
                "name": "gate",
                "status": "running",
                "detail": "h264 at 10 Hz",
                "stages": {"reference": 1, "difference": 1},
                "audited": 1,
                "corrected": 0,
                "windows": 0,
                "label": "",
                "recent": "Rd",
                "first": START_MS,
                "time": START_MS + 100,
                "latest": {
                    "sequence": 1,
                    "time": START_MS + 100,
                    "stage": "difference",
                    "score": 3.142,
                    "objects": 1,
                    "positive": None,
                    "audited": False,
                    "copied_from": 0,
                },
                "losses": {},
                "alerts": 0,
                "open_alerts": 0,
                "findings": {
                    "flicker": {
                        "total": 1,
                        "minutes": [[START_NS // MINUTE_NS * 60_000, 1]],
                    }
                },
                "audit": {},
                "contract": {"status": "none", "reason": "", "detail": "", "time": None},
                "model": "",
            }
        ],
        "series": [],
        "alerts": [],
        "events": [
            {
                "stream": key,
                "time": START_MS,
                "kind": "opened",
                "count": 0,
                "reason": "",
                "detail": "h264 at 10 Hz",
            }
        ],
    }


def test_views_since_a_revision_hold_what_changed() -> None:
    state = DashboardState(["gate", "yard"])
    state.take("gate", verdicts("gate", 0, 5))
    seen = state.revision
    empty = {"revision": seen, "streams": [], "series": [], "alerts": [], "events": []}
    assert state.view(seen) == empty
    opened, closed = alerts("yard", 3, 9)
    state.take("yard", [opened])
    view = state.view(seen)
    assert [one["name"] for one in view["streams"]] == ["yard"]
    assert [(one["key"], one["state"]) for one in view["alerts"]] == [(alert_key(opened), "open")]
    seen = state.revision
    state.take("yard", [closed])
    (told,) = state.view(seen)["alerts"]
    assert (told["key"], told["state"], told["message"]) == (
        alert_key(opened), "closed", "over after 0.6 s, peak 7",
    )  # fmt: skip
    assert (view["streams"][0]["open_alerts"], one_of(state, "yard")["open_alerts"]) == (1, 0)
    assert state.alert(alert_key(opened)) == closed
    assert state.alert("nonsense") is None


def one_of(state: DashboardState, name: str) -> dict[str, object]:
    found = [one for one in state.view()["streams"] if one["name"] == name]
    assert len(found) == 1
    assert isinstance(found[0], dict)
    return found[0]


def test_only_streams_that_may_be_seen_are_in_a_view() -> None:
    state = DashboardState(["gate", "yard"])
    for name in ("gate", "yard"):
        state.take(name, [StreamEvent(name, START_NS, EventKind.OPENED), *alerts(name, 1, None)])
        state.take(name, list(estimates(name, 2)))
    view = state.view(allowed=lambda name: name == "yard")
    key = key_of("yard")
    assert [one["key"] for one in view["streams"]] == [key]
    for kind in ("series", "alerts", "events"):
        assert {one["stream"] for one in view[kind]} == {key}


def test_streams_go_through_their_states() -> None:
    state = DashboardState(["gate"])
    assert one_stream(state)["status"] == "waiting"
    for kind, status in (
        (EventKind.OPENED, "running"),
        (EventKind.LOST, "lost"),
        (EventKind.RECONNECTED, "running"),
        (EventKind.UNREADABLE, "unreadable"),
        (EventKind.ENDED, "ended"),
    ):
        state.take("gate", [StreamEvent("gate", START_NS, kind, reason="why")])
        assert (one_stream(state)["status"], one_stream(state)["detail"]) == (status, "why")
    state.take("bed", [Classification("bed", 0, START_NS, 10, ("N", "A"), (0.9, 0.1))])
    assert one_of(state, "bed")["status"] == "running"
    assert (one_of(state, "bed")["windows"], one_of(state, "bed")["label"]) == (1, "N")


def test_losses_are_counted_by_reason() -> None:
    state = DashboardState(["gate"])
    told = [
        StreamEvent("gate", 0, EventKind.DROPPED, 3, "flow_behind"),
        StreamEvent("gate", 1, EventKind.DROPPED, 4, "flow_behind"),
        StreamEvent("gate", 2, EventKind.CORRUPT, 1, "decode_error"),
        StreamEvent("gate", 3, EventKind.TRUNCATED, 9),
    ]
    state.take("gate", told)
    assert one_stream(state)["losses"] == {
        "dropped: flow_behind": 7,
        "corrupt: decode_error": 1,
        "truncated": 9,
    }


@pytest.mark.parametrize(
    ("reason", "status"),
    [("recall_broken", "broken"), ("certified", "kept"), ("not_certified", "reference")],
)
def test_the_contract_and_its_audit(reason: str, status: str) -> None:
    state = DashboardState(["gate"])
    state.take("gate", [estimate("audit recall", 100, 0.9)])
    stream = one_stream(state)
    assert stream["audit"] == {
        "recall": {
            "value": 0.9, "low": pytest.approx(-0.1), "high": 1.9, "confidence": 0.95, "frames": 30,
        }
    }  # fmt: skip
    assert stream["contract"] == {"status": "kept", "reason": "", "detail": "", "time": None}
    event = StreamEvent("gate", START_NS, EventKind.CONTRACT, reason=reason, detail="so it is")
    state.take("gate", [event])
    stream = one_stream(state)
    assert stream["audit"] == {}, "an epoch's estimates begin anew"
    assert stream["contract"] == {
        "status": status, "reason": reason, "detail": "so it is", "time": START_MS,
    }  # fmt: skip


def test_swaps_of_models_are_noted() -> None:
    state = DashboardState(["gate"])
    for reason, detail in (("swapped", "gate@3 to gate@4"), ("shadow_failed", "gate@5 worse")):
        event = StreamEvent("gate", 1, EventKind.MODEL, reason=reason, detail=detail)
        state.take("gate", [event])
    assert one_stream(state)["model"] == "gate@3 to gate@4"


def test_windows_that_are_corrected_take_the_place_of_the_earlier_ones() -> None:
    state = DashboardState(["gate"])
    state.take("gate", [estimate("n", 10**9, 5.0), estimate("n", 2 * 10**9, 6.0)])
    seen = state.revision
    state.take("gate", [estimate("n", 10**9, 4.0)])
    (series,) = state.view()["series"]
    assert series["points"] == [[1000.0, 4.0, 3.0, 5.0], [2000.0, 6.0, 5.0, 7.0]]
    (series,) = state.view(seen)["series"]
    assert series["points"] == [[1000.0, 4.0, 3.0, 5.0]]


def test_everything_is_bounded_and_what_is_left_out_is_counted() -> None:
    state = DashboardState()
    for place in range(MOST_STREAMS + 3):
        state.take(f"s{place}", [StreamEvent(f"s{place}", 1, EventKind.OPENED)])
    assert (len(state.view()["streams"]), state.unlisted) == (MOST_STREAMS, 3)
    assert len(state.view()["events"]) == MOST_EVENTS
    template = next(alerts("s0", 0, None))
    many = [replace(template, opened_sequence=one, sequence=one) for one in range(MOST_ALERTS + 5)]
    state.take("s0", many)
    shown = [one["id"] for one in state.view()["alerts"]]
    assert (len(shown), shown[0]) == (MOST_ALERTS, "s0:crowd:5")
    assert one_of(state, "s0")["open_alerts"] == MOST_ALERTS + 5
    for one in range(MOST_SERIES + 2):
        state.take("s1", [estimate_of("s1", f"n{one}")])
    assert len(state.view()["series"]) == MOST_SERIES
    assert one_of(state, "s1")["losses"] == {"series not shown": 2}
    found = [Finding("s2", f"a{one}", 0, 0, 0, 0, 1.0, "so") for one in range(MOST_NAMES + 4)]
    state.take("s2", found)
    counted = one_of(state, "s2")["findings"]
    assert isinstance(counted, dict)
    assert (len(counted), counted["others"]["total"]) == (MOST_NAMES + 1, 4)
    for one in range(MOST_POINTS + 9):
        state.take("s3", [Estimate("s3", "n", one, one + 1, 1.0, 0.0, 2.0, 0.9, 1, 1)])
    (points,) = (one["points"] for one in state.view()["series"] if one["stream"] == key_of("s3"))
    assert (len(points), points[0][0]) == (MOST_POINTS, 10 / 1e6)
    json.dumps(state.view(), allow_nan=False)


def estimate_of(stream: str, name: str) -> Estimate:
    return Estimate(stream, name, 0, 1, 1.0, 0.0, 2.0, 0.9, 1, 1)


def test_minutes_are_bounded() -> None:
    counts = MinuteCounts()
    for minute in range(MOST_MINUTES + 5):
        counts.add(minute * MINUTE_NS)
    told = counts.to_json()
    assert (counts.total, len(told), told[0]) == (MOST_MINUTES + 5, MOST_MINUTES, [300_000, 1])


def test_episodes_of_one_id_are_told_apart_by_their_opening() -> None:
    first = next(alerts("gate", 3, None))
    again = replace(first, opened_ns=first.opened_ns + 10**12, state=AlertState.OPENED)
    assert isinstance(again, Alert)
    assert alert_key(first) != alert_key(again)
    assert alert_key(first) == alert_key(replace(first, sequence=9, state=AlertState.UPDATED))
