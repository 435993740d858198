"""What the engine itself costs: frames a second through the dataflow when its stages do nothing.

Two flows are measured side by side, at 1, 16 and 64 frames an item:

- *empty*: the steps of a real flow (inspect, difference, reference, decide, track, records, sink),
  each of which hands its item on untouched;
- *stages*: the real operators with a detector that finds nothing at once, on frames whose pixels
  are there already: no decoding, no model.

Run: ``python -m benchmarks.skeleton``. Writes benchmarks/results/skeleton.json.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bytewax.operators as op
import numpy as np
from bytewax.dataflow import Dataflow
from bytewax.inputs import DynamicSource, StatelessSourcePartition
from bytewax.operators import StatefulBatchLogic
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.run import cli_main
from typing_extensions import override

from benchmarks.hardware import hardware
from operators.cascade import CascadeSettings, Models, cascade
from operators.difference import DifferenceSettings
from operators.plan import Plan
from operators.track import TrackSettings, track
from records import Detections, Frame, FrameBatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from bytewax.operators import KeyedStream
    from numpy.typing import NDArray

FRAMES = 32_768
"""Frames in one run."""

REPEATS = 7
"""Runs of each flow at each batch size; the median and the range are reported."""

BATCHES = (1, 16, 64)
"""Frames an item."""

SETTINGS = CascadeSettings(Plan(difference=DifferenceSettings()))
"""A difference detector before the reference detector."""

Item = tuple[str, FrameBatch]


class Ready:
    """Pixels that are there already."""

    width, height = 96, 72

    def __init__(self) -> None:
        self._luma = np.zeros((72, 96), np.uint8)
        self._rgb = np.zeros((72, 96, 3), np.uint8)

    def luma(self, width: int, height: int) -> NDArray[np.uint8]:
        """The same picture each time; the size asked for is the size it has."""
        assert (width, height) == (self.width, self.height)
        return self._luma

    def rgb(self, width: int | None = None, height: int | None = None) -> NDArray[np.uint8]:
        """The same picture each time, at full size only."""
        assert (width, height) == (None, None)
        return self._rgb


class FindsNothing:
    """A detector that answers at once."""

    name = "nothing"
    class_names = ("person",)
    _empty = Detections.empty(("person",))

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """No object in any image."""
        return [self._empty] * len(images)


class _Ready(StatelessSourcePartition[Item]):
    def __init__(self, items: Iterable[Item]) -> None:
        self._items = iter(items)

    @override
    def next_batch(self) -> list[Item]:
        return [next(self._items)]


class ReadySource(DynamicSource[Item]):
    """Items made beforehand."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._items = items

    @override
    def build(self, step_id: str, worker_index: int, worker_count: int) -> _Ready:
        return _Ready(self._items)


class _Count(StatelessSinkPartition[Any]):
    def __init__(self, counts: list[int]) -> None:
        self._counts = counts

    @override
    def write_batch(self, items: list[Any]) -> None:
        self._counts.append(len(items))


class CountSink(DynamicSink[Any]):
    """Counts the items that arrive."""

    def __init__(self) -> None:
        self.counts: list[int] = []

    @override
    def build(self, step_id: str, worker_index: int, worker_count: int) -> _Count:
        return _Count(self.counts)


class _HandOn(StatefulBatchLogic[Any, Any, None]):
    @override
    def on_batch(self, values: list[Any]) -> tuple[list[Any], bool]:
        return values, StatefulBatchLogic.RETAIN

    @override
    def snapshot(self) -> None:
        return None


def empty(items: KeyedStream[FrameBatch]) -> KeyedStream[Any]:
    """The steps of a real flow, each of which hands its item on."""
    stream: KeyedStream[Any] = op.inspect("entered", items, lambda _step, _item: None)
    stream = op.stateful_batch("difference", stream, lambda _: _HandOn())
    stream = op.flat_map_batch("reference", stream, lambda batch: batch)
    stream = op.stateful_batch("decide", stream, lambda _: _HandOn())
    stream = op.stateful_batch("track", stream, lambda _: _HandOn())
    return op.map_value("records", stream, lambda value: value)


def stages(items: KeyedStream[FrameBatch]) -> KeyedStream[Any]:
    """The real operators with a detector that finds nothing."""
    entered = op.inspect("entered", items, lambda _step, _item: None)
    decided = cascade("cascade", entered, SETTINGS, Models(FindsNothing()), lambda _: "0")
    tracked = track("track", decided, TrackSettings())
    return op.map_value("records", tracked, lambda batch: list(batch.verdicts))


def frames_a_second(
    steps: Callable[[KeyedStream[FrameBatch]], KeyedStream[Any]], batch: int
) -> float:
    """Run one flow once, frames a second."""
    pixels = Ready()
    items = [
        (
            "gate",
            FrameBatch(
                "gate", tuple(Frame("gate", k, k * 10**8, pixels) for k in range(i, i + batch))
            ),
        )
        for i in range(0, FRAMES, batch)
    ]
    flow, sink = Dataflow("skeleton"), CountSink()
    op.output("out", steps(op.input("in", flow, ReadySource(items))), sink)
    start = time.perf_counter()
    cli_main(flow)
    seconds = time.perf_counter() - start
    assert sum(sink.counts) == len(items)
    return FRAMES / seconds


def main() -> None:
    """Measure, print and write the result."""
    flows = {"empty": empty, "stages": stages}
    measured: dict[tuple[str, int], list[float]] = {}
    for _ in range(REPEATS):
        for batch in BATCHES:
            for name, steps in flows.items():
                measured.setdefault((name, batch), []).append(frames_a_second(steps, batch))
    rows = [
        {
            "flow": name,
            "frames_an_item": batch,
            "frames_per_second": round(statistics.median(rates)),
            "lowest": round(min(rates)),
            "highest": round(max(rates)),
            "microseconds_a_frame": round(1e6 / statistics.median(rates), 2),
        }
        for (name, batch), rates in sorted(measured.items())
    ]
    result = {
        "date": datetime.now(UTC).date().isoformat(),
        "hardware": hardware(),
        "frames": FRAMES,
        "repeats": REPEATS,
        "rows": rows,
    }
    path = Path(__file__).parent / "results" / "skeleton.json"
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    for row in rows:
        sys.stdout.write(
            f"{row['flow']:>7} batch {row['frames_an_item']:>3}: "
            f"{row['frames_per_second']:>9,} frames/s "
            f"({row['lowest']:,} to {row['highest']:,}), "
            f"{row['microseconds_a_frame']} us a frame\n"
        )


if __name__ == "__main__":
    main()
