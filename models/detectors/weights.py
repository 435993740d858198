"""Checks on a file of weights before any runtime opens it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from records import DetectorError

if TYPE_CHECKING:
    from pathlib import Path

LARGEST_WEIGHTS = 4 * 2**30
"""The largest file of weights that is opened, bytes."""


def check_weights(path: Path) -> None:
    """Raise DetectorError unless `path` is a file of at most 4 GiB that is not empty."""
    if not path.is_file():
        raise DetectorError(f"weights must be a file, got {path}, which is none")
    size = path.stat().st_size
    if not 0 < size <= LARGEST_WEIGHTS:
        raise DetectorError(f"weights must hold 1..{LARGEST_WEIGHTS} bytes, {path} holds {size}")
