"""How single fields of records become msgpack or JSON values, and back.

Every reader checks type and size before it builds anything, and raises CodecError with a message
that begins with "must", so that the codec can put the field's name before it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from records import UNTRACKED, CodecError, Detections

if TYPE_CHECKING:
    from collections.abc import Callable
    from enum import StrEnum

    from numpy.typing import NDArray

MOST_BYTES = 16 * 2**20
"""The largest encoded record, bytes."""

MOST_BOXES = 16_384
"""The most boxes in one frame."""

MOST_NAMES = 4096
"""The most class names or channels in one record."""

MOST_TEXT_BYTES = 65_536
"""The longest text of one field, bytes of UTF-8."""

TEXT_ERRORS = "surrogatepass"
"""Lone surrogates come from file names that are no UTF-8; a message that names one must survive."""

_DETECTIONS_FIELDS = frozenset({"n", "boxes", "scores", "names", "classes", "tracks"})
_SAMPLES_FIELDS = frozenset({"n", "channels", "values"})
_LONGEST_SHOWN = 60
_MOST_BYTES_PER_CHARACTER = 4


@dataclass(frozen=True, slots=True)
class Field:
    """How one field is written to msgpack, read from it, and shown as JSON."""

    write: Callable[[Any], object]
    read: Callable[[object], object]
    show: Callable[[Any], object]


def check_map(value: object, expected: frozenset[str]) -> dict[str, Any]:
    """Return `value` as a map that has exactly the `expected` keys, or raise CodecError."""
    if not isinstance(value, dict):
        raise CodecError(f"must be a map, got {type(value).__name__}")
    if value.keys() != expected:
        missing = ", ".join(sorted(expected - value.keys())) or "none"
        unknown = ", ".join(sorted(shown(key) for key in value.keys() - expected)) or "none"
        raise CodecError(f"must have exactly its fields; missing: {missing}; unknown: {unknown}")
    return value


def shown(value: object) -> str:
    """Show a value of unknown origin in a message, cut to a bearable length."""
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def _same(value: object) -> object:
    return value


def _integer(value: object) -> int:
    if type(value) is not int:
        raise CodecError(f"must be a whole number, got {type(value).__name__}")
    return value


def _optional_integer(value: object) -> int | None:
    return None if value is None else _integer(value)


def _truth(value: object) -> bool:
    if type(value) is not bool:
        raise CodecError(f"must be true or false, got {type(value).__name__}")
    return value


def _optional_truth(value: object) -> bool | None:
    return None if value is None else _truth(value)


def _optional_number(value: object) -> float | None:
    return None if value is None else _read_number(value)


def _write_number(value: float) -> float:
    # Adding 0 turns -0.0 into 0.0: they are equal, so their bytes must be.
    return float(value) + 0.0


def _write_optional_number(value: float | None) -> float | None:
    return None if value is None else _write_number(value)


def _read_number(value: object) -> float:
    if type(value) is not float:
        raise CodecError(f"must be a float, got {type(value).__name__}")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise CodecError(f"must be text, got {type(value).__name__}")
    if len(value) * _MOST_BYTES_PER_CHARACTER > MOST_TEXT_BYTES:
        size = len(value.encode("utf-8", TEXT_ERRORS))
        if size > MOST_TEXT_BYTES:
            raise CodecError(f"must be at most {MOST_TEXT_BYTES} bytes of text, got {size}")
    return str(value)


def _names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise CodecError(f"must be a list of texts, got {type(value).__name__}")
    if len(value) > MOST_NAMES:
        raise CodecError(f"must be at most {MOST_NAMES} names, got {len(value)}")
    return tuple(_text(name) for name in value)


def _numbers(value: object) -> tuple[float, ...]:
    if not isinstance(value, list | tuple) or len(value) > MOST_NAMES:
        raise CodecError(f"must be at most {MOST_NAMES} numbers")
    return tuple(_read_number(one) for one in value)


def raw(values: NDArray[Any], dtype: str) -> bytes:
    """Write numbers as the bytes of `dtype`."""
    return values.astype(dtype, copy=False).tobytes()


def read_array(fields: dict[str, Any], name: str, dtype: str, count: int) -> NDArray[Any]:
    """Read `count` numbers; the buffer's length is checked before the array is made."""
    data = fields[name]
    size = count * np.dtype(dtype).itemsize
    if type(data) is not bytes or len(data) != size:
        got = f"{len(data)}" if isinstance(data, bytes) else type(data).__name__
        raise CodecError(f"must have {size} bytes of {name} ({count} of {dtype}), got {got}")
    return np.frombuffer(data, dtype).astype(np.dtype(dtype).newbyteorder("="), copy=False)


