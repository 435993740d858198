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
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            text = file.read(LARGEST_TRACE + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise SourceError(f"the trace {path} cannot be read: {error}") from error
    if len(text) > LARGEST_TRACE:
        raise SourceError(
            f"the trace {path} holds more than {LARGEST_TRACE} bytes; give a shorter one"
        )
    lines = text.split()
    try:
        counts = np.array(lines, dtype=np.bytes_).astype(np.int64)
    except ValueError:
        wrong = next(n for n, line in enumerate(lines, 1) if not line.lstrip(b"+-").isdigit())
        raise SourceError(
            f"the trace {path} must hold one whole number a line, got {lines[wrong - 1][:40]!r} "
            f"as entry {wrong}"
        ) from None
    return np.asarray(counts >= at_least)
