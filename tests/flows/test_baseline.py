from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.video import VideoSettings, read_video
from flows.baseline import SampleSettings, measure_baseline
from models.detectors import DetectorSettings
from models.detectors.silhouette import SilhouetteDetector
from operators.cascade import Cascade, CascadeSettings, Models
from operators.plan import REFERENCE
from records import Frame, FrameBatch, RecordError

if TYPE_CHECKING:
    from tests.support.scenes import Street


@given(st.integers(1, 5000), st.integers(1, 9), st.integers(1, 40))
def test_blocks_are_apart_and_within_the_video(frames: int, blocks: int, length: int) -> None:
    sample = SampleSettings(frames, blocks, length)
    starts = sample.starts()
    if frames > blocks * length:
        assert len(starts) == blocks
        assert starts[-1] + length <= frames
        assert all(b - a >= length for a, b in itertools.pairwise(starts))
    else:
        assert starts == [0]
    assert sample.sampled == min(frames, blocks * length)


def test_a_sample_holds_the_detectors_own_answers(scene: Street) -> None:
    video = VideoSettings(uri=str(scene.folder / "scene.mp4"))
    detector = SilhouetteDetector(scene.folder / "empty.png", DetectorSettings())
    steps: list[int] = []
    sample = SampleSettings(frames=120, blocks=3, block_frames=10, batch=4)
    baseline = measure_baseline(video, detector, sample, steps.append)
    assert sorted(baseline.answers) == [*range(15, 25), *range(55, 65), *range(95, 105)]
    assert steps == [10, 20, 30]
    frames = tuple(item for item in read_video("gate", video) if isinstance(item, Frame))
    every = Cascade(CascadeSettings(REFERENCE), Models(detector))
    verdicts = every.on_items([FrameBatch("gate", frames)])[0].verdicts
    for sequence, answer in baseline.answers.items():
        assert answer == verdicts[sequence].answer
    assert baseline.fps == len(baseline.answers) / baseline.seconds


def test_a_short_video_is_sampled_whole(scene: Street) -> None:
    video = VideoSettings(uri=str(scene.folder / "scene.mp4"), frames_at_most=5)
    detector = SilhouetteDetector(scene.folder / "empty.png", DetectorSettings())
    baseline = measure_baseline(video, detector, SampleSettings(frames=5))
    assert sorted(baseline.answers) == [0, 1, 2, 3, 4]


def test_settings_say_what_must_be() -> None:
    with pytest.raises(RecordError, match="^blocks must be at least 1, got 0$"):
        SampleSettings(frames=10, blocks=0)