def _write_detections(found: Detections) -> dict[str, object]:
    n = len(found)
    if n > MOST_BOXES:
        raise CodecError(f"must have at most {MOST_BOXES} boxes, got {n}")
    classes = found.classes
    names = _names(sorted(set(classes)))
    index = {name: i for i, name in enumerate(names)}
    return {
        "n": n,
        "boxes": raw(found.boxes + 0.0, "<f4"),
        "scores": raw(found.scores + 0.0, "<f4"),
        "names": names,
        "classes": raw(np.array([index[name] for name in classes], np.int32), "<i4"),
        "tracks": raw(found.tracks, "<i8"),
    }


def _read_detections(value: object) -> Detections:
    fields = check_map(value, _DETECTIONS_FIELDS)
    n = _integer(fields["n"])
    if not 0 <= n <= MOST_BOXES:
        raise CodecError(f"must have 0 to {MOST_BOXES} boxes, got {n}")
    return Detections(
        read_array(fields, "boxes", "<f4", n * 4).reshape(n, 4),
        read_array(fields, "scores", "<f4", n),
        read_array(fields, "classes", "<i4", n),
        _names(fields["names"]),
        read_array(fields, "tracks", "<i8", n),
    )


def _show_detections(found: Detections) -> dict[str, object]:
    return {
        "boxes": found.boxes.tolist(),
        "scores": found.scores.tolist(),
        "classes": list(found.classes),
        "tracks": [None if track == UNTRACKED else track for track in found.tracks.tolist()],
    }


def _write_samples(samples: NDArray[np.float32]) -> dict[str, object]:
    # Equal readings need equal bytes: one bit pattern for every NaN, and one for both zeros.
    values = samples.copy()
    values[np.isnan(values)] = np.nan
    values[values == 0] = 0
    return {"n": len(values), "channels": values.shape[1], "values": raw(values, "<f4")}


def _read_samples(value: object) -> NDArray[np.float32]:
    fields = check_map(value, _SAMPLES_FIELDS)
    n, channels = _integer(fields["n"]), _integer(fields["channels"])
    if not (0 <= n <= MOST_BYTES and 0 < channels <= MOST_NAMES):
        raise CodecError(f"must have 1 to {MOST_NAMES} channels, got {n} samples of {channels}")
    return read_array(fields, "values", "<f4", n * channels).reshape(n, channels)


def _show_samples(samples: NDArray[np.float32]) -> list[list[float | None]]:
    # JSON knows neither NaN nor infinity.
    return [[value if math.isfinite(value) else None for value in row] for row in samples.tolist()]


def member(enumeration: type[StrEnum]) -> Field:
    """Return the field for one member of `enumeration`, written as its text."""

    def read(value: object) -> StrEnum:
        try:
            return enumeration(_text(value))
        except ValueError as error:
            choice = ", ".join(enumeration)
            raise CodecError(f"must be one of {choice}, got {shown(value)}") from error

    return Field(_text, read, str)


INTEGER = Field(_same, _integer, _same)
OPTIONAL_INTEGER = Field(_same, _optional_integer, _same)
TRUTH = Field(_same, _truth, _same)
OPTIONAL_TRUTH = Field(_same, _optional_truth, _same)
NUMBER = Field(_write_number, _read_number, _write_number)
OPTIONAL_NUMBER = Field(_write_optional_number, _optional_number, _write_optional_number)
TEXT = Field(_text, _text, str)
NAMES = Field(_names, _names, list)
NUMBERS = Field(_numbers, _numbers, list)
DETECTIONS = Field(_write_detections, _read_detections, _show_detections)
SAMPLES = Field(_write_samples, _read_samples, _show_samples)
