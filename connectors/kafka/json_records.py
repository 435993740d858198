"""Records from JSON, as other programs write them.

The values are those that `connectors.codec.to_json` shows. What a program cannot know may be left
out: then a verdict is the reference detector's own, with the score of its best box.
"""

from __future__ import annotations

import json
import math
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from connectors.codec import MOST_BOXES, MOST_NAMES
from connectors.codec_fields import shown
from records import (
    UNTRACKED,
    Alert,
    AlertState,
    Classification,
    CodecError,
    Correction,
    CorrectionKind,
    Detections,
    Estimate,
    EventKind,
    Finding,
    Place,
    Reading,
    Record,
    RecordError,
    Stage,
    StreamEvent,
    Verdict,
)
from records.finding import MOST_PLACES

if TYPE_CHECKING:
    from collections.abc import Callable
    from enum import StrEnum

    from numpy.typing import NDArray

MOST_JSON_BYTES = 4 * 2**20
"""The largest record in JSON, bytes: its objects take many times that in memory."""

_SHOWN_ONLY = frozenset({"record", "id", "time", "time_ns"})
"""Keys that `to_json` adds for readers; what they say follows from the others."""

_TEXTS = frozenset({"message", "stage", "model", "configuration", "object", "reason", "detail"})
_CORRECTION_FIELDS = frozenset({"kind", "places", "class_name", "track", "output"})
_PLACE_FIELDS = frozenset({"sequence", "time_ns", "box", "score"})
_CORNERS = 4

_INT64 = 2**63


