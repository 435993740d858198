"""Label traces: the reference's counts of a whole recording, to study rules without its pixels."""

from __future__ import annotations

import gzip
import zlib
from typing import TYPE_CHECKING

import numpy as np

from records import SourceError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

LARGEST_TRACE = 256 * 2**20
"""The most bytes of text that a trace may hold, unpacked."""


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
    try:
        if path.stat().st_size > LARGEST_TRACE:
            raise SourceError(
                f"the trace {path} holds more than {LARGEST_TRACE} bytes; give a shorter one"
            )
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise SourceError(f"the trace {path} cannot be read: {error}") from error
    if array.ndim != 1 or array.dtype.kind not in "iuf":
        raise SourceError(
            f"the trace {path} must be an array of numbers (n,), got {array.dtype} {array.shape}"
        )
    return np.asarray(array, np.float64)


def _read_numbers(path: Path) -> NDArray[np.float64]:
    lines = _read_lines(path)
    try:
        return np.array(lines, dtype=np.bytes_).astype(np.float64)
    except ValueError:
        place, wrong = next((n, line) for n, line in enumerate(lines, 1) if not _is_number(line))
        raise SourceError(
            f"the trace {path} must hold one number a line, got {wrong[:40]!r} as entry {place}"
        ) from None


def _is_number(line: bytes) -> bool:
    try:
        float(line)
    except ValueError:
        return False
    return True


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
    lines = _read_lines(path)
    try:
        counts = np.array(lines, dtype=np.bytes_).astype(np.int64)
    except ValueError:
        wrong = next(n for n, line in enumerate(lines, 1) if not line.lstrip(b"+-").isdigit())
        raise SourceError(
            f"the trace {path} must hold one whole number a line, got {lines[wrong - 1][:40]!r} "
            f"as entry {wrong}"
        ) from None
    return np.asarray(counts >= at_least)


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
