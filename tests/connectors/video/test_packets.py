from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from connectors.video import VideoSettings, read_packets
from records import SourceError
from tests.support.coded import write_coded
from tests.support.videos import read_all, write_video

if TYPE_CHECKING:
    from pathlib import Path

CODED = {
    "a.mp4": "keyint=12:bframes=3",
    "open.mp4": "open-gop=1:keyint=12:bframes=3:b-adapt=0",
    "a.ts": "keyint=7:bframes=2",
    "intra.mkv": "keyint=1",
}


def check_against_frames(path: Path) -> None:
    index = read_packets(path)
    frames, _ = read_all(VideoSettings(str(path), start_ns=0))
    assert index.times_ns.tolist() == [frame.time_ns for frame in frames]
    assert index.coded_bytes.tolist() == [frame.coded_bytes for frame in frames]
    assert index.keyframe.tolist() == [frame.keyframe for frame in frames]
    assert index.reordered.tolist() == [frame.reordered for frame in frames]
    assert len(index) == len(frames)
    dtypes = [array.dtype for array in (index.times_ns, index.coded_bytes, index.groups)]
    assert dtypes == [np.int64] * 3
    assert [array.dtype.name for array in (index.keyframe, index.reordered)] == ["bool", "bool"]


@pytest.mark.parametrize("name", ["one-by-one-person-detection.mp4", "vtest.avi"])
def test_real_videos(assets: Path, name: str) -> None:
    check_against_frames(assets / "video" / name)
    groups = read_packets(assets / "video" / name).groups
    step = 10 if name.startswith("one") else 250
    assert groups.tolist() == [i * step for i in range(len(groups))]


@pytest.mark.parametrize("name", CODED)
def test_packets_tell_what_frames_tell(tmp_path: Path, name: str) -> None:
    check_against_frames(write_coded(tmp_path / name, CODED[name]))


def test_a_variable_rate_is_exact(tmp_path: Path) -> None:
    times = [0, 33, 66, 100, 1000, 1033, 90_000]
    path = write_coded(tmp_path / "a.mkv", "keyint=3:bframes=1", ticks=times)
    assert read_packets(path).times_ns.tolist() == [ms * 1_000_000 for ms in times]
    check_against_frames(path)


def test_an_open_group_begins_with_its_leading_frames(tmp_path: Path) -> None:
    path = write_coded(
        tmp_path / "a.mp4", "open-gop=1:keyint=12:min-keyint=1:scenecut=0:bframes=3:b-adapt=0"
    )
    index = read_packets(path)
    keys = np.flatnonzero(index.keyframe)
    assert len(index.groups) == len(keys)
    leading = keys - index.groups
    assert leading[0] == 0
    assert leading.max() > 0
    for start, key in zip(index.groups, keys, strict=True):
        assert index.reordered[start:key].all()


def test_what_has_no_packets_is_told(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"none\.mp4: No such file or directory$"):
        read_packets(tmp_path / "none.mp4")
    with pytest.raises(SourceError, match=": must be a file to read packets from$"):
        read_packets(tmp_path)
    path = write_video(tmp_path / "a.avi", range(0, 400, 40), codec="mpeg4")
    with pytest.raises(SourceError, match=": mpeg4 video may have packets that are no whole frame"):
        read_packets(path)