def decode_json(data: bytes, kind: str) -> Record:
    """Read one record.

    Args:
        data: A JSON object.
        kind: What it is: verdict, alert, event, estimate, reading, finding or classification.
            Its own key ``record``, if it is there, must say the same.

    Raises:
        CodecError: it is no valid record of that kind; the message names the field.

    >>> decode_json(b'{"stream": "gate", "time_ns": 5, "kind": "lost"}', "event").id
    'gate:lost:5'
    """
    if len(data) > MOST_JSON_BYTES:
        raise CodecError(f"JSON must be at most {MOST_JSON_BYTES} bytes, got {len(data)}")
    try:
        values = json.loads(data, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise CodecError(f"the value must be JSON: {error}") from error
    if not isinstance(values, dict):
        raise CodecError(f"the value must be a JSON object, got {type(values).__name__}")
    if values.get("record", kind) != kind:
        raise CodecError(f"record must be {kind}, got {shown(values['record'])}")
    record_type, build = _KINDS[kind]
    known = {each.name for each in fields(record_type)}
    unknown = sorted(values.keys() - known - _SHOWN_ONLY)
    if unknown:
        raise CodecError(f"{kind} has no field {', '.join(map(shown, unknown))}")
    try:
        return build({key: values[key] for key in values.keys() & known})
    except (RecordError, OverflowError) as error:
        raise CodecError(f"{kind}: {error}") from error


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")


def _verdict(values: dict[str, Any]) -> Verdict:
    answer = _detections(_needed(values, "answer"))
    best = float(answer.scores.max()) if len(answer) else 0.0
    unknown = {"stage": Stage.REFERENCE, "score": best, "corrected": []}
    values = unknown | values | {"answer": answer}
    values["corrected"] = _names(values, "corrected")
    verdict: Verdict = _make(Verdict, values, stage=Stage)
    return verdict


def _detections(value: object) -> Detections:
    if not isinstance(value, dict) or value.keys() - {"boxes", "scores", "classes", "tracks"}:
        raise CodecError("answer must be an object of boxes, scores, classes and tracks")
    boxes, scores, classes = (_list(value, name) for name in ("boxes", "scores", "classes"))
    tracks = _list(value, "tracks") if "tracks" in value else [None] * len(boxes)
    if not len(boxes) == len(scores) == len(classes) == len(tracks):
        raise CodecError("answer must have as many boxes as scores, classes and tracks")
    if not all(isinstance(box, list) and len(box) == _CORNERS for box in boxes):
        raise CodecError("answer.boxes must be lists of x1, y1, x2, y2")
    if not all(isinstance(name, str) for name in classes):
        raise CodecError("answer.classes must be texts")
    numbers = [UNTRACKED if track is None else track for track in tracks]
    if not all(type(track) is int and -1 <= track < _INT64 for track in numbers):
        raise CodecError("answer.tracks must be whole numbers or null")
    return Detections.of(
        _floats("answer.boxes", [number for box in boxes for number in box]),
        _floats("answer.scores", scores),
        classes,
        tracks=np.array(numbers, np.int64),
    )


def _reading(values: dict[str, Any]) -> Reading:
    channels, units = (_names(values, name) for name in ("channels", "units"))
    rows = _needed(values, "samples")
    if not isinstance(rows, list) or not all(
        isinstance(row, list) and len(row) == len(channels) for row in rows
    ):
        raise CodecError(f"samples must be lists of {len(channels)} numbers or null")
    flat = [math.nan if number is None else number for row in rows for number in row]
    samples = _floats("samples", flat).reshape(len(rows), len(channels))
    own = {"channels": channels, "units": units, "samples": samples}
    reading: Reading = _make(Reading, values | own)
    return reading


def _classification(values: dict[str, Any]) -> Classification:
    numbers = values.get("probabilities")
    if not isinstance(numbers, list) or len(numbers) > MOST_BOXES:
        raise CodecError(f"probabilities must be a list of at most {MOST_BOXES} numbers")
    named = {"classes": _names(values, "classes"), "probabilities": tuple(numbers)}
    found: Classification = _make(Classification, values | named)
    return found


def _finding(values: dict[str, Any]) -> Finding:
    correction = values.get("correction")
    found: Finding = _make(
        Finding, values | {"correction": None if correction is None else _correction(correction)}
    )
    return found


def _correction(value: object) -> Correction:
    if not isinstance(value, dict) or value.keys() - _CORRECTION_FIELDS:
        raise CodecError("correction must be an object of kind, places, class_name, track, output")
    places = _needed(value, "places")
    if not isinstance(places, list) or len(places) > MOST_PLACES:
        raise CodecError(f"correction.places must be a list of at most {MOST_PLACES}")
    made: Correction = _make(
        Correction,
        value
        | {"places": tuple(_place(each) for each in places)}
        | {"track": UNTRACKED if value.get("track") is None else value["track"]},
        kind=CorrectionKind,
    )
    return made


def _place(value: object) -> Place:
    if not isinstance(value, dict) or value.keys() - _PLACE_FIELDS:
        raise CodecError("a place must be an object of sequence, time_ns, box and score")
    box = value.get("box")
    place: Place = _make(Place, value | {"box": tuple(box) if isinstance(box, list) else box})
    return place


def _list(value: dict[str, Any], name: str) -> list[Any]:
    found = value.get(name)
    if not isinstance(found, list) or len(found) > MOST_BOXES:
        raise CodecError(f"answer.{name} must be a list of at most {MOST_BOXES}")
    return found


def _names(values: dict[str, Any], name: str) -> tuple[str, ...]:
    found = _needed(values, name)
    if (
        not isinstance(found, list)
        or len(found) > MOST_NAMES
        or not all(isinstance(each, str) for each in found)
    ):
        raise CodecError(f"{name} must be a list of at most {MOST_NAMES} texts")
    return tuple(found)


def _floats(name: str, numbers: list[Any]) -> NDArray[np.float32]:
    if not all(type(number) in (int, float) for number in numbers):
        raise CodecError(f"{name} must be numbers")
    try:
        with np.errstate(over="ignore"):
            return np.array(numbers, np.float64).astype(np.float32)
    except OverflowError as error:
        raise CodecError(f"{name} must be numbers that a float holds") from error


def _needed(values: dict[str, Any], name: str) -> object:
    if name not in values:
        raise CodecError(f"{name} must be there")
    return values[name]


def _make(record: type[Any], values: dict[str, Any], **members: type[StrEnum]) -> Any:  # noqa: ANN401
    """Build a record; `members` are the fields that are members of an enumeration."""
    needed = {each.name for each in fields(record) if each.default is MISSING}
    missing = sorted(needed - values.keys())
    if missing:
        raise CodecError(f"fields are missing: {', '.join(missing)}")
    values = dict(values)
    for name, enumeration in members.items():
        if values[name] not in tuple(enumeration):
            choice = ", ".join(enumeration)
            raise CodecError(f"{name} must be one of {choice}, got {shown(values[name])}")
        values[name] = enumeration(values[name])
    for name in _TEXTS & values.keys():
        if not isinstance(values[name], str):
            raise CodecError(f"{name} must be text, got {type(values[name]).__name__}")
    return record(**values)


_KINDS: dict[str, tuple[type[Any], Callable[[dict[str, Any]], Record]]] = {
    "verdict": (Verdict, _verdict),
    "reading": (Reading, _reading),
    "alert": (Alert, lambda values: _make(Alert, values, state=AlertState)),
    "event": (StreamEvent, lambda values: _make(StreamEvent, values, kind=EventKind)),
    "estimate": (Estimate, lambda values: _make(Estimate, values)),
    "finding": (Finding, _finding),
    "classification": (Classification, _classification),
}
