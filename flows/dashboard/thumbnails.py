"""Small annotated pictures of running streams, made only while somebody looks.

A frame is scaled down in the worker that takes it in, at most one a stream and second and only for
streams that were asked for lately. It is drawn and encoded when the page asks, once it is decided.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from connectors.video.demand_pixels import OnDemandPixels
from flows.why_drawing import FAINT, GROUND, TEXT, canvas, write
from records import FrameBatch, SourceError, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from records import Frame, Record, VerdictBatch

WIDTH = 256
"""Width of a picture, pixels."""

LARGE_WIDTH = 512
"""Width of a picture where there is room for a large one, pixels."""

TALLEST = 2
"""The greatest height of a picture, times its width: whatever is sent, memory is bounded."""

INTERVAL_SECONDS = 0.95
"""The least time between two pictures of one stream, seconds."""

WATCH_SECONDS = 8.0
"""Pictures of a stream are made so long after it was last asked for, seconds."""

PATIENCE_SECONDS = 20.0
"""A frame waits so long for its decision before another is taken, seconds."""

JPEG_QUALITY = 72
"""Of the pictures."""

CAPTION_PIXELS = 18
"""Height of the line below the picture that says who decided, pixels."""

BOX = (230, 159, 0)
"""The colour of boxes, RGB: orange of Okabe & Ito, with a dark line around it."""

_LABEL_SCALE = 0.33


@dataclass(slots=True)
class _Watched:
    """What is kept of a stream that somebody looks at.

    Attributes:
        asked: When it was last asked for, seconds.
        width: How wide pictures are to be, pixels.
        taken: When a frame was last taken.
        waits: The number of the frame that waits for its decision, its picture, its scale.
        ready: A picture that can be drawn, its scale, the decision.
        jpeg: The latest drawn picture.
    """

    asked: float
    width: int
    taken: float = -np.inf
    waits: tuple[int, NDArray[np.uint8], float] | None = None
    ready: tuple[NDArray[np.uint8], float, Verdict] | None = None
    jpeg: bytes | None = None


class Thumbnails:
    """The latest picture of each stream; safe to use from several threads.

    Args:
        monotonic: Tells the time, seconds; only differences count.

    Attributes:
        missed: Frames that could not be had for a picture: their packets were gone or damaged.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._now = monotonic
        self._lock = threading.Lock()
        self._streams: dict[str, _Watched] = {}
        self.missed = 0

    def look(self, stream: str, width: int = WIDTH) -> bytes | None:
        """The latest picture of a stream, a JPEG; None while there is none. Asks for more.

        Args:
            stream: The stream.
            width: How wide the next pictures are to be, pixels.
        """
        with self._lock:
            now = self._now()
            watched = self._streams.setdefault(stream, _Watched(now, width))
            watched.asked, watched.width = now, width
            ready, watched.ready = watched.ready, None
        if ready is not None:
            jpeg = draw(*ready)
            with self._lock:
                watched.jpeg = jpeg
        return watched.jpeg

    def entered(self, batch: FrameBatch | VerdictBatch) -> None:
        """Take a frame of a batch that enters the flow, if one is due."""
        watched = self._streams.get(batch.stream)
        if watched is None or not isinstance(batch, FrameBatch) or not batch.frames:
            return
        now = self._now()
        if now - watched.asked > WATCH_SECONDS:
            with self._lock:
                self._streams.pop(batch.stream, None)
            return
        wait = INTERVAL_SECONDS if watched.waits is None else PATIENCE_SECONDS
        if now - watched.taken < wait:
            return
        frame = next((one for one in reversed(batch.frames) if _is_cheap(one)), None)
        if frame is None:
            return
        watched.taken = now
        full = frame.pixels.width
        width, height = fitted(full, frame.pixels.height, watched.width)
        try:
            small = frame.pixels.rgb(width, height)
        except SourceError:
            self.missed += 1
            return
        with self._lock:
            watched.waits = frame.sequence, small, width / full

    def decided(self, stream: str, records: Sequence[Record]) -> None:
        """Take the decision on the frame that waits, if it is among these records."""
        watched = self._streams.get(stream)
        if watched is None or watched.waits is None:
            return
        sequence, small, scale = watched.waits
        for record in records:
            if isinstance(record, Verdict) and record.sequence == sequence:
                with self._lock:
                    watched.waits, watched.ready = None, (small, scale, record)
                return


def _is_cheap(frame: Frame) -> bool:
    """Whether its pixels cost little: of streams decoded on demand only keyframes do."""
    return frame.keyframe or not isinstance(frame.pixels, OnDemandPixels)


def fitted(width: int, height: int, wanted: int = WIDTH) -> tuple[int, int]:
    """The size of a picture `wanted` pixels wide of a frame of this size, pixels.

    >>> fitted(768, 576), fitted(100, 4000)
    ((256, 192), (256, 512))
    """
    return wanted, min(max(round(height * wanted / width), 1), TALLEST * wanted)


def draw(small: NDArray[np.uint8], scale: float, verdict: Verdict) -> bytes:
    """Draw the boxes of a decision and who made it; a JPEG.

    Args:
        small: The frame, uint8 (height, width, 3), RGB; not changed.
        scale: Its width over that of the full frame.
        verdict: The decision.
    """
    image = small.copy()
    answer = verdict.answer
    for place, box in enumerate(answer.boxes.tolist()):
        x1, y1, x2, y2 = (round(corner * scale) for corner in box)
        cv2.rectangle(image, (x1, y1), (x2, y2), GROUND, 3)
        cv2.rectangle(image, (x1, y1), (x2, y2), BOX, 1)
        name = answer.classes[place]
        write(image, name, (x1 + 2, max(y1 - 3, 9)), colour=BOX, scale=_LABEL_SCALE, width=WIDTH)
    caption = canvas(image.shape[1], CAPTION_PIXELS)
    words = f"{verdict.stage} {verdict.score:.2f}{', audited' if verdict.audited else ''}"
    used = write(caption, words, (4, 13), colour=TEXT, scale=0.38, width=image.shape[1])
    write(caption, f"frame {verdict.sequence}", (used + 12, 13), colour=FAINT, scale=0.36, width=90)
    picture = cv2.cvtColor(np.vstack([image, caption]), cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    assert done, "JPEG takes every uint8 picture"
    return data.tobytes()
