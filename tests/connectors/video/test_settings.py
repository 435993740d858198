from __future__ import annotations

from typing import Any

import pytest

from connectors.video import VideoSettings
from records import RecordError


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"uri": "ftp://x/y"}, "uri must be a file, a folder, webcam:N"),
        ({"start_ns": -1}, "start_ns must be nanoseconds since 1970 UTC as an int, got -1"),
        ({"live": "yes"}, "live must be true, false or absent, got 'yes'"),
        ({"drop": "all"}, "drop must be 'oldest' or 'newest', got 'all'"),
        ({"batch_frames": 65}, r"batch_frames must be in 1..64 \(frames_in_memory\), got 65"),
        ({"batch_frames": 1.5}, "batch_frames must be a whole number of at least 0, got 1.5"),
        ({"frames_in_memory": 0}, "frames_in_memory must be in 1..65536, got 0"),
        (
            {"live": True, "frames_in_memory": 1, "batch_frames": 1},
            "frames_in_memory must be in 2..65536, got 1",
        ),
        ({"stall_seconds": 0.0}, "stall_seconds must be above 0 and at most 3600, got 0.0"),
        ({"open_seconds": float("nan")}, "open_seconds must be above 0 and at most 3600, got nan"),
        (
            {"reconnect_most_seconds": 0.1},
            r"reconnect_most_seconds must be at least reconnect_first_seconds \(0.25\), got 0.1",
        ),
        ({"frames_at_most": 0}, "frames_at_most must be at least 1, got 0"),
        ({"decode_threads": 65}, "decode_threads must be in 0..64, got 65"),
    ],
)
def test_what_is_out_of_range_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError, match=f"^{message}"):
        VideoSettings(**{"uri": "gate.mp4", **fields})


@pytest.mark.parametrize(
    ("uri", "live", "is_live"),
    [
        ("gate.mp4", None, False),
        ("gate.mp4", True, True),
        ("http://h/a.mp4", None, True),
        ("http://h/a.mp4", False, False),
        ("webcam:0", None, True),
    ],
)
def test_the_uri_or_the_user_decides_what_is_live(
    *, uri: str, live: bool | None, is_live: bool
) -> None:
    assert VideoSettings(uri, live=live).is_live is is_live


def test_secrets_are_not_shown() -> None:
    assert "hunter2" not in repr(VideoSettings("rtsp://admin:hunter2@cam/1"))


def test_the_defaults_see_a_stall_and_a_return_in_time() -> None:
    settings = VideoSettings("rtsp://cam/1")
    assert settings.stall_seconds + 1 <= 10
    assert settings.reconnect_most_seconds <= 1
