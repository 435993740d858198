"""Label traces: the reference's counts of a whole recording, to study rules without its pixels."""

from __future__ import annotations

import contextlib
import gzip
import io
import zlib
from tokenize import TokenError
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from records import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

LARGEST_TRACE = 64 * 2**20
"""The most bytes that a trace may hold, unpacked: 12 days of small counts at 30 Hz."""

LONGEST_NUMBER = 64
"""The most characters of one entry: an array of texts gives the longest one's room to all."""

_INT64 = 2**63
_NPY_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
Number = TypeVar("Number", np.float64, np.int64)


def read_trace(path: Path) -> NDArray[np.float64]:
    """Read a trace of one value a frame: a recorded reference, without its pixels.

    Args:
        path: One number a line; gzip when it ends in .gz; or a numpy array when in .npy.

    Returns:
        float64 (frames,), finite.

    Raises:
        SourceError: the file cannot be read, is too large or holds something else.
    """
    values = _read_array(path) if path.suffix == ".npy" else _read_numbers(path)
    if not len(values):
        raise SourceError(f"the trace {path} is empty; give one number a line")
    if not np.isfinite(values).all():
        place = int(np.flatnonzero(~np.isfinite(values))[0])
        raise SourceError(f"the trace {path} must hold finite numbers, got {values[place]} as "
                          f"entry {place + 1}")  # fmt: skip
    return values


def _read_array(path: Path) -> NDArray[np.float64]:
    """An array whose header agrees with the file's size; nothing is allocated before."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_TRACE + 1)
        if len(data) > LARGEST_TRACE:
            raise SourceError(
                f"the trace {path} holds more than {LARGEST_TRACE} bytes; give a shorter one"
            )
        stream = io.BytesIO(data)
        version = np.lib.format.read_magic(stream)
        # Later versions are for arrays of records, which no trace is.
        shape, _, dtype = _NPY_HEADERS[version](stream)
    except (OSError, KeyError, ValueError, TypeError, RecursionError, TokenError) as error:
        raise SourceError(f"the trace {path} cannot be read: {error}") from error
    if len(shape) != 1 or dtype.kind not in "iuf":
        raise SourceError(f"the trace {path} must be an array of numbers (n,), got {dtype} {shape}")
    values = stream.read()
    if shape[0] < 0 or len(values) != shape[0] * dtype.itemsize:
        raise SourceError(
            f"the trace {path} must hold {shape[0]} numbers of {dtype.itemsize} bytes, "
            f"got {len(values)} bytes"
        )
    return np.frombuffer(values, dtype).astype(np.float64)


def _read_numbers(path: Path) -> NDArray[np.float64]:
    return _converted(path, np.float64, "number", float)


def read_presence(path: Path, at_least: int = 1) -> NDArray[np.bool_]:
    """Read a trace of object counts as the presence of at least so many objects.

    Args:
        path: One whole number a line and frame; gzip when it ends in .gz.
        at_least: How many objects make a frame positive.

    Returns:
        bool (frames,).

    Raises:
        SourceError: the file cannot be read, is too large or holds something else.
    """
    return np.asarray(_converted(path, np.int64, "whole number", int) >= at_least)


def _converted(
    path: Path, dtype: type[Number], what: str, convert: Callable[[bytes], float]
) -> NDArray[Number]:
    """The entries of a text as numbers."""
    lines = _read_lines(path)
    if all(len(line) <= LONGEST_NUMBER for line in lines):
        with contextlib.suppress(ValueError, OverflowError):  # told below, with its place
            return np.array(lines, dtype=np.bytes_).astype(dtype)
    place, wrong = next((n, line) for n, line in enumerate(lines, 1) if not _fits(line, convert))
    raise SourceError(
        f"the trace {path} must hold one {what} a line, got {wrong[:40]!r} as entry {place}"
    )


def _fits(line: bytes, convert: Callable[[bytes], float]) -> bool:
    """Whether an entry is a number that the array can hold."""
    if len(line) > LONGEST_NUMBER:
        return False
    try:
        value = convert(line)
    except ValueError:
        return False
    return isinstance(value, float) or -_INT64 <= value < _INT64


def _read_lines(path: Path) -> list[bytes]:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            text = file.read(LARGEST_TRACE + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise SourceError(f"the trace {path} cannot be read: {error}") from error
    if len(text) > LARGEST_TRACE:
        raise SourceError(
            f"the trace {path} holds more than {LARGEST_TRACE} bytes; give a shorter one"
        )
    return text.split()
