from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from connectors.video import (
    VideoSettings,
    decode_frames,
)
from records import RecordError, SourceError
from tests.support.coded import (
    SIZE,
    Truth,
    coded_videos,
)
from tests.support.videos import write_video

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[VideoSettings, Truth]]:
    return coded_videos(tmp_path_factory.mktemp("coded"))


def test_chosen_frames(videos: dict[str, tuple[VideoSettings, Truth]], tmp_path: Path) -> None:
    settings, truth = videos["b_frames.mp4"]
    chosen = np.array([3, 4, 30, 59])
    for sequence, pixels in decode_frames(settings, chosen, *SIZE):
        assert np.array_equal(pixels, truth.rgb[sequence])
    luma = list(decode_frames(settings.uri, chosen, *SIZE, kind="luma"))
    assert [sequence for sequence, _ in luma] == [3, 4, 30, 59]
    assert all(np.array_equal(pixels, truth.luma[i]) for i, pixels in luma)
    [(_, full)] = decode_frames(settings, [11], kind="full")
    assert np.array_equal(full, truth.rgb[11])
    assert list(decode_frames(settings, [])) == []
    path = write_video(tmp_path / "a.avi", range(0, 800, 40), codec="mpeg4")
    assert [i for i, _ in decode_frames(str(path), [2, 5], 8, 8)] == [2, 5]
    with pytest.raises(SourceError, match="^the video has no frame 60$"):
        list(decode_frames(settings, [1, 60], 8, 8))


def test_chosen_frames_must_be_sound(videos: dict[str, tuple[VideoSettings, Truth]]) -> None:
    settings, _ = videos["b_frames.mp4"]
    for wrong in ([1, 1], [-1], [3, 2]):
        with pytest.raises(
            RecordError, match="^sequences must be at least 0, each greater than the one before$"
        ):
            decode_frames(settings, wrong)
    with pytest.raises(RecordError, match="^kind must be 'rgb', 'luma' or 'full', got 'bgr'$"):
        decode_frames(settings, [1], kind="bgr")  # type: ignore[arg-type]  # what is tested
    with pytest.raises(RecordError, match="^video must be recorded to choose frames of it"):
        decode_frames("rtsp://gate.local/main", [1])
