"""What the dashboard costs: ``python -m benchmarks.dashboard``.

- **Interactive**: from the start of a navigation on this machine until the page has drawn its first
  data, by the browser's own clock, in a headless Chromium; the median of several loads.
- **Processor**: a feeder observes 16 streams with 10 frames a second each, as a flow does, in turns
  with and without a page that looks on. The difference of the process's processor time is what the
  page costs: taking and drawing pictures, messages, requests. The browser is another process and is
  not counted.

The page is also loaded with 64 streams. Needs Chromium. ``--quick`` shows that it works, and writes
nothing.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.hardware import hardware
from connectors.video.pixels import ArrayPixels
from flows.dashboard.server import DashboardServer, UiSettings
from records import Frame, FrameBatch
from tests.support.boards import HERTZ, SECOND, board, fill, names, picture, verdicts
from tests.support.browser import Browser
from tests.support.records import START_NS

if TYPE_CHECKING:
    from flows.dashboard.board import LiveBoard

STREAMS = 16
MANY = 64
LOADS = 7
TURNS = 3
TURN_SECONDS = 20.0
SETTLE_SECONDS = 3.0
FRAME_SIZE = (480, 640)
RESULT = Path(__file__).parent / "results" / "dashboard.json"
READY = "document.documentElement.dataset.ready === 'true'"
INTERACTIVE = "performance.getEntriesByName('interactive')[0].startTime"


class Feeder:
    """Observes streams as a flow does, at their pace.

    Args:
        shown: The board.
        streams: The streams.
    """

    def __init__(self, shown: LiveBoard, streams: list[str]) -> None:
        self._board, self._streams = shown, streams
        self._pixels = ArrayPixels(picture(0.0, *FRAME_SIZE))
        self._sequence = 2000

    def run(self, seconds: float) -> float:
        """Feed for so long; the processor time of the whole process meanwhile, seconds."""
        start, before = time.perf_counter(), time.process_time()
        rounds = 0
        while (now := time.perf_counter() - start) < seconds:
            if now < rounds:
                time.sleep(min(rounds - now, 0.05))
                continue
            rounds += 1
            self._second()
        return time.process_time() - before

    def _second(self) -> None:
        """A second of every stream: a batch of frames, then its decisions."""
        first = self._sequence
        for stream in self._streams:
            frames = tuple(
                Frame(stream, one, START_NS + one * SECOND // HERTZ, self._pixels)
                for one in range(first, first + HERTZ)
            )
            self._board.thumbnails.entered(FrameBatch(stream, frames))
            self._board.observe(stream, verdicts(stream, first, HERTZ))
        self._sequence += HERTZ


def loads(browser: Browser, streams: int, count: int) -> dict[str, Any]:
    """How long a page with so many streams takes to load, milliseconds."""
    named = names(streams)
    shown = board(named)
    fill(shown, named)
    times = []
    with DashboardServer(shown, UiSettings(port=0)) as server:
        for _ in range(count):
            browser.open(server.url)
            browser.until(READY)
            times.append(round(float(browser.run(INTERACTIVE)), 1))
    return {"median_ms": statistics.median(times), "loads_ms": times}


def costs(browser: Browser, turns: int, seconds: float) -> dict[str, Any]:
    """The share of a core that a page costs at 16 streams."""
    named = names(STREAMS)
    shown = board(named)
    fill(shown, named)
    feeder = Feeder(shown, named)
    alone, watched = [], []
    with DashboardServer(shown, UiSettings(port=0)) as server:
        for _ in range(turns):
            browser.open("about:blank")
            feeder.run(SETTLE_SECONDS)
            alone.append(feeder.run(seconds) / seconds)
            browser.open(server.url)
            browser.until(READY)
            feeder.run(SETTLE_SECONDS)
            watched.append(feeder.run(seconds) / seconds)
    shares = np.array(watched) - np.array(alone)
    return {
        "share_of_a_core": round(float(np.median(shares)), 4),
        "turns": [round(float(one), 4) for one in shares],
        "feeder_alone": [round(one, 4) for one in alone],
        "seconds_a_turn": seconds,
    }


def main() -> None:
    """Measure, print, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="show that it works, write nothing")
    quick = parser.parse_args().quick
    with Browser() as browser:
        browser.look(1280, 900, dark=False)
        loads(browser, 1, 1)  # the browser's own start
        result = {
            "what": "the dashboard on loopback, headless Chromium",
            "date": datetime.now(UTC).date().isoformat(),
            "hardware": hardware(),
            "interactive": {
                str(count): loads(browser, count, 1 if quick else LOADS)
                for count in (1, STREAMS, MANY)
            },
            "processor": {
                "streams": STREAMS,
                "frames_a_second": HERTZ,
                "frame_size": list(FRAME_SIZE),
                **costs(browser, 1 if quick else TURNS, 3.0 if quick else TURN_SECONDS),
            },
        }
    print(json.dumps(result, indent=2))
    if not quick:
        RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
