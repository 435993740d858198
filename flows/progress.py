"""Progress displays on a terminal: of runs and of downloads. Elsewhere they stay silent."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING

from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)

from flows.output import error_console
from flows.probe import declared_frames

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from rich.console import Console

    from connectors.video import VideoSettings
    from flows.counts import RunCounts, StreamCounts

MOST_ROWS = 12
"""Streams beyond this number share one row."""

REFRESH_SECONDS = 0.2
"""The time between two looks at the counts, seconds."""


@contextlib.contextmanager
def run_progress(
    videos: Mapping[str, VideoSettings], out: Console
) -> Iterator[Callable[[RunCounts], None]]:
    """Show how far each stream has come.

    Args:
        videos: The streams.
        out: The console to show it on; lines printed on the same one stay above the display.

    Yields:
        What to call with the counts as the run goes on, as often as one likes.
    """
    progress = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        console=out,
        disable=not out.is_terminal,
    )
    totals = {name: declared_frames(video) for name, video in videos.items()}
    view = _RunView(progress, totals)
    with progress:
        yield view.show
        view.finish()


class _RunView:
    """Keeps the rows of a progress display in step with the counts."""

    def __init__(self, progress: Progress, totals: Mapping[str, int | None]) -> None:
        self._progress = progress
        self._next = 0.0
        self._last: RunCounts | None = None
        self._together = len(totals) > MOST_ROWS
        if self._together:
            known = [total for total in totals.values() if total is not None]
            whole = sum(known) if len(known) == len(totals) else None
            rows: Mapping[str, int | None] = {f"{len(totals)} streams": whole}
        else:
            rows = totals
        self._rows = {
            name: progress.add_task(name, total=total, note="") for name, total in rows.items()
        }

    def show(self, counts: RunCounts) -> None:
        self._last = counts
        now = time.monotonic()
        if now < self._next or self._progress.disable:
            return
        self._next = now + REFRESH_SECONDS
        self._update(counts)

    def finish(self) -> None:
        if self._last is not None:
            self._update(self._last)

    def _update(self, counts: RunCounts) -> None:
        if self._together:
            (row,) = self._rows.values()
            parts = list(counts.streams.values())
            done = sum(_done(part) for part in parts)
            self._progress.update(row, completed=done, note=_note(parts))
            return
        for name, part in list(counts.streams.items())[:MOST_ROWS]:
            if name not in self._rows:  # a stream of Kafka, which nobody has named
                self._rows[name] = self._progress.add_task(name, total=None, note="")
            self._progress.update(self._rows[name], completed=_done(part), note=_note([part]))


def _done(part: StreamCounts) -> int:
    return sum(part.decided.values())


def _note(parts: list[StreamCounts]) -> str:
    opened = sum(part.alerts["opened"] for part in parts)
    dropped = sum(sum(part.dropped.values()) for part in parts)
    words = [f"{opened} alert{'s' if opened != 1 else ''}"] if opened else []
    words += [f"{dropped} dropped"] if dropped else []
    return ", ".join(words)


@contextlib.contextmanager
def download_progress(what: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show a download.

    Args:
        what: What is fetched.

    Yields:
        What to call with the bytes that are here and all bytes, if known.
    """
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=error_console(),
        disable=not sys.stderr.isatty(),
        transient=True,
    )
    with progress:
        row = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(row, completed=done, total=total)


@contextlib.contextmanager
def step_progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a step whose length is known.

    Args:
        what: What is done.
        total: How much there is to do.

    Yields:
        What to call with how much is done.
    """
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        console=error_console(),
        disable=not sys.stderr.isatty(),
        transient=True,
    )
    with progress:
        row = progress.add_task(what, total=total)
        yield lambda done: progress.update(row, completed=done)
