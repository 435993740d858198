"""Small videos with known pictures and times, and ways to run and to read streams in tests."""

from __future__ import annotations

import gc
import time
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from itertools import chain, starmap
from threading import Event, Thread
from threading import enumerate as enumerate_threads
from typing import TYPE_CHECKING, NamedTuple, TypeVar, cast

import av
import bytewax.operators as op
import numpy as np
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, run_main

from connectors.video import AvPixels, VideoSource, read_video
from records import Frame, StreamEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from av.video.stream import VideoStream

    from connectors.video import VideoSettings
    from records import FrameBatch, Pixels

WIDTH, HEIGHT = 64, 48
"""Size of the pictures, pixels."""

DEADLINE_SECONDS = 30.0
"""How long a test waits for something that must come."""

_BLACK, _LEVELS = 16, 219

Thing = TypeVar("Thing")


def write_video(
    path: Path,
    ticks: Sequence[int],
    *,
    time_base: Fraction = Fraction(1, 1000),
    codec: str = "libx264",
    b_frames: int = 0,
    size: tuple[int, int] = (WIDTH, HEIGHT),
    metadata: Mapping[str, str] | None = None,
    first: int = 0,
) -> Path:
    """Write one flat picture for each time, without loss; picture k has brightness first + k."""
    with av.open(path, "w") as container:
        container.metadata.update(metadata or {})
        video = cast("VideoStream", container.add_stream(codec, rate=25))
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        video.time_base = video.codec_context.time_base = time_base
        video.gop_size = 12
        video.codec_context.max_b_frames = b_frames
        if codec == "libx264":
            video.options = {"preset": "ultrafast", "qp": "0", "bf": str(b_frames)}
        for number, shown in enumerate(ticks, first):
            planes = np.full((size[1] * 3 // 2, size[0]), 128, dtype=np.uint8)
            planes[: size[1]] = _BLACK + number % _LEVELS
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts, frame.time_base = shown, time_base
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    return path


def picture_number(pixels: Pixels) -> int:
    """Which picture of write_video this is, modulo 219."""
    return round(int(pixels.luma(1, 1)[0, 0]) * _LEVELS / 255)


def damage(data: bytes, seed: int, flips: int, spare: int) -> bytes:
    """Flip so many random bits behind the first `spare` bytes."""
    rng = np.random.default_rng(seed)
    damaged = np.frombuffer(data, dtype=np.uint8).copy()
    places = rng.integers(spare, len(damaged), flips)
    damaged[places] ^= (1 << rng.integers(0, 8, flips)).astype(np.uint8)
    return damaged.tobytes()


def read_all(
    settings: VideoSettings, stream: str = "gate"
) -> tuple[list[Frame], list[StreamEvent]]:
    """Read a stream that ends."""
    return split(read_video(stream, settings))


def split(items: Iterable[Frame | StreamEvent]) -> tuple[list[Frame], list[StreamEvent]]:
    """Part frames from events."""
    frames, events = [], []
    for item in items:
        if isinstance(item, Frame):
            frames.append(item)
        else:
            events.append(item)
    return frames, events


def told(events: Iterable[StreamEvent]) -> list[tuple[str, int, str]]:
    """Kind, count and reason of each event."""
    return [(event.kind.value, event.count, event.reason) for event in events]


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Wait until something comes true; fails when it never does."""
    ends = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < ends, f"waited {DEADLINE_SECONDS} s for {what}"
        time.sleep(0.01)


def living(kind: type[Thing]) -> list[Thing]:
    """Every object of a class that exists in the process and that the garbage collector knows."""
    # The list of all objects lives only within this one call in C, that no other thread can
    # interrupt. A `tuple` that one is just making of a generator would fail (SystemError) if it
    # went on while the list refers to it.
    everything = chain.from_iterable(starmap(gc.get_objects, [()]))
    return list(filter(kind.__instancecheck__, everything))


def alive(width: int) -> int:
    """How many decoded frames of this width exist in the process."""
    return sum(pixels.width == width for pixels in living(AvPixels))


def threads(stream: str) -> list[Thread]:
    """The threads that decode a stream."""
    return [thread for thread in enumerate_threads() if thread.name == f"video-{stream}"]


class Seen(NamedTuple):
    """What is kept of a frame, so that its pixels are let go of."""

    sequence: int
    time_ns: int
    number: int


class SeenBatch(NamedTuple):
    """What is kept of a batch."""

    stream: str
    frames: tuple[Seen, ...]
    events: tuple[StreamEvent, ...]


def seen(batch: FrameBatch) -> SeenBatch:
    """Keep what can be compared, and no pixels."""
    frames = (Seen(f.sequence, f.time_ns, picture_number(f.pixels)) for f in batch.frames)
    return SeenBatch(batch.stream, tuple(frames), batch.events)


def run_flow(
    streams: Mapping[str, VideoSettings],
    *,
    stop: Event | None = None,
    each: Callable[[FrameBatch], object] = lambda _: None,
) -> list[SeenBatch]:
    """Run a dataflow on these streams to its end; `each` is called within, on every batch."""
    out: list[SeenBatch] = []

    def step(item: tuple[str, FrameBatch]) -> SeenBatch:
        stream, batch = item
        assert batch.stream == stream
        each(batch)
        return seen(batch)

    flow = Dataflow("test")
    batches = op.input("video", flow, VideoSource(streams, stop=stop or Event()))
    op.output("out", op.map("step", batches, step), TestingSink(out))
    run_main(flow)
    return out


def run_live(
    streams: Mapping[str, VideoSettings], script: Callable[[LiveRun], None]
) -> list[SeenBatch]:
    """Run a dataflow while a script runs beside it; the flow is stopped when the script ends."""
    run = LiveRun()

    def drive() -> None:
        try:
            script(run)
        finally:
            run.stop.set()

    with ThreadPoolExecutor(1) as pool:
        driving = pool.submit(drive)
        batches = run_flow(
            streams, stop=run.stop, each=lambda batch: run.batches.append(seen(batch))
        )
        driving.result()
    return batches


class LiveRun:
    """What a script sees of a running dataflow."""

    def __init__(self) -> None:
        self.stop = Event()
        self.batches: list[SeenBatch] = []

    def events(self, stream: str) -> list[StreamEvent]:
        """The events of a stream so far."""
        return [event for b in list(self.batches) if b.stream == stream for event in b.events]

    def frames(self, stream: str) -> int:
        """How many frames of a stream came so far."""
        return sum(len(batch.frames) for batch in list(self.batches) if batch.stream == stream)

    def wait_for(self, stream: str, kind: str, times: int = 1) -> StreamEvent:
        """Wait for an event, or for the so manieth of its kind."""

        def found() -> list[StreamEvent]:
            return [event for event in self.events(stream) if event.kind == kind]

        wait_until(lambda: len(found()) >= times, f"{kind} of {stream}")
        return found()[times - 1]

    def wait_for_frames(self, stream: str, more: int) -> None:
        """Wait for so many more frames."""
        wanted = self.frames(stream) + more
        wait_until(lambda: self.frames(stream) >= wanted, f"{more} frames of {stream}")
