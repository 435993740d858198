"""A real clip: boxes that flicker are put aside with the right pictures and weak labels."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from connectors.video import VideoSettings, decode_frames
from flows import config
from flows.run import RunRequest, run
from records import Origin
from records.retraining import REFERENCE
from tests.flows.test_cli import call
from tests.support.put_aside import Queued, decoded, queued

if TYPE_CHECKING:
    from pathlib import Path

FRAMES = 40
CONFIGURATION = """\
version: 1
name: square
streams: {{gate: {{uri: "{video}", frames_at_most: {frames}}}}}
detector: {{model: yolox_nano, classes: [person], threads: 1}}
cascade: {{difference: null}}
assertions: {{health: {{}}, outputs: {{flicker: {{}}}}}}
retraining: {{queue: queue.sqlite3, random_seconds: 2, near_bits: -1, crop: {crop}}}
sinks: {{event_log: null, console: null}}
"""


def run_square(folder: Path, video: Path, crop: str = "frame") -> Queued:
    folder.mkdir()
    path = folder / "square.yaml"
    text = CONFIGURATION.format(video=video, frames=FRAMES, crop=crop)
    path.write_text(text, encoding="utf-8")
    configuration, text = config.load(path)
    summary = run(RunRequest(configuration, text, folder))
    assert summary.streams["gate"].not_put_aside.keys() <= {"episode_full"}
    return queued(folder / "queue.sqlite3")


@pytest.fixture(scope="module")
def video(assets: Path) -> Path:
    return assets / "video" / "vtest.avi"


@pytest.fixture(scope="module")
def square(video: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Queued]:
    """The folder of one run, and what it put aside."""
    folder = tmp_path_factory.mktemp("square") / "one"
    return folder, run_square(folder, video)


def test_each_picture_is_that_of_its_frame(square: tuple[Path, Queued], video: Path) -> None:
    _, found = square
    assert {origin for one in found.items for origin in one.origins} >= {Origin.ASSERTION}
    near = sorted({k for n in found.sequences for k in (n - 3, n, n + 3) if 0 <= k < FRAMES})
    truth = {
        k: rgb.astype(np.int16)
        for k, rgb in decode_frames(VideoSettings(str(video)), near, kind="full")
    }
    for one, data in zip(found.items, found.crops, strict=True):
        picture = decoded(data)
        apart = {k: np.abs(picture - rgb).mean() for k, rgb in truth.items()}
        assert min(apart, key=lambda k: float(apart[k])) == one.sequence
        assert apart[one.sequence] < 4
        assert one.crop is not None
        assert one.crop.region == (0.0, 0.0, 768.0, 576.0)


def test_flicker_makes_weak_labels_and_the_random_share_has_the_references(
    square: tuple[Path, Queued],
) -> None:
    _, found = square
    flickered = [one for one in found.items if Origin.ASSERTION in one.origins]
    assert flickered
    for one in flickered:
        assert one.label is not None
        assert one.label.source == "flicker"
        assert one.label.boxes is not None
        assert set(one.label.boxes.classes) == {"person"}
    drawn = [one for one in found.items if one.origins == (Origin.RANDOM,)]
    assert drawn
    assert {one.label.source for one in drawn if one.label} == {REFERENCE}
    assert {round(one.propensity, 6) for one in drawn} == {0.05}


def test_the_queue_of_a_run_is_exported(
    square: tuple[Path, Queued], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, found = square
    out = tmp_path / "to-label"
    words: list[str | Path] = [folder / "queue.sqlite3", out, "--format", "coco", "--json"]
    assert call("queue", "export", *words) == 0
    told = json.loads(capsys.readouterr().out)
    assert (sorted(told["written"]), told["classes"]) == (
        sorted(one.id for one in found.items),
        ["person"],
    )
    coco = json.loads((out / "annotations.json").read_text(encoding="utf-8"))
    assert len(coco["images"]) == len(list((out / "images").iterdir())) == len(found.items)


def test_a_second_run_puts_the_same_bytes_aside_and_boxes_are_cut_out(
    square: tuple[Path, Queued], video: Path, tmp_path: Path
) -> None:
    _, found = square
    assert run_square(tmp_path / "two", video).contents == found.contents
    cut = run_square(tmp_path / "cut", video, crop="box")
    assert cut.sequences == found.sequences
    for one, data in zip(cut.items, cut.crops, strict=True):
        assert one.crop is not None
        assert one.crop.region is not None
        x1, y1, x2, y2 = map(int, one.crop.region)
        assert decoded(data).shape == (y2 - y1, x2 - x1, 3)
        whole = (x2 - x1, y2 - y1) == (768, 576)
        assert whole == (Origin.ASSERTION not in one.origins)
