from __future__ import annotations

import io
from typing import TYPE_CHECKING

from rich.console import Console

from connectors.video import VideoSettings
from flows.counts import RunCounts
from flows.probe import declared_frames
from flows.progress import run_progress
from records import Detections, Stage, Verdict

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.scenes import Street


def shown(videos: dict[str, VideoSettings], *, terminal: bool) -> str:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=110)
    counts = RunCounts(list(videos))
    with run_progress(videos, console) as watch:
        for stream in videos:
            verdict = Verdict(stream, 0, 0, Stage.REFERENCE, 0.0, Detections.empty())
            counts.observe(stream, [verdict])
            watch(counts)
    return out.getvalue()


def test_each_stream_has_a_row_on_a_terminal(scene: Street) -> None:
    video = VideoSettings(uri=str(scene.folder / "scene.mp4"))
    text = shown({"gate": video, "till": VideoSettings(uri="webcam:0")}, terminal=True)
    assert "gate" in text
    assert "1/120" in text
    assert "till" in text


def test_many_streams_share_a_row(scene: Street) -> None:
    video = VideoSettings(uri=str(scene.folder / "scene.mp4"))
    text = shown({f"s{k}": video for k in range(13)}, terminal=True)
    assert "13 streams" in text
    assert "13/1560" in text


def test_nothing_is_shown_elsewhere(scene: Street) -> None:
    video = VideoSettings(uri=str(scene.folder / "scene.mp4"))
    assert shown({"gate": video}, terminal=False).strip() == ""


def test_declared_frames(scene: Street, tmp_path: Path) -> None:
    path = scene.folder / "scene.mp4"
    assert declared_frames(VideoSettings(uri=str(path))) == 120
    assert declared_frames(VideoSettings(uri=str(path), frames_at_most=7)) == 7
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    for uri in (str(tmp_path / "broken.mp4"), str(tmp_path), "rtsp://camera.example/1"):
        assert declared_frames(VideoSettings(uri=uri)) is None
