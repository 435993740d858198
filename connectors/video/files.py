"""Reads a video file, or a folder of segments, as one stream."""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

from connectors.video.container import VideoContainer
from connectors.video.damage import ASKED_IN_VAIN, Damage, OpenError
from connectors.video.demand import OnDemandDecoder
from connectors.video.items import Decoded, Position
from connectors.video.timeline import Timeline
from connectors.video.uri import file_url, parse_uri
from records.event import EventKind, StreamEvent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from connectors.video.coding import Picture
    from connectors.video.settings import VideoSettings

_DIGITS = re.compile(r"(\d+)")


def natural_key(name: str) -> tuple[tuple[str | int, ...], str]:
    """A key that sorts numbers in names by value.

    >>> sorted(["seg10.ts", "seg2.ts", "intro.ts"], key=natural_key)
    ['intro.ts', 'seg2.ts', 'seg10.ts']
    """
    parts = _DIGITS.split(name)
    return tuple(int(part) if i % 2 else part for i, part in enumerate(parts)), name


class FileReader:
    """Reads the segments of a stream to the end, waiting for whoever takes the frames.

    Args:
        stream: The stream's name.
        settings: Its settings.
        resume: Where to go on; None begins at the beginning.
    """

    def __init__(
        self, stream: str, settings: VideoSettings, resume: Position | None = None
    ) -> None:
        self._stream = stream
        self._settings = settings
        self._address = parse_uri(settings.uri)
        # Before its first frame a stream has nothing to go on from.
        self._resume = resume if resume is not None and resume.frames else None
        self._timeline = Timeline(settings.start_ns or 0)
        if self._resume is not None:
            self._timeline.state = self._resume.timeline
        # Who goes on has told of the opening before.
        self._opened = self._resume is not None
        self._decoder = OnDemandDecoder(stream, settings) if settings.is_on_demand else None

    def __iter__(self) -> Iterator[Decoded | StreamEvent]:
        try:
            segments = self._segments()
        except OSError as error:  # no right to look, a name too long
            yield self._event(EventKind.UNREADABLE, "failed", str(error.strerror))
            return
        if not segments:
            yield self._event(EventKind.UNREADABLE, "empty", "the folder holds no files")
        for segment in segments:
            resume = self._resume
            if resume is None or natural_key(segment) > natural_key(resume.segment):
                yield from self._read(segment, None)
            elif segment == resume.segment:
                yield from self._read(segment, resume)

    def _segments(self) -> list[str]:
        """The names of the files in the folder; one empty name when the stream is no folder."""
        folder = self._address.path
        if folder is None or not folder.is_dir():
            return [""]
        names = (entry.name for entry in folder.iterdir() if entry.is_file())
        return sorted((name for name in names if not name.startswith(".")), key=natural_key)

    def _read(self, segment: str, resume: Position | None) -> Iterator[Decoded | StreamEvent]:
        try:
            by_seeking = resume is not None and self._can_seek(segment, resume)
            video = self._open(segment)
        except OpenError as error:
            yield self._event(EventKind.UNREADABLE, error.reason, error.detail, segment)
            return
        with closing(video):
            yield from self._begin(video, resume)
            frames = self._frames(video)
            if resume is not None:
                if by_seeking and resume.ticks is not None:
                    video.seek(resume.ticks)
                    frames = _after_ticks(frames, resume.ticks)
                else:
                    frames = _after_count(frames, resume.frames)
            yield from self._stamped(frames, segment, resume)
            missing, how = video.missing()
            if missing:
                yield self._event(EventKind.TRUNCATED, "ends_early", how, segment, missing)
            elif video.failure is not None:
                detail = f"the rest cannot be read: {video.failure.detail}"
                yield self._event(EventKind.CORRUPT, "read_error", detail, segment, 1)

    def _open(self, segment: str) -> VideoContainer:
        settings, address = self._settings, self._address
        open_seconds: float | None = settings.open_seconds
        stall_seconds: float | None = settings.stall_seconds
        if address.path is not None:
            path = address.path / segment
            if path.is_file() and path.stat().st_size == 0:
                raise OpenError("empty", "is empty (0 bytes)")
            address = replace(address, url=file_url(path))
            open_seconds = stall_seconds = None
        return VideoContainer(
            address,
            live=False,
            open_seconds=open_seconds,
            stall_seconds=stall_seconds,
            decode_threads=settings.decode_threads,
            on_demand=settings.is_on_demand,
        )

    def _frames(self, video: VideoContainer) -> Iterator[Picture | Damage]:
        if self._decoder is None:
            return video.frames()
        return self._with_failures(video.frames_on_demand(self._decoder), self._decoder)

    @staticmethod
    def _with_failures(
        frames: Iterator[Picture | Damage], decoder: OnDemandDecoder
    ) -> Iterator[Picture | Damage]:
        """Tell of pixels that were asked for in vain, soon after."""
        for item in frames:
            failed = decoder.take_failures()
            if failed:
                yield Damage(ASKED_IN_VAIN[0], failed, ASKED_IN_VAIN[1])
            yield item

    def _can_seek(self, segment: str, resume: Position) -> bool:
        """Whether seeking leads to a frame at or before the position, so that none is missed."""
        if resume.ticks is None:
            return False
        with closing(self._open(segment)) as video:
            if not video.seek(resume.ticks):
                return False
            frames = video.frames()
            shown = (item.ticks for item in frames if not isinstance(item, Damage))
            first = next(shown, None)
            return first is not None and first <= resume.ticks

    def _begin(self, video: VideoContainer, resume: Position | None) -> Iterator[StreamEvent]:
        if not self._opened:
            if self._settings.start_ns is None and self._resume is None:
                self._timeline = Timeline(video.created_ns or 0)
            self._opened = True
            yield self._event(EventKind.OPENED, "", video.description)
        if resume is None:
            self._timeline.anchor(video.time_base, video.step_ns)
        else:
            self._timeline.resume(resume.timeline, video.time_base, video.step_ns)

    def _stamped(
        self,
        frames: Iterator[Picture | Damage],
        segment: str,
        resume: Position | None,
    ) -> Iterator[Decoded | StreamEvent]:
        """Give frames their event time. Suspended, this holds no frame: memory is counted."""
        numbers = count(1 if resume is None else resume.frames + 1)
        steady = resume is None or resume.ticks is not None
        out: list[Decoded] = []
        for item in frames:
            if isinstance(item, Damage):
                yield self._event(EventKind.CORRUPT, item.reason, item.detail, segment, item.count)
                continue
            ticks = item.ticks
            _, repaired = self._timeline.stamp(ticks, item.duration)
            steady = steady and not repaired and ticks is not None
            position = Position(
                self._timeline.state, segment, next(numbers), ticks if steady else None
            )
            out.append(Decoded(item.pixels, position, item.coding))
            del item
            if repaired:
                yield self._event(EventKind.CORRUPT, "timestamp", "repaired", segment, 1)
            yield out.pop()

    def _event(
        self, kind: EventKind, reason: str, detail: str, segment: str = "", lost: int = 0
    ) -> StreamEvent:
        state = self._timeline.state
        time_ns = state.next_ns if state.last_ns is None else state.last_ns
        label = f"{self._address.label}/{segment}" if segment else self._address.label
        detail = f"{label}: {detail}" if detail else ""
        return StreamEvent(self._stream, time_ns, kind, lost, reason, detail)


def _after_ticks(frames: Iterator[Picture | Damage], ticks: int) -> Iterator[Picture | Damage]:
    """What comes after the frame shown at `ticks`; damage before it was reported already."""
    for item in frames:
        shown = None if isinstance(item, Damage) else item.ticks
        if shown is None or shown < ticks:
            continue
        if shown > ticks:
            yield item
        del item
        break
    yield from frames


def _after_count(frames: Iterator[Picture | Damage], taken: int) -> Iterator[Picture | Damage]:
    """What comes after so many frames; damage before them was reported already."""
    for item in frames:
        taken -= not isinstance(item, Damage)
        del item
        if taken == 0:
            break
    yield from frames
