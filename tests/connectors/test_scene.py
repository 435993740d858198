from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest

from connectors.scene import (
    CLASS_NAMES,
    LEAST_VISIBLE,
    SceneSettings,
    frame_ticks,
    render,
    write_scene,
)
from connectors.video import VideoSettings
from records import RecordError
from tests.support.videos import read_all, told

if TYPE_CHECKING:
    from pathlib import Path

SMALL = SceneSettings(
    width=160, height=90, rate_hz=10, seconds=12, objects_per_minute=40, noise=1.0, seed=5
)


def test_a_scene_follows_from_its_seed() -> None:
    once, again = list(render(SMALL)), list(render(SMALL))
    assert len(once) == 120
    for (picture, truth), (same_picture, same_truth) in zip(once, again, strict=True):
        assert np.array_equal(picture, same_picture)
        assert truth == same_truth
    other = next(render(SceneSettings(width=160, height=90, seed=6)))
    assert not np.array_equal(other[0], once[0][0])


def test_truth_is_where_the_objects_are() -> None:
    quiet = SceneSettings(
        width=320, height=180, seconds=20, objects_per_minute=12, noise=0.0, seed=2
    )
    pictures, truths = zip(*render(quiet), strict=True)
    background = np.median(pictures, axis=0).astype(np.int16)
    alone = [(p, t) for p, t in zip(pictures, truths, strict=True) if len(t) == 1]
    assert len(alone) > 10
    for picture, truth in alone:
        changed = np.abs(picture.astype(np.int16) - background).max(axis=2) > 12
        x1, y1, x2, y2 = truth.boxes[0]
        inside = changed[int(y1) : int(np.ceil(y2)), int(x1) : int(np.ceil(x2))]
        assert inside.mean() > 0.3
        # The shadow lies on the ground, below and a little beside the object.
        above = changed.copy()
        above[max(int(y2 - 0.15 * (y2 - y1)), 0) :] = False
        above[:, max(int(x1) - 1, 0) : int(x2) + 2] = False
        assert above.mean() < 0.01


def test_objects_enter_cross_and_leave() -> None:
    tracks: dict[int, list[tuple[str, float, float]]] = {}
    for picture, truth in render(SMALL):
        assert picture.shape == (90, 160, 3)
        assert picture.dtype == np.uint8
        assert truth.class_names == CLASS_NAMES
        assert set(truth.scores.tolist()) <= {1.0}
        assert (truth.boxes >= 0).all()
        assert (truth.boxes <= np.array([160, 90, 160, 90])).all()
        assert len(set(truth.tracks.tolist())) == len(truth)
        for track, name, box in zip(truth.tracks, truth.classes, truth.boxes, strict=True):
            middle = float(box[0] + box[2]) / 2
            tracks.setdefault(int(track), []).append((name, middle, float(box[3])))
    assert {name for path in tracks.values() for name, *_ in path} == {"car", "person"}
    for path in tracks.values():
        assert len({(name, round(ground, 2)) for name, _, ground in path}) == 1
        steps = [after - before for (_, before, _), (_, after, _) in pairwise(path)]
        assert all(step > 0 for step in steps) or all(step < 0 for step in steps)


def test_nobody_comes_when_nobody_is_wanted() -> None:
    empty = SceneSettings(width=64, height=64, seconds=1, objects_per_minute=0, noise=0)
    pictures = [picture for picture, truth in render(empty) if len(truth) == 0]
    assert len(pictures) == 10
    assert all(np.array_equal(picture, pictures[0]) for picture in pictures)
    assert 0 < LEAST_VISIBLE < 1


@pytest.mark.parametrize(("b_frames", "variable"), [(0, False), (3, False), (2, True)])
def test_a_written_scene_is_read_back(tmp_path: Path, b_frames: int, *, variable: bool) -> None:
    settings = SceneSettings(
        width=96, height=64, rate_hz=15, seconds=2, b_frames=b_frames, variable_rate=variable
    )
    done: list[tuple[int, int]] = []
    path = tmp_path / "scene.mp4"
    truth = write_scene(path, settings, lambda *counts: done.append(counts))
    assert truth == tuple(found for _, found in render(settings))
    assert done == [(i, 30) for i in range(1, 31)]
    frames, events = read_all(VideoSettings(str(path)))
    assert [frame.time_ns for frame in frames] == [
        ticks * 10**9 // 30_000 for ticks in frame_ticks(settings)
    ]
    assert told(events) == [("opened", 0, ""), ("ended", 30, "")]
    for frame, (picture, _) in zip(frames, render(settings), strict=True):
        error = np.abs(frame.pixels.rgb().astype(int) - picture).mean()
        assert error < 8
    with av.open(path) as container:
        order = [packet.pts or 0 for packet in container.demux(video=0) if packet.size]
    assert (order != sorted(order)) == (b_frames > 0)


def test_variable_rate_moves_frames_but_not_past_another() -> None:
    even = frame_ticks(SMALL)
    varied = frame_ticks(SceneSettings(rate_hz=10, seconds=12, seed=5, variable_rate=True))
    assert even == [i * 3000 for i in range(120)]
    assert varied[0] == 0
    assert len(set(np.diff(varied).tolist())) > 50
    assert all(after > before for before, after in pairwise(varied))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"width": 62}, "width must be even and in 64..4096, got 62"),
        ({"height": 91}, "height must be even and in 64..4096, got 91"),
        ({"seconds": 0.0}, "rate_hz x seconds must be 1 to 10000000 frames, got 10.0 x 0.0"),
        ({"rate_hz": -1.0}, "rate_hz x seconds must be 1 to 10000000 frames, got -1.0 x 60.0"),
        ({"noise": -0.1}, "objects_per_minute and noise must be at least 0"),
        ({"seed": -1}, "seed must be a whole number of at least 0, got -1"),
        ({"noise": float("nan")}, "noise must be a finite number, got nan"),
    ],
)
def test_what_is_out_of_range_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError, match=f"^{message}$"):
        SceneSettings(**fields)
