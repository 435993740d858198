"""From a frame leaving a camera to the alert's arrival at a webhook: 4 cameras at 10 frames/s.

Four servers play cameras: they send a real clip with people as H.264 in FLV over HTTP, frame by
frame at the frame's moment, and note when each left. ``sightflow run`` watches them as live
streams, with the difference detector before YOLOX-nano and tracks behind it, and posts alerts to a
webhook of this machine through its outbox on the disk. The clip is cut so that people come and go
about twice a second; each alert names its frame, so that arrival less departure is the whole way:
network, demuxer, decoder, cascade, tracks, rules, outbox, signature, HTTP. The cameras and the
receiver take part of the same two cores.

Run: ``python -m benchmarks.latency [--quick]``, with SIGHTFLOW_ASSETS naming the folder that holds
``video/one-by-one-person-detection.mp4``; `benchmarks.chaos` runs it, too. Writes
benchmarks/results/latency.json.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np

from benchmarks.chaos.bars import (
    ChaosError,
    Row,
    Trial,
    ended,
    printed,
    run_command,
    started,
    wait_for,
)
from benchmarks.chaos.cameras import ClipCamera, coded
from benchmarks.chaos.hooks import SECRET, quantile
from benchmarks.hardware import hardware
from models.detectors import DetectorSettings, load_detector
from tests.support.endpoints import Reply, ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

STREAMS = ("gate", "hall", "till", "yard")
"""The cameras."""

RATE_HZ = 10
"""Frames a second of each."""

SECONDS, QUICK_SECONDS = 60.0, 10.0
"""How long the cameras are watched, seconds."""

TURN_FRAMES = 3
"""Frames with people, and then as many without, in turns."""

TRANSPORTS = {"flv": 0.25, "mpegts": None}
"""What the frames come in, and the longest that 99 % of the alerts may take, seconds; None for a
figure. FFmpeg knows where a frame ends in an MPEG transport stream when the next ones have begun:
that takes two frames, here 0.2 s, before Sightflow sees anything."""

SETTLE_SECONDS = 3.0
"""Alerts of the first moments do not count: models are loaded and buffers filled, seconds."""

SPARE_SECONDS = 60.0
"""How much longer the cameras can send, seconds."""

CONFIGURATION = """\
version: 1
name: latency
streams:
{streams}
detector: {{model: yolox_nano, classes: [person], threads: 1}}
cascade: {{difference: {{threshold: 5, hold_seconds: 2}}}}
alerts:
  - {{name: people, class: person, at_least: 1, clear_seconds: 0}}
sinks:
  console: null
  webhooks: [{{url: "{url}", secrets: ["${{HOOK_SECRET}}"], allow_private: true}}]
"""

RESULTS = Path(__file__).parent / "results"


def clip(assets: Path) -> list[NDArray[np.uint8]]:
    """Pictures with a person and without in turns, from the clip's first part."""
    detector = load_detector(DetectorSettings(model="yolox_nano", classes=("person",)))
    turns: dict[bool, list[NDArray[np.uint8]]] = {True: [], False: []}
    path = assets / "video" / "one-by-one-person-detection.mp4"
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            picture = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
            turns[len(detector.detect([picture])[0]) > 0].append(picture)
            if min(map(len, turns.values())) >= 5 * TURN_FRAMES:
                break
    return [
        picture
        for first in range(0, 5 * TURN_FRAMES, TURN_FRAMES)
        for present in (True, False)
        for picture in turns[present][first : first + TURN_FRAMES]
    ]


