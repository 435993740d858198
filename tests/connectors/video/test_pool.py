from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from connectors.video import VideoPartition, VideoSettings
from connectors.video.pool import VideoPool
from tests.support.videos import threads, wait_until, write_video

if TYPE_CHECKING:
    from pathlib import Path


def opened(settings: VideoSettings) -> VideoPartition:
    return VideoPartition("gate", settings, threading.Event(), time.time_ns, None)


def test_a_stream_is_taken_once_and_with_its_settings(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", list(range(0, 4000, 40)))
    settings = VideoSettings(str(path), frames_in_memory=16)
    pool = VideoPool()
    partition = opened(settings)
    pool.keep("gate", settings, partition)
    assert pool.take("yard", settings) is None
    assert pool.take("gate", settings) is partition
    assert pool.take("gate", settings) is None
    assert threads("gate")
    pool.keep("gate", settings, partition)
    assert pool.take("gate", replace(settings, batch_frames=4)) is None
    wait_until(lambda: not threads("gate"), "the thread to end")


def test_what_nobody_took_is_closed(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", list(range(0, 4000, 40)))
    settings = VideoSettings(str(path), frames_in_memory=16)
    pool = VideoPool()
    pool.keep("gate", settings, opened(settings))
    pool.close()
    wait_until(lambda: not threads("gate"), "the thread to end")
    assert pool.take("gate", settings) is None
