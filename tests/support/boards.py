"""Boards for tests of the dashboard: made streams with everything that a page can show."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from connectors.video.pixels import ArrayPixels
from flows.dashboard.background import Background, BackgroundSettings
from flows.dashboard.board import LiveBoard
from flows.dashboard.explanations import Explanations
from flows.dashboard.state import DashboardState
from flows.dashboard.thumbnails import Thumbnails
from records import (
    Alert,
    AlertState,
    Detections,
    Estimate,
    EventKind,
    Finding,
    Frame,
    FrameBatch,
    Stage,
    StreamEvent,
    Verdict,
)
from tests.support.records import START_NS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from records import Record

SECOND = 10**9
HERTZ = 10
STAGES = (Stage.PACKETS, Stage.SKIP, Stage.DIFFERENCE, Stage.SPECIALISED, Stage.REFERENCE)
SHARES = (0.45, 0.1, 0.27, 0.1, 0.08)


def names(count: int) -> list[str]:
    """The names of so many streams, some of them awkward."""
    return [f"camera {place:02}" if place else "Entrance north/1 <b>" for place in range(count)]


def board(
    streams: Sequence[str], beside: BackgroundSettings | None = None, run_dir: Path | None = None
) -> LiveBoard:
    """A board of a run that goes on, as yet without records."""
    return LiveBoard(
        description={
            "name": "town centre",
            "run": "town-20260501T080000Z",
            "started": START_NS / 1e6,
            "configuration": "ab" * 32,
            "targets": {"recall": 0.95, "precision": 0.9},
        },
        state=DashboardState(streams),
        thumbnails=Thumbnails(),
        explanations=Explanations(run_dir),
        beside=Background(beside or BackgroundSettings()),
        figures=lambda: {"model": "yolox_nano", "frames": 830, "calls": 210, "seconds": 41.2},
        scrape=lambda: b"sightflow_frames_total 1\n",
    )


def boxes(second: float) -> Detections:
    """Two people who walk."""
    left = 20 + 12 * second % 180
    found = [(left, 60, left + 30, 140), (230 - left / 2, 80, 260 - left / 2, 150)]
    return Detections.of(found, [0.9, 0.7], ["person", "person"], tracks=[1, 2])


def picture(
    second: float, height: int = 180, width: int = 320
) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A street with a moving patch."""
    image = np.full((height, width, 3), (96, 104, 112), np.uint8)
    image[height // 2 :] = (70, 74, 80)
    left = int(20 + 12 * second % 180)
    image[60:140, left : left + 30] = (180, 120, 60)
    return image


def frames(stream: str, first: int, count: int) -> FrameBatch:
    """Frames with pixels."""
    made = (
        Frame(stream, one, START_NS + one * SECOND // HERTZ, ArrayPixels(picture(one / HERTZ)))
        for one in range(first, first + count)
    )
    return FrameBatch(stream, tuple(made))


def verdicts(stream: str, first: int, count: int, seed: int = 0) -> list[Verdict]:
    """Decisions by all stages."""
    rng = np.random.default_rng([seed, first])
    drawn = rng.choice(len(STAGES), size=count, p=SHARES)
    return [
        Verdict(
            stream, one, START_NS + one * SECOND // HERTZ, STAGES[place], 0.25 + place / 10,
            Detections.empty() if STAGES[place] is Stage.PACKETS else boxes(one / HERTZ),
            positive=bool(one // 50 % 2),
            audited=one % 100 == 0 and STAGES[place] is Stage.REFERENCE,
        )
        for one, place in enumerate(drawn, first)
    ]  # fmt: skip


def estimates(stream: str, windows: int, scale: float = 3.0) -> Iterator[Estimate]:
    """Windows of half a minute, and the audit's two shares."""
    for one in range(windows):
        value = scale + scale / 3 * math.sin(one / 6) + 0.3 * math.sin(one * 1.7)
        end = START_NS + (one + 1) * 30 * SECOND
        wide = 0.25 + 0.2 * abs(math.sin(one / 4))
        yield Estimate(
            stream,
            "people/average/person",
            end - 30 * SECOND,
            end,
            value,
            value - wide,
            value + wide,
            0.95,
            30,
            300,
        )
        for name, middle in (("audit recall", 0.975), ("audit precision", 0.94)):
            room = 0.5 / (one + 5) ** 0.7
            yield Estimate(
                stream,
                name,
                START_NS,
                end,
                middle,
                max(middle - room, 0),
                min(middle + room, 1.0),
                0.95,
                3 * one + 3,
                300 * (one + 1),
            )


def alerts(stream: str, opened: int, closed: int | None, rule: str = "crowd") -> Iterator[Alert]:
    """An episode."""

    def change(state: AlertState, at: int, message: str) -> Alert:
        time_ns, opened_ns = (START_NS + one * SECOND // HERTZ for one in (at, opened))
        return Alert(
            stream,
            rule,
            state,
            time_ns,
            at,
            opened_ns,
            opened,
            1.5,
            6.0,
            7.0,
            message,
            stage="reference",
            model="yolox_nano",
            configuration="ab" * 32,
        )

    yield change(AlertState.OPENED, opened, "6 of class 'person' in view, the rule is at least 4")
    if closed is not None:
        yield change(
            AlertState.CLOSED, closed, f"over after {(closed - opened) / HERTZ:.1f} s, peak 7"
        )


def findings(stream: str, count: int) -> Iterator[Finding]:
    """What two assertions found."""
    for one in range(count):
        at = START_NS + one * 37 * SECOND
        name = ("flicker", "multibox", "count_jump")[one % 3]
        yield Finding(stream, name, one, at, one, at, 1.0, "not as it should be", object="1")


def events(stream: str, place: int) -> list[StreamEvent]:
    """What befell a stream."""
    at = START_NS
    told = [StreamEvent(stream, at, EventKind.OPENED, detail="h264 768x576 at 10 Hz")]
    if place % 5 == 0:
        told.append(StreamEvent(stream, at + 60 * SECOND, EventKind.DROPPED, 12, "flow_behind"))
    if place % 7 == 2:
        detail = (
            "recall is in 0.803..0.921 over 140 audited frames; from packets+reference to reference"
        )
        told.append(
            StreamEvent(
                stream, at + 300 * SECOND, EventKind.CONTRACT, reason="recall_broken", detail=detail
            )
        )
    if place % 9 == 3:
        told.append(
            StreamEvent(
                stream,
                at + 500 * SECOND,
                EventKind.LOST,
                reason="stalled",
                detail="no packet for 8 s",
            )
        )
    if place % 4 == 0:
        told.append(
            StreamEvent(
                stream,
                at + 420 * SECOND,
                EventKind.MODEL,
                reason="swapped",
                detail="gate@3 to gate@4",
            )
        )
    return told


def fill(shown: LiveBoard, streams: Sequence[str], seconds: int = 120) -> None:
    """Fill a board: all kinds of records, and a picture of each stream."""
    for place, stream in enumerate(streams):
        first = [one for one in events(stream, place) if one.kind is not EventKind.LOST]
        shown.observe(stream, first)
        shown.thumbnails.look(stream)
        shown.thumbnails.entered(frames(stream, seconds * HERTZ - 8, 8))
        records: list[Record] = [*verdicts(stream, 0, seconds * HERTZ, seed=place)]
        if place % 3 == 0 and place < 24:
            records += estimates(stream, 40, scale=2.0 + place % 5)
        records += findings(stream, 5 + 3 * place % 17)
        if place % 3 == 0:
            records += alerts(stream, 300, 380)
        if place % 8 == 1:
            records += alerts(stream, seconds * HERTZ - 40, None, rule="loitering")
        shown.observe(stream, records)
        shown.observe(stream, [one for one in events(stream, place) if one.kind is EventKind.LOST])
