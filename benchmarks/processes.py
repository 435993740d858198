"""The same configuration in one process and in two: frames a second, start-up left out.

Four streams of the same clip go through a difference detector and yolox_nano with one thread, dealt
out to two shards. One and two processes take turns; the ratio of each pair is what counts.

Run: ``python -m benchmarks.processes FOLDER`` with a folder that holds ``video/vtest.avi``. Writes
benchmarks/results/processes.json.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.hardware import hardware

STREAMS = 4
"""Streams of the same clip."""

FRAMES = 300
"""Frames of each."""

REPEATS = 3
"""How often each number of processes runs; they take turns."""

RESULTS = Path(__file__).parent / "results"

CONFIGURATION = """\
version: 1
name: processes
shards: 2
streams:
{streams}
detector: {{model: yolox_nano, threads: 1, classes: [person]}}
cascade: {{difference: {{threshold: 12}}}}
alerts: [{{name: people, class: person, at_least: 5}}]
windows: [{{name: people, classes: [person], size_seconds: 10, calls_per_hour: 3600}}]
sinks: {{console: null, event_log: {{directory: runs}}}}
"""


def measure(configuration: Path, processes: int) -> dict[str, Any]:
    """Run once; frames a second of the dataflow, and what was decided."""
    words = ["run", str(configuration), "--processes", str(processes), "--json"]
    done = subprocess.run(  # noqa: S603 - this program itself
        [sys.executable, "-m", "flows.cli", *words], capture_output=True, text=True, check=True
    )
    told = json.loads(done.stdout)
    return {"fps": told["fps"], "decided": told["decided"]}


def main(folder: Path) -> None:
    """Take turns, and write the result."""
    video = (folder / "video" / "vtest.avi").resolve()
    streams = "\n".join(
        f"  camera-{k}: {{uri: {video}, frames_at_most: {FRAMES}}}" for k in range(STREAMS)
    )
    runs: dict[int, list[float]] = {1: [], 2: []}
    decided: set[str] = set()
    with tempfile.TemporaryDirectory() as where:
        path = Path(where) / "processes.yaml"
        path.write_text(CONFIGURATION.format(streams=streams), encoding="utf-8")
        for _ in range(REPEATS):
            for processes, found in runs.items():
                one = measure(path, processes)
                found.append(one["fps"])
                decided.add(json.dumps(one["decided"], sort_keys=True))
    ratios = [two / one for one, two in zip(runs[1], runs[2], strict=True)]
    result = {
        "date": datetime.now(UTC).date().isoformat(),
        "hardware": hardware(),
        "streams": STREAMS,
        "frames": STREAMS * FRAMES,
        "fps": {str(n): found for n, found in runs.items()},
        "speedup": {"median": statistics.median(ratios), "from": min(ratios), "to": max(ratios)},
        "same_decisions": len(decided) == 1,
    }
    text = json.dumps(result, indent=2) + "\n"
    (RESULTS / "processes.json").write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
