"""Where the frames of an episode come from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from connectors.log_manifest import Manifest, write_manifest
from connectors.replay import EventLog
from flows.why_asked import read_asked
from flows.why_video import episode_frames, find_video
from records import SourceError
from tests.support.records import START_NS

if TYPE_CHECKING:
    from pathlib import Path

    from connectors.video import VideoSettings
    from tests.support.scenes import Street


def video_of(
    folder: Path, stream: str, given: Path | None = None
) -> tuple[VideoSettings | None, str]:
    run_dir = folder / "runs" / "one"
    run_dir.mkdir(parents=True, exist_ok=True)
    text = f"streams: {{gate: {stream}}}\n"
    write_manifest(run_dir, Manifest("one", "one", START_NS, text, ("gate",)))
    log = EventLog.open(run_dir)
    return find_video(log, read_asked(log), "gate", given)


def test_the_video_of_the_manifest_is_decoded(street: Street) -> None:
    video, missing = video_of(street.folder, "{uri: scene.mp4, drop: oldest, frames_at_most: 50}")
    assert (missing, video is not None) == ("", True)
    assert video is not None
    frames, missing = episode_frames(video, [3, 40])
    assert (missing, list(frames), frames[3].shape) == ("", [3, 40], (180, 320, 3))
    frames, missing = episode_frames(video, [3, 60])
    assert list(frames) == [3]
    assert missing == "1 of 2 frames are shown: the video has no frame 60"


@pytest.mark.parametrize(
    ("stream", "missing"),
    [
        ("{uri: gone.mp4}", "the video gone.mp4 is not there any more"),
        ("{uri: 'rtsp://me:secret@cam/1'}", "the frames came from rtsp://***@cam/1 and were not "
         "kept"),
        ("{uri: 'kafka:'}", "the configuration names no video of stream gate"),
        ("{uri: '${NOT_SET_ANYWHERE}'}", "the configuration names no video of stream gate"),
        ("null", "the configuration names no video of stream gate"),
    ],
)  # fmt: skip
def test_where_the_frames_cannot_be_had_it_is_said_why(
    tmp_path: Path, stream: str, missing: str
) -> None:
    assert video_of(tmp_path, stream) == (None, f"{missing}; name a recording with --video FILE")


def test_a_recording_may_be_named(street: Street, tmp_path: Path) -> None:
    given = street.folder / "scene.mp4"
    video, missing = video_of(tmp_path, "{uri: 'rtsp://cam/1'}", given)
    assert (missing, video is not None) == ("", True)
    with pytest.raises(SourceError, match=r"the video .*gone\.mp4 is not there"):
        video_of(tmp_path, "{uri: x.mp4}", tmp_path / "gone.mp4")
    assert video_of(tmp_path, "{uri: x.mp4, frames_at_most: -1}", given) == (
        None,
        "the stream's section cannot be read by this release: Input should be greater than or "
        "equal to 1",
    )


def test_a_live_address_is_no_video(tmp_path: Path) -> None:
    assert video_of(tmp_path, "{uri: 'ftp://cam/1'}")[1].startswith("uri must be a file, a folder")
