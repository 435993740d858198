"""Many streams at once on one machine: are they served fairly, and does decoding set the pace?

One clip stands for 1, 4 and 16 cameras. For each number of streams these run in the same process,
one after the other, several times:

- *decode*: PyAV alone decodes every frame of every stream, with the decoder's own threads;
- *pixels*: a cascade that looks at the pixels of every frame (difference detector and specialised
  model), so that every frame is decoded and few reach the reference detector;
- *packets*: the same with the packet model before it, so that quiet groups are not decoded.

The cascades run through the engine, from file to verdicts. *Fairness* is the smallest share of its
frames that any stream has decided when half of all frames are decided: 0.5 is perfectly fair.

Run: ``python -m benchmarks.streams FOLDER`` with a folder that holds the clip
``video/one-by-one-person-detection.mp4``. Writes benchmarks/results/streams.json.
"""

from __future__ import annotations

import json
import statistics
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.run import cli_main
from typing_extensions import override

from benchmarks.hardware import hardware
from connectors.video import VideoSettings, VideoSource
from flows.evaluate.driving import settings_for
from flows.evaluate.optimise import Targets
from flows.evaluate.tuning import CascadeStudy, tune
from flows.probe import count_frames
from models.detectors import DetectorSettings, load_detector
from operators.cascade import CascadeSettings, cascade
from operators.difference import DifferenceSettings
from operators.predicate import Predicate

if TYPE_CHECKING:
    from flows.evaluate.tuning import Tuned
    from operators.plan import Plan
    from records import VerdictBatch

STREAMS = (1, 4, 16)
"""How many streams run at once."""

REPEATS = 5
"""Runs of each thing; the median and the range are reported."""

TARGET = 0.9
"""Of recall and precision: loose, so that few frames survive."""

RESULTS = Path(__file__).parent / "results"


@dataclass
class Progress:
    """What was decided, in order of time.

    Attributes:
        total: Frames that all streams hold.
        decided: Frames decided so far, by stream.
        halfway: The same when half of all frames were decided; empty before.
        reference: Frames that reached the reference detector.
    """

    total: int
    decided: Counter[str] = field(default_factory=Counter)
    halfway: Counter[str] = field(default_factory=Counter)
    reference: int = 0

    def add(self, batch: VerdictBatch) -> None:
        """Count a batch."""
        self.decided[batch.stream] += len(batch.verdicts)
        self.reference += sum(verdict.stage == "reference" for verdict in batch.verdicts)
        if not self.halfway and self.decided.total() * 2 >= self.total:
            self.halfway = self.decided.copy()


class _Counting(StatelessSinkPartition[tuple[str, "VerdictBatch"]]):
    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    @override
    def write_batch(self, items: list[tuple[str, VerdictBatch]]) -> None:
        for _, batch in items:
            self._progress.add(batch)


class CountingSink(DynamicSink[tuple[str, "VerdictBatch"]]):
    """Counts verdicts."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    @override
    def build(self, step_id: str, worker_index: int, worker_count: int) -> _Counting:
        return _Counting(self._progress)


def decode(path: Path, streams: int) -> float:
    """Frames a second of PyAV alone over so many streams."""
    begun, frames = time.perf_counter(), 0
    for _ in range(streams):
        with av.open(str(path)) as container:
            container.streams.video[0].thread_type = "AUTO"
            frames += sum(1 for _ in container.decode(video=0))
    return frames / (time.perf_counter() - begun)


def drive(
    path: Path, frames: int, streams: int, plan: Plan, predicate: Predicate, tuned: Tuned
) -> dict[str, Any]:
    """Run a plan over so many streams through the engine."""
    names = [f"camera{number}" for number in range(streams)]
    video = settings_for(VideoSettings(uri=str(path), batch_frames=32), plan)
    progress = Progress(frames * streams)
    flow = Dataflow("streams")
    source = VideoSource(dict.fromkeys(names, video), stop=threading.Event())
    settings = CascadeSettings(plan, predicate)
    decided = cascade("cascade", op.input("frames", flow, source), settings, tuned.models, _shard)
    op.output("count", decided, CountingSink(progress))
    begun = time.perf_counter()
    cli_main(flow)
    seconds = time.perf_counter() - begun
    assert progress.decided == dict.fromkeys(names, frames), "every frame is decided"
    slowest = min(progress.halfway[name] for name in names)
    return {
        "fps": progress.decided.total() / seconds,
        "reference_share": progress.reference / progress.total,
        "fairness": slowest / frames,
    }


def _shard(_: str) -> str:
    return "0"


def measure(path: Path) -> list[dict[str, Any]]:
    """Every figure."""
    video, predicate = VideoSettings(uri=str(path)), Predicate("person")
    frames = count_frames(path)
    detector = load_detector(DetectorSettings(model="yolox_nano"))
    study = CascadeStudy(video, frames, predicate, Targets(TARGET, TARGET))
    tuned = tune(study, detector, print)
    gated = next(one.plan for one in tuned.candidates if one.plan.packets and one.plan.specialised)
    looking = replace(gated, packets=None, stride=1, difference=DifferenceSettings())
    results = []
    for streams in STREAMS:
        runs: dict[str, list[Any]] = {"decode": [], "pixels": [], "packets": []}
        for _ in range(REPEATS):
            runs["decode"].append({"fps": decode(path, streams)})
            for name, plan in (("pixels", looking), ("packets", gated)):
                runs[name].append(drive(path, frames, streams, plan, predicate, tuned))
        row = {name: _summary(run) for name, run in runs.items()}
        for name in ("pixels", "packets"):
            row[name]["of_decode"] = round(row[name]["fps"] / row["decode"]["fps"], 3)
        results.append({"streams": streams, **row})
    return results


def _summary(runs: list[dict[str, float]]) -> dict[str, Any]:
    fps = sorted(run["fps"] for run in runs)
    medians = {key: round(statistics.median(run[key] for run in runs), 4) for key in runs[0]}
    return {**medians, "fps": round(statistics.median(fps), 1), "fps_range": [fps[0], fps[-1]]}


def main() -> None:
    """Measure, print and write."""
    path = Path(sys.argv[1]) / "video" / "one-by-one-person-detection.mp4"
    results = measure(path)
    value = {
        "date": datetime.now(UTC).date().isoformat(),
        "hardware": hardware(),
        "repeats": REPEATS,
        "results": results,
    }
    (RESULTS / "streams.json").write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    for row in results:
        for name in ("decode", "pixels", "packets"):
            one = row[name]
            sys.stdout.write(
                f"{row['streams']:>3} streams {name:>8} {one['fps']:>9.1f} frames/s"
                f"  {one.get('of_decode', 1.0):>6.2f} of decode"
                f"  fairness {one.get('fairness', 0.5):.2f}\n"
            )


if __name__ == "__main__":
    main()
