from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from connectors.video.ahead import DecodeAhead
from connectors.video.items import Decoded
from connectors.video.reader import read_items
from connectors.video.settings import VideoSettings
from records import EventKind, StreamEvent
from tests.support.videos import picture_number, told, wait_until, write_video

if TYPE_CHECKING:
    import threading
    from collections.abc import Generator
    from pathlib import Path
    from typing import Literal


def decode(path: Path, settings: VideoSettings) -> DecodeAhead:
    """Decode a file that does not wait: the settings are live ones, the reading ends."""
    source = VideoSettings(str(path))

    def read(stop: threading.Event) -> Generator[Decoded | StreamEvent, None, None]:
        return read_items("gate", source, time.time_ns, None, stop)

    return DecodeAhead("gate", settings, read)


@pytest.mark.parametrize(("drop", "kept"), [("oldest", [*range(93, 100)]), ("newest", [*range(7)])])
def test_a_live_stream_drops_what_the_flow_leaves(
    tmp_path: Path, drop: Literal["oldest", "newest"], kept: list[int]
) -> None:
    path = write_video(tmp_path / "a.mp4", range(0, 4000, 40))
    settings = VideoSettings(str(path), live=True, drop=drop, frames_in_memory=8, batch_frames=4)
    ahead = decode(path, settings)
    ahead.start()
    wait_until(lambda: ahead.ended, "the end of the file")
    items = [*ahead.take(4), *ahead.take(4)]
    frames = [item for item in items if isinstance(item, Decoded)]
    assert [picture_number(frame.pixels) for frame in frames] == kept
    events = [item for item in items if isinstance(item, StreamEvent)]
    assert told(events) == [("opened", 0, ""), ("dropped", 93, "flow_behind")]
    assert ahead.take(8) == []


def test_a_file_waits_for_memory(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", range(0, 4000, 40))
    ahead = decode(path, VideoSettings(str(path), frames_in_memory=5, batch_frames=2))
    ahead.start()
    wait_until(lambda: ahead.frames == 5, "5 frames")
    time.sleep(0.2)
    assert (ahead.frames, ahead.budget.taken, ahead.ended) == (5, 5, False)
    held = [item for item in ahead.take(2) if isinstance(item, Decoded)]
    time.sleep(0.2)
    assert (ahead.frames, ahead.budget.taken) == (3, 5)
    held.clear()
    wait_until(lambda: ahead.frames == 5, "2 more frames")
    ahead.close()
    wait_until(lambda: ahead.ended, "the thread to end")
    assert ahead.budget.taken <= 1


def test_damage_without_end_takes_no_memory() -> None:
    def read(stop: threading.Event) -> Generator[Decoded | StreamEvent, None, None]:
        del stop
        for i in range(10_000):
            yield StreamEvent("gate", i, EventKind.CORRUPT, 1, "decode_error")

    ahead = DecodeAhead("gate", VideoSettings("a.mp4"), read)
    ahead.start()
    wait_until(lambda: ahead.ended, "the end")
    assert ahead.take(1) == [StreamEvent("gate", 9_999, EventKind.CORRUPT, 10_000, "decode_error")]


def test_a_fault_of_ours_is_raised_in_the_flow() -> None:
    def read(stop: threading.Event) -> Generator[Decoded | StreamEvent, None, None]:
        del stop
        yield StreamEvent("gate", 0, EventKind.OPENED)
        raise ZeroDivisionError("a fault of ours")

    ahead = DecodeAhead("gate", VideoSettings("a.mp4"), read)
    ahead.start()

    def raises() -> bool:
        try:
            return ahead.ended
        except ZeroDivisionError as error:
            return str(error) == "a fault of ours"

    wait_until(raises, "the fault")
    with pytest.raises(ZeroDivisionError, match="^a fault of ours$"):
        _ = ahead.ended
