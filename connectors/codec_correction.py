"""How the correction of a finding becomes msgpack or JSON values, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from connectors.codec_fields import INTEGER, TEXT, Field, check_map, member, raw, read_array
from records import UNTRACKED, CodecError, Correction, CorrectionKind, Place
from records.finding import MOST_PLACES

if TYPE_CHECKING:
    from records.finding import Box

_FIELDS = frozenset(
    {"kind", "class_name", "track", "output", "n", "boxed", "sequences", "times", "boxes", "scores"}
)
_KIND = member(CorrectionKind)


def _write(found: Correction | None) -> dict[str, object] | None:
    if found is None:
        return None
    places = found.places
    boxes = [place.box for place in places if place.box is not None]
    return {
        "kind": _KIND.write(found.kind),
        "class_name": TEXT.write(found.class_name),
        "track": found.track,
        "output": TEXT.write(found.output),
        "n": len(places),
        "boxed": len(boxes),
        "sequences": raw(np.array([place.sequence for place in places], np.int64), "<i8"),
        "times": raw(np.array([place.time_ns for place in places], np.int64), "<i8"),
        "boxes": raw(np.array(boxes, np.float64) + 0.0, "<f8"),
        "scores": raw(np.array([place.score for place in places], np.float64) + 0.0, "<f8"),
    }


def _read(value: object) -> Correction | None:
    if value is None:
        return None
    fields = check_map(value, _FIELDS)
    n, boxed = INTEGER.read(fields["n"]), INTEGER.read(fields["boxed"])
    if not isinstance(n, int) or not 0 <= n <= MOST_PLACES or boxed not in {0, n}:
        raise CodecError(f"must have 0 to {MOST_PLACES} places, all or none boxed, got {n}")
    boxes: list[Box | None] = [None] * n
    if boxed:
        rows = read_array(fields, "boxes", "<f8", n * 4).reshape(n, 4).tolist()
        boxes = [(x1, y1, x2, y2) for x1, y1, x2, y2 in rows]
    sequences = read_array(fields, "sequences", "<i8", n).tolist()
    times = read_array(fields, "times", "<i8", n).tolist()
    scores = read_array(fields, "scores", "<f8", n).tolist()
    values: dict[str, Any] = {
        "kind": _KIND.read(fields["kind"]),
        "class_name": TEXT.read(fields["class_name"]),
        "track": INTEGER.read(fields["track"]),
        "output": TEXT.read(fields["output"]),
    }
    return Correction(places=tuple(map(Place, sequences, times, boxes, scores)), **values)


def _show(found: Correction | None) -> dict[str, object] | None:
    if found is None:
        return None
    return {
        "kind": str(found.kind),
        "class_name": found.class_name,
        "track": None if found.track == UNTRACKED else found.track,
        "output": found.output,
        "places": [
            {
                "sequence": place.sequence,
                "time_ns": place.time_ns,
                "box": None if place.box is None else list(place.box),
                "score": place.score,
            }
            for place in found.places
        ],
    }


CORRECTION = Field(_write, _read, _show)
"""A Correction, or None."""
