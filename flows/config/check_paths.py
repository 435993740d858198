"""Checks of paths that a run writes to."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from flows.config.faults import show

if TYPE_CHECKING:
    from pathlib import Path

    from flows.config.document import Document
    from flows.config.document import Path as KeyPath


def check_folder(document: Document, path: KeyPath, text: str, wanted: Path) -> None:
    """Check that `wanted` is, or can be made, a folder to write in."""
    try:
        problem = _unwritable(wanted)
    except (OSError, ValueError):
        problem = "is no usable path"
    if problem:
        document.fault(path, show(document, path, text), problem, "Name a folder you may write in.")


def _unwritable(wanted: Path) -> str:
    """Why `wanted` neither is nor can be made a folder to write in; empty when it can."""
    existing = wanted
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        return f"cannot be made, since {existing} is no folder"
    return "" if os.access(existing, os.W_OK) else "cannot be written to"
