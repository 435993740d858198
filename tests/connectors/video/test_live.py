from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import av
import pytest

from connectors.video import VideoSettings, VideoSource, read_video
from connectors.video.container import VideoContainer
from connectors.video.damage import Damage
from connectors.video.uri import parse_uri
from records import EventKind, FrameBatch, StreamEvent
from tests.support.cameras import Camera
from tests.support.videos import (
    LiveRun,
    SeenBatch,
    run_live,
    seen,
    threads,
    told,
    wait_until,
    write_video,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from connectors.video.items import StreamState

ROOT = Path(__file__).resolve().parents[3]
"""The checkout."""

RUNS = (EventKind.OPENED, EventKind.RECONNECTED, EventKind.LOST, EventKind.ENDED)
"""What begins and ends a run of frames."""

EXITS_WHILE_READING = """
import sys, threading, time
from connectors.video.container import VideoContainer
from connectors.video.damage import Damage
from connectors.video.uri import parse_uri
from connectors.video import VideoSettings, VideoSource
settings = VideoSettings(sys.argv[1], stall_seconds=60, open_seconds=60)
partition = VideoSource({"gate": settings}, stop=threading.Event()).build_part("in", "gate", None)
while not any(batch.frames for _, batch in partition.next_batch()):
    time.sleep(0.01)
print("read")
sys.stdin.readline()
"""


def of_stream(
    batches: list[SeenBatch], stream: str
) -> tuple[list[int], list[int], list[StreamEvent]]:
    """The sequence numbers, times and events of a stream."""
    mine = [batch for batch in batches if batch.stream == stream]
    frames = [frame for batch in mine for frame in batch.frames]
    events = [event for batch in mine for event in batch.events]
    return [f.sequence for f in frames], [f.time_ns for f in frames], events


def check_stream(batches: list[SeenBatch], stream: str) -> list[EventKind]:
    """What holds for every live stream; returns how its runs of frames began and ended."""
    sequences, times, events = of_stream(batches, stream)
    assert sequences == list(range(len(sequences)))
    assert times == sorted(set(times))
    assert "hunter2" not in repr(events)
    ids = [event.id for event in events]
    assert len(ids) == len(set(ids))
    runs = [event.kind for event in events if event.kind in RUNS]
    assert runs[-1] is EventKind.ENDED
    assert events[-1] == StreamEvent(
        stream, events[-1].time_ns, EventKind.ENDED, len(sequences), "stopped"
    )
    # An outage has one LOST, however often reconnecting fails.
    lost = [kind is EventKind.LOST for kind in runs[:-1]]
    assert all(lost[i] != lost[i + 1] for i in range(len(lost) - 1))
    return runs


@pytest.mark.parametrize("protocol", ["http", "rtsp"])
def test_a_camera_that_stalls_dies_and_returns(protocol: Literal["http", "rtsp"]) -> None:
    def script(run: LiveRun) -> None:
        run.wait_for("gate", "opened")
        run.wait_for("hall", "opened")
        run.wait_for_frames("gate", 20)
        gate.stall()
        stalled = run.wait_for("gate", "lost")
        assert stalled.reason == "stalled"
        address = f"{protocol}://***@127.0.0.1:{gate.port}/live?***"
        assert stalled.detail == f"{address}: no packet for 1.0 s"
        gate.flow()
        back = run.wait_for("gate", "reconnected")
        assert re.fullmatch(r"h264 160x120( at [\d.]+ Hz)?, after \d+\.\d s", back.detail)
        run.wait_for_frames("gate", 20)
        losses = sum(event.kind is EventKind.LOST for event in run.events("gate"))
        gate.kill()
        run.wait_for("gate", "lost", losses + 1)
        run.wait_for_frames("hall", 10)
        gate.start()
        run.wait_for("gate", "reconnected", losses + 1)
        run.wait_for_frames("gate", 10)

    with Camera(protocol) as gate, Camera() as hall:
        streams = {
            "gate": VideoSettings(gate.url, stall_seconds=1.0, open_seconds=3.0),
            "hall": VideoSettings(hall.url),
        }
        started_ns = time.time_ns()
        batches = run_live(streams, script)
    runs = check_stream(batches, "gate")
    assert runs[0] is EventKind.OPENED
    _, times, _ = of_stream(batches, "gate")
    assert started_ns < times[0] < times[-1] <= time.time_ns()
    # The other camera noticed nothing.
    assert check_stream(batches, "hall") == [EventKind.OPENED, EventKind.ENDED]


def test_a_camera_that_is_not_there_at_first() -> None:
    camera = Camera()
    camera.start()
    camera.kill()

    def script(run: LiveRun) -> None:
        lost = run.wait_for("gate", "lost")
        assert lost.reason == "refused"
        assert lost.detail.endswith(": Connection refused")
        camera.start()
        run.wait_for("gate", "reconnected")
        run.wait_for_frames("gate", 5)

    try:
        batches = run_live({"gate": VideoSettings(camera.url)}, script)
    finally:
        camera.kill()
    runs = check_stream(batches, "gate")
    assert runs == [EventKind.LOST, EventKind.RECONNECTED, EventKind.ENDED]


class Answers:
    """A server that answers /404 with 404 and so on, and everything else with `body`."""

    def __init__(self) -> None:
        self.body = b""
        answers = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path[1:].isdigit():
                    self.send_error(int(self.path[1:]))
                else:
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(answers.body)))
                    self.end_headers()
                    self.wfile.write(answers.body)

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def answers() -> Iterator[Answers]:
    made = Answers()
    with made.server as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield made
        server.shutdown()