def measure(assets: Path, folder: Path, seconds: float, transport: str) -> dict[str, Any]:
    """Watch the cameras for so long.

    Raises:
        ChaosError: no alert came, or a frame was dropped, so that frames cannot be told apart.
    """
    count = round((seconds + SPARE_SECONDS) * RATE_HZ)
    frames = coded(clip(assets), RATE_HZ, count, transport)
    with ExitStack() as stack:
        server = stack.enter_context(ScriptedServer(Reply(204)))
        cameras = {
            name: stack.enter_context(ClipCamera(frames, RATE_HZ, place / len(STREAMS) / RATE_HZ))
            for place, name in enumerate(STREAMS)
        }
        path = folder / "latency.yaml"
        lines = "\n".join(f'  {name}: {{uri: "{one.url}"}}' for name, one in cameras.items())
        text = CONFIGURATION.format(streams=lines, url=server.url)
        path.write_text(text, encoding="utf-8")
        log = folder / "printed"
        with started(run_command(path), log, HOOK_SECRET=SECRET) as process:
            wait_for(lambda: bool(server.requests) or process.poll() is not None, "an alert")
            time.sleep(SETTLE_SECONDS)
            since = time.monotonic()
            time.sleep(seconds)
            code = ended(process, log, interrupt=True)
        summary = printed(log)
        if code != 0:
            raise ChaosError(f"the run failed: {summary}")
        taken = _taken(server, cameras, since)
    return _figures(summary, taken)


def _taken(server: ScriptedServer, cameras: dict[str, ClipCamera], since: float) -> list[float]:
    """How long each alert took whose frame left its camera after `since`, seconds."""
    taken = []
    for request in server.requests:
        alert = json.loads(request.body)["data"]
        left = cameras[alert["stream"]].departures[alert["sequence"]]
        if left >= since:
            taken.append(request.time - left)
    return taken


def _figures(summary: dict[str, Any], taken: Sequence[float]) -> dict[str, Any]:
    streams = summary["streams"].values()
    # A frame that was dropped has no number, and those after it would be taken for others.
    dropped = sum(sum(one["dropped"].values()) for one in streams)
    if dropped or any(one["events"].get("opened") != 1 for one in streams):
        raise ChaosError(f"no frame may be dropped, and no camera be lost, got {summary}")
    return {
        "alerts": len(taken),
        "p50_seconds": round(quantile(taken, 0.5), 4),
        "p90_seconds": round(quantile(taken, 0.9), 4),
        "p99_seconds": round(quantile(taken, 0.99), 4),
        "most_seconds": round(max(taken, default=0.0), 4),
        "decided": summary["decided"],
        "detector": summary["detector"],
    }


def bars(trial: Trial) -> list[Row]:
    """The bar of the fault suite, and a figure beside it."""
    assets = Path(os.environ.get("SIGHTFLOW_ASSETS", ""))
    seconds = QUICK_SECONDS if trial.quick else SECONDS
    rows = []
    for transport, most in TRANSPORTS.items():
        bar = f"capture to webhook, {len(STREAMS)} cameras at {RATE_HZ} frames/s ({transport})"
        wanted = "no bar" if most is None else f"p99 < {most * 1000:.0f} ms"
        if not (assets / "video").is_dir():
            rows.append(Row(bar, "SIGHTFLOW_ASSETS names no folder with the clip", wanted, None))
            continue
        folder = trial.folder / transport
        folder.mkdir()
        found = measure(assets, folder, seconds, transport)
        measured = (
            f"p99 {found['p99_seconds'] * 1000:.0f} ms, median "
            f"{found['p50_seconds'] * 1000:.0f} ms of {found['alerts']} alerts"
        )
        good = None if most is None else found["p99_seconds"] < most
        rows.append(Row(bar, measured, wanted, good, found))
    return rows


def main() -> None:
    """Measure, print and write."""
    quick = "--quick" in sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        rows = bars(Trial(Path(folder), quick=quick))
    for row in rows:
        sys.stdout.write(f"{row.bar}: {row.measured}; wanted {row.wanted}: {row.verdict}\n")
    if not quick:
        figures = {row.bar: row.figures for row in rows}
        value = {"date": datetime.now(UTC).date().isoformat(), "hardware": hardware(), **figures}
        text = json.dumps(value, indent=2) + "\n"
        (RESULTS / "latency.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
