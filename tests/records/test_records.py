"""Every record refuses what breaks its contract, by the same few rules, and names the field."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from records import (
    Alert,
    AlertState,
    Detections,
    Estimate,
    EventKind,
    Finding,
    Frame,
    Reading,
    RecordError,
    Stage,
    StreamEvent,
    Verdict,
)
from tests.support.pictures import Flat

NOW = 1_700_000_000_000_000_000

FRAME = Frame("gate", 3, NOW, Flat(0))
VERDICT = Verdict("gate", 3, NOW, Stage.DIFFERENCE, 1.5, Detections.empty(), copied_from=2)
EVENT = StreamEvent("gate", NOW, EventKind.DROPPED, 4, "flow_behind")
ESTIMATE = Estimate("gate", "cars", NOW, NOW + 1, 2.0, 1.5, 2.5, 0.95, 10, 100)
READING = Reading("lead", 0, NOW, 300.0, np.zeros((5, 2), np.float32), ("I", "II"), ("mV", "mV"))
ALERT = Alert(
    "gate", "crowd", AlertState.OPENED, NOW, 3, NOW, 3, 1.0, 6.0, 6.0, "crowd: at least 6"
)  # fmt: skip
FINDING = Finding("gate", "flicker", 3, NOW, 2, NOW - 1, 0.5, "gone for 0.2 s", "7")
RECORDS: list[Any] = [FRAME, VERDICT, EVENT, ESTIMATE, READING, ALERT, FINDING]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_a_stream_is_a_name(record: Any) -> None:
    for bad in ("", "a:b", "x" * 201, "tab\t", 5):
        with pytest.raises(RecordError, match="^stream must be 1 to 200 printable characters"):
            replace(record, stream=bad)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_times_are_nanoseconds_and_counts_whole_numbers(record: Any) -> None:
    fields = {field.name for field in dataclasses.fields(record)}
    for name in fields & {"time_ns", "start_ns", "end_ns", "opened_ns"}:
        for bad in (-1, 1.5, True, 2**63, None):
            with pytest.raises(RecordError, match=f"^{name} must be nanoseconds since 1970 UTC"):
                replace(record, **{name: bad})
    counts = {"sequence", "opened_sequence", "start_sequence", "count", "frames", "late"}
    for name in fields & (counts | {"revision"}):
        for bad in (-1, 1.5, True):
            with pytest.raises(RecordError, match=f"^{name} must be a whole number of at least 0"):
                replace(record, **{name: bad})


@pytest.mark.parametrize(
    ("record", "identity"),
    [
        (FRAME, "gate:3"),
        (VERDICT, "gate:3"),
        (EVENT, f"gate:dropped:{NOW}"),
        (ESTIMATE, f"gate:cars:{NOW}:0"),
        (READING, "lead:0"),
        (ALERT, "gate:crowd:3:opened:3"),
        (FINDING, "gate:flicker:7:3"),
        (replace(ALERT, object="12"), "gate:crowd:12:3:opened:3"),
    ],
)
def test_identities_are_deterministic(record: Any, identity: str) -> None:
    assert record.id == identity


@pytest.mark.parametrize(
    ("record", "change", "message"),
    [
        (FRAME, {"pixels": None}, "pixels must offer luma() and rgb(), got <class 'NoneType'>"),
        (VERDICT, {"stage": "difference"}, "stage must be a Stage, got 'difference'"),
        (VERDICT, {"score": float("nan")}, "score must be a finite number, got nan"),
        (VERDICT, {"answer": None}, "answer must be Detections, got NoneType"),
        (VERDICT, {"copied_from": 3}, "copied_from must be an earlier frame than 3, got 3"),
        (VERDICT, {"positive": 1}, "positive must be true, false or None, got 1"),
        (VERDICT, {"corrected": None}, "corrected must be a tuple of names, got None"),
        (VERDICT, {"audited": None}, "audited must be true or false, got None"),
        (EVENT, {"kind": "lost"}, "kind must be an EventKind, got 'lost'"),
        (ESTIMATE, {"low": 2.1}, "low <= value <= high must hold, got 2.1, 2.0, 2.5"),
        (ESTIMATE, {"confidence": 1.0}, "confidence must be between 0 and 1, got 1.0"),
        (ESTIMATE, {"end_ns": NOW}, f"start_ns must be before end_ns, got {NOW} and {NOW}"),
        (READING, {"rate_hz": 0.0}, "rate_hz must be above 0, got 0.0"),
        (READING, {"units": ("mV",)}, "channels and units must have one entry for each channel"),
        (
            READING,
            {"samples": np.zeros(5, np.float32)},
            "samples must be a float32 array of shape (n, 2), got float32 (5,)",
        ),
        (ALERT, {"state": "opened"}, "state must be an AlertState, got 'opened'"),
        (
            ALERT,
            {"object": "a:b"},
            "object must be 1 to 200 printable characters without ':', got 'a:b'",
        ),
        (ALERT, {"peak": float("inf")}, "peak must be a finite number, got inf"),
    ],
)
def test_what_is_wrong_is_said(record: Any, change: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError) as caught:
        replace(record, **change)
    assert str(caught.value) == message


def test_readings_are_equal_by_value_with_missing_samples() -> None:
    missing = replace(READING, samples=np.full((5, 2), np.nan, np.float32))
    assert missing == replace(missing, samples=missing.samples.copy())
    assert missing != READING
