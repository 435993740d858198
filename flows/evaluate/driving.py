"""Driving a cascade over a stretch of a recorded video, as the dataflow would, and timing it.

The frames come from the very source of the dataflow and go through the very cascade; only the
engine between them is left out. Opening, reading, decoding and every verdict are in the time.
"""

from __future__ import annotations

import statistics
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from connectors.video import VideoPartition, VideoSettings, VideoSource
from operators.cascade import Cascade, CascadeSettings, Models
from records import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from connectors.video.items import StreamState
    from operators.plan import Plan
    from operators.predicate import Predicate
    from records import Frame, FrameBatch, Verdict

STREAM = "evaluate"
"""The name of the stream in evaluations."""

BATCH_FRAMES = 128
"""Frames that travel together in evaluations."""

FRAMES_IN_MEMORY = 256
"""Decoded frames held at once in evaluations."""

RUNS = 5
"""The most runs of one plan."""

ENOUGH_SECONDS = 2.0
"""Runs that have taken so long together are not repeated, seconds."""

POLL_SECONDS = 0.001
"""The wait before a source that had nothing ready is asked again, seconds."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of a recorded video.

    Attributes:
        video: The video.
        start: Its first frame, a multiple of `BATCH_FRAMES`.
        stop: The frame behind its last.
        state: Where the source goes on to read from `start`; None begins at the beginning.
    """

    video: VideoSettings
    start: int
    stop: int
    state: StreamState | None

    def batches(self) -> Iterator[FrameBatch]:
        """Read the stretch.

        Raises:
            SourceError: the video ends, or cannot be read, before the stretch does.
        """
        part = partition(replace(self.video, frames_at_most=self.stop), self.state)
        seen = self.start
        try:
            for batch in _emitted(part):
                seen += len(batch.frames)
                yield batch
        finally:
            part.close()
        if seen != self.stop:
            raise SourceError(f"{self.video.uri} held frames up to {seen}, not to {self.stop}")

    def frames(self) -> Iterator[Frame]:
        """The frames of the stretch."""
        for batch in self.batches():
            yield from batch.frames


@dataclass(frozen=True, slots=True)
class Driven:
    """What a cascade gave on a stretch.

    Attributes:
        verdicts: One a frame, in order.
        seconds: How long it took, opening, reading and decoding included.
    """

    verdicts: list[Verdict]
    seconds: float

    @property
    def positive(self) -> NDArray[np.bool_]:
        """The answers, bool (n,)."""
        return np.array([bool(verdict.positive) for verdict in self.verdicts], dtype=np.bool_)

    @property
    def fps(self) -> float:
        """Frames a second."""
        return len(self.verdicts) / self.seconds


def partition(video: VideoSettings, state: StreamState | None) -> VideoPartition:
    """The dataflow's source of a video, from a state on."""
    source = VideoSource({STREAM: video}, stop=threading.Event())
    return source.build_part("evaluate", STREAM, state)


def settings_for(video: VideoSettings, plan: Plan) -> VideoSettings:
    """How a video is read for a plan: decoded on demand where the plan leaves frames undecoded."""
    if plan.packets is not None or plan.stride > 1:
        return on_demand(video)
    return replace(
        video, decode="ahead", batch_frames=BATCH_FRAMES, frames_in_memory=FRAMES_IN_MEMORY
    )


def on_demand(video: VideoSettings) -> VideoSettings:
    """How a video is read when only the frames that are asked for are decoded."""
    return replace(
        video, decode="on_demand", batch_frames=BATCH_FRAMES, frames_in_memory=FRAMES_IN_MEMORY
    )


def state_at(video: VideoSettings, start: int) -> StreamState | None:
    """Where the source goes on to read a file from a frame, a multiple of `BATCH_FRAMES`."""
    if start == 0:
        return None
    part = partition(on_demand(video), None)
    seen = 0
    try:
        for batch in _emitted(part):
            seen += len(batch.frames)
            if seen >= start:
                return part.snapshot()
    finally:
        part.close()
    raise SourceError(f"{video.uri} holds {seen} frames, not {start}")


def drive(stretch: Stretch, plan: Plan, predicate: Predicate, models: Models, batch: int) -> Driven:
    """Run a plan over a stretch, and time it.

    Args:
        stretch: What to run over.
        plan: The plan.
        predicate: The question.
        models: The models.
        batch: The most frames in one call of the reference detector.
    """
    begun = time.perf_counter()
    reading = replace(stretch, video=settings_for(stretch.video, plan))
    cascade = Cascade(CascadeSettings(plan, predicate, batch=batch), models)
    verdicts: list[Verdict] = []
    for item in reading.batches():
        for out in cascade.on_items([item]):
            verdicts += out.verdicts
    return Driven(verdicts, time.perf_counter() - begun)


def timed(stretch: Stretch, plan: Plan, predicate: Predicate, models: Models, batch: int) -> Driven:
    """Run a plan as `drive` does, short runs several times: the run of median time counts.

    Args:
        stretch: What to run over.
        plan: The plan.
        predicate: The question.
        models: The models.
        batch: The most frames in one call of the reference detector.
    """
    runs = [drive(stretch, plan, predicate, models, batch)]
    while len(runs) < RUNS and sum(run.seconds for run in runs) < ENOUGH_SECONDS:
        runs.append(drive(stretch, plan, predicate, models, batch))
    runs.sort(key=lambda run: run.seconds)
    return runs[len(runs) // 2]


def opening_seconds(stretch: Stretch) -> float:
    """How long it takes until the first frames of a stretch are there, seconds; the median."""
    reading = replace(stretch, video=on_demand(stretch.video))

    def opened() -> float:
        begun = time.perf_counter()
        part = partition(replace(reading.video, frames_at_most=reading.stop), reading.state)
        try:
            next(_emitted(part))
        finally:
            part.close()
        return time.perf_counter() - begun

    return statistics.median(opened() for _ in range(RUNS))


def _emitted(part: VideoPartition) -> Iterator[FrameBatch]:
    while True:
        try:
            items = part.next_batch()
        except StopIteration:
            return
        for _, batch in items:
            yield batch
        if not items:
            time.sleep(POLL_SECONDS)
