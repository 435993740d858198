"""How fast a flow is while a trainer works beside it, and alone; in turns, in one run."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]

FRAMES = 600
"""Frames that a flow decides in one turn, each by the reference detector."""

TURNS = 3
"""Turns of each kind."""


def throughput(folder: Path, loop: str, detector: str) -> dict[str, Any]:
    """Run a flow alone and beside a trainer, in turns.

    Args:
        folder: A folder in which the loop has run.
        loop: The loop's configuration there; its trainer works again and again.
        detector: The section of the reference detector.
    """
    flow = folder / "throughput.yaml"
    flow.write_text(
        f"version: 1\nname: throughput\nstreams: {{gate: {{uri: drifting.mp4, "
        f"frames_at_most: {FRAMES}}}}}\ndetector: {detector}\ntrack: null\n"
        "cascade: {difference: null}\nsinks: {console: null}\n",
        encoding="utf-8",
    )
    alone, beside = [], []
    for _ in range(TURNS):
        alone.append(_frames_a_second(flow))
        with _training(folder, loop):
            beside.append(_frames_a_second(flow))
    return {
        "alone_fps": [round(fps, 1) for fps in alone],
        "beside_training_fps": [round(fps, 1) for fps in beside],
        "share": round(statistics.median(beside) / statistics.median(alone), 3),
    }


def _frames_a_second(flow: Path) -> float:
    command = [sys.executable, "-m", "flows.cli", "run", str(flow), "--json"]
    done = subprocess.run(  # noqa: S603 - this project's own command
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
    )
    summary = json.loads(done.stdout)
    return FRAMES / float(summary["seconds"])


@contextmanager
def _training(folder: Path, loop: str) -> Iterator[None]:
    """A trainer that runs round after round on a copy of the loop's registry."""
    work = folder / "training-beside"
    shutil.copytree(folder / "registry", work / "registry")
    shutil.copy(folder / "queue.sqlite3", work)
    (work / loop).write_text((folder / loop).read_text(encoding="utf-8"), encoding="utf-8")
    (work / "drifting.mp4").symlink_to(folder / "drifting.mp4")
    ended, running = threading.Event(), threading.Event()
    thread = threading.Thread(target=_train_again_and_again, args=(work, loop, running, ended))
    thread.start()
    running.wait()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        shutil.rmtree(work)


def _train_again_and_again(
    work: Path, loop: str, running: threading.Event, ended: threading.Event
) -> None:
    command = [sys.executable, "-m", "flows.cli", "train", str(work / loop), "--once", "--json"]
    while not ended.is_set():
        # Without its examples all items are new to it.
        shutil.rmtree(work / "registry" / ".training", ignore_errors=True)
        process = subprocess.Popen(  # noqa: S603 - this project's own command
            command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        running.set()
        while process.poll() is None and not ended.wait(0.1):
            pass
        process.terminate()
        process.wait()
