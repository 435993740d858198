"""A clock that jumps: event time never goes back, and alerts are still delivered."""

from __future__ import annotations

import time
from random import Random
from threading import Event
from typing import TYPE_CHECKING

import pytest

from connectors.outbox import Outbox
from connectors.video import VideoSettings, VideoSource
from connectors.webhook import WebhookSink
from records import EventKind
from records.units import NANOSECONDS
from tests.support.cameras import Camera
from tests.support.endpoints import Reply, ScriptedServer
from tests.support.records import alert
from tests.support.videos import wait_until
from tests.support.webhook_outbox import states
from tests.support.webhooks import settings_for

if TYPE_CHECKING:
    from pathlib import Path

    from records import FrameBatch

HOUR_NS = 3600 * NANOSECONDS
FRAMES = 15


class JumpingClock:
    """The machine's clock, until it is set forward or back."""

    def __init__(self) -> None:
        self.jump_ns = 0

    def __call__(self) -> int:
        return time.time_ns() + self.jump_ns


@pytest.mark.parametrize("jump_ns", [-HOUR_NS, HOUR_NS])
def test_event_time_goes_on_when_the_clock_jumps(jump_ns: int) -> None:
    clock, stop = JumpingClock(), Event()
    batches: list[FrameBatch] = []
    with Camera() as camera:
        source = VideoSource({"gate": VideoSettings(camera.url)}, stop=stop, clock=clock)
        part = source.build_part("in", "gate", None)

        def frames() -> int:
            batches.extend(batch for _, batch in part.next_batch())
            return sum(len(batch.frames) for batch in batches)

        wait_until(lambda: frames() >= FRAMES, "frames before the jump")
        before = frames()
        clock.jump_ns = jump_ns
        wait_until(lambda: frames() >= before + FRAMES, "frames after the jump")
        stop.set()
        batches.extend(batch for _, batch in part.next_batch())
        part.close()
    found = [frame for batch in batches for frame in batch.frames]
    times = [frame.time_ns for frame in found]
    assert times == sorted(set(times))
    assert [frame.sequence for frame in found] == list(range(len(found)))
    # Back: the camera's own pace goes on. Forward: event time follows the clock.
    gone_ns = times[-1] - times[0]
    assert gone_ns < HOUR_NS / 2 if jump_ns < 0 else gone_ns > HOUR_NS / 2
    kinds = {event.kind for batch in batches for event in batch.events}
    assert EventKind.LOST not in kinds


@pytest.mark.parametrize("jump_ns", [-HOUR_NS, HOUR_NS])
def test_retries_survive_a_clock_that_jumps(tmp_path: Path, jump_ns: int) -> None:
    clock, path = JumpingClock(), tmp_path / "flow.outbox.sqlite3"
    wait = {"first_retry_seconds": 1000.0, "most_retry_seconds": 1000.0}
    with ScriptedServer(Reply(500), Reply(200)) as server, Outbox(path) as outbox:
        sink = WebhookSink(settings_for(server.url, **wait), Random(1), outbox=outbox, clock=clock)
        sink.build("webhook", 0, 1).write_batch([("gate", [alert()])])
        wait_until(lambda: states(path)[0][2] == "status_500", "the first attempt")
        clock.jump_ns = jump_ns
        wait_until(lambda: states(path)[0][1] == "delivered", "the second attempt")
        sink.close()
    assert [one.headers["webhook-id"] for one in server.requests] == [alert().id] * 2