@pytest.mark.parametrize(
    ("code", "reason"), [(404, "not_found"), (401, "unauthorised"), (500, "failed")]
)
def test_the_reason_of_a_loss_is_told(answers: Answers, code: int, reason: str) -> None:
    events = read_video("gate", VideoSettings(f"{answers.url}/{code}"))
    first = next(events)
    assert isinstance(first, StreamEvent)
    assert (first.kind, first.reason) == (EventKind.LOST, reason)


def test_streams_that_appear_later_do_no_harm(answers: Answers, tmp_path: Path) -> None:
    alone = write_video(tmp_path / "a.ts", range(0, 4000, 40))
    sounding = tmp_path / "b.ts"
    with av.open(sounding, "w") as container:
        sounds = [container.add_stream("mp2", rate=48_000) for _ in range(3)]
        for number in range(50):
            for stream in sounds:
                sound = av.AudioFrame(format="s16", layout="stereo", samples=1152)
                sound.sample_rate, sound.pts = 48_000, number * 1152
                container.mux(stream.encode(sound))
    answers.body = alone.read_bytes() + sounding.read_bytes()
    # A short look at the beginning, so that the sound is not seen when the stream is opened.
    short = {"probesize": "1000", "analyzeduration": "100000", "fpsprobesize": "1"}
    address = replace(parse_uri(f"{answers.url}/late.ts"), options=short)
    with closing(VideoContainer(address, live=True, stall_seconds=10)) as video:
        frames = [item for item in video.frames() if not isinstance(item, Damage)]
        assert video.failure is None
    assert len(frames) >= 99


def test_a_server_that_says_nothing_times_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        first = next(read_video("gate", VideoSettings(url, open_seconds=0.3)))
    assert isinstance(first, StreamEvent)
    assert told([first]) == [("lost", 0, "timed_out")]
    assert first.detail == f"{url}: no video within 0.3 s"


def test_stop_does_not_wait_for_a_stalled_camera() -> None:
    def script(run: LiveRun) -> None:
        run.wait_for_frames("gate", 5)
        camera.stall()
        time.sleep(0.3)

    with Camera() as camera:
        settings = VideoSettings(camera.url, stall_seconds=600, open_seconds=600)
        batches = run_live({"gate": settings}, script)
        assert check_stream(batches, "gate") == [EventKind.OPENED, EventKind.ENDED]
    # The camera is dead now, so the thread's read ended too.
    wait_until(lambda: not threads("gate"), "the thread to end")


def test_a_process_may_exit_while_a_camera_is_read() -> None:
    with Camera() as camera:
        process = subprocess.Popen(
            [sys.executable, "-c", EXITS_WHILE_READING, camera.url],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "read\n"
        camera.stall()
        out, err = process.communicate("\n", timeout=30)
    assert (process.returncode, out, err) == (0, "", "")


def test_a_live_stream_goes_on_after_a_restart() -> None:
    def read(resume: StreamState | None) -> tuple[list[SeenBatch], StreamState]:
        stop = threading.Event()
        source = VideoSource({"gate": VideoSettings(camera.url)}, stop=stop)
        partition = source.build_part("in", "gate", resume)
        batches: list[FrameBatch] = []

        def enough() -> bool:
            batches.extend(batch for _, batch in partition.next_batch())
            return sum(len(batch.frames) for batch in batches) > 5

        wait_until(enough, "5 frames")
        stop.set()
        batches += [batch for _, batch in partition.next_batch()]
        partition.close()
        return [seen(batch) for batch in batches], partition.snapshot()

    with Camera() as camera:
        before, state = read(None)
        after, _ = read(state)
    frames = [frame for batch in before + after for frame in batch.frames]
    assert [frame.sequence for frame in frames] == list(range(len(frames)))
    times = [frame.time_ns for frame in frames]
    assert times == sorted(set(times))
    assert told(after[-1].events) == [("ended", len(frames), "stopped")]


def test_a_live_stream_may_be_given_its_start() -> None:
    with Camera() as camera:
        settings = VideoSettings(camera.url, start_ns=10**18, frames_at_most=3)
        items = list(read_video("gate", settings))
    assert told(item for item in items if isinstance(item, StreamEvent)) == [
        ("opened", 0, ""),
        ("ended", 3, "frames_at_most"),
    ]
    first = next(item for item in items if not isinstance(item, StreamEvent))
    assert 10**18 <= first.time_ns < 10**18 + 10**9
