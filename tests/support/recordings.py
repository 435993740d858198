"""Two short synthetic videos, a configuration for both, and the log of a run over them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from connectors.scene import render, write_scene
from flows import config
from flows.picture import write_picture
from flows.replay import OpenOptions, ReplayRequest, ReplaySummary, open_recording, replay
from flows.run import RunRequest, run
from tests.support.scenes import SCENE

if TYPE_CHECKING:
    from pathlib import Path

    from flows.config import Configuration
    from records import Detections, Record

GATE = replace(SCENE, seconds=6, objects_per_minute=40)
TILL = replace(SCENE, seconds=5, objects_per_minute=60, rate_hz=8)

CONFIGURATION = """\
version: 1
name: town
streams:
  gate: {{uri: gate.mp4}}
  till: {{uri: till.mp4}}
detector: {{model: silhouette, weights: empty.png}}
cascade: {cascade}
alerts:
  - {{name: people, class: person, at_least: {at_least}, clear_seconds: 0.5}}
sinks:
  console: null
  json_lines: [{{path: out.jsonl}}]
{more}
"""


@dataclass(frozen=True)
class Town:
    """A written town.

    Attributes:
        folder: Holds videos/gate.mp4 and videos/till.mp4, the pictures and the configurations.
        truth: What is in each frame, by stream.
    """

    folder: Path
    truth: dict[str, tuple[Detections, ...]]

    @property
    def videos(self) -> Path:
        return self.folder / "videos"

    @property
    def log(self) -> Path:
        """The run that `record_town` recorded."""
        return self.folder / "runs" / "recorded"

    def write(self, name: str = "town.yaml", **values: Any) -> Path:
        """Write a configuration."""
        usual = {
            "cascade": "{difference: {threshold: 100, hold_seconds: 2}}",
            "at_least": 1,
            "more": "",
        }
        path = self.folder / name
        path.write_text(CONFIGURATION.format(**usual | values), encoding="utf-8")
        return path


def write_town(folder: Path) -> Town:
    videos = folder / "videos"
    videos.mkdir()
    truth = {
        "gate": write_scene(videos / "gate.mp4", GATE),
        "till": write_scene(videos / "till.mp4", TILL),
    }
    for stream in truth:
        (folder / f"{stream}.mp4").symlink_to(videos / f"{stream}.mp4")
    empty, _ = next(render(replace(SCENE, objects_per_minute=0, noise=0)))
    write_picture(folder / "empty.png", empty)
    return Town(folder, truth)


def record_town(town: Town) -> None:
    """Run the usual configuration over the videos."""
    configuration, text = config.load(town.write())
    run(RunRequest(configuration, text, town.folder, town.log))


@dataclass(frozen=True)
class Replayed:
    """A replay and the records it gave."""

    summary: ReplaySummary
    records: list[Record]

    def of(self, kind: type, stream: str | None = None) -> list[Any]:
        return [
            one for one in self.records if isinstance(one, kind) and stream in (None, one.stream)
        ]


def replay_town(
    town: Town,
    path: Path,
    recording: str | Path,
    options: OpenOptions | None = None,
    **request: Any,
) -> Replayed:
    """Replay a recording for a configuration, by default without sinks."""
    configuration, text = config.load(path)
    return replay_for(configuration, text, town, recording, options, file=str(path), **request)


def replay_for(
    configuration: Configuration,
    text: str,
    town: Town,
    recording: str | Path,
    options: OpenOptions | None = None,
    **request: Any,
) -> Replayed:
    found: list[Record] = []
    opened = open_recording(str(recording), configuration, town.folder, options)
    values: dict[str, Any] = {
        "keep": False,
        "observe": lambda item: found.extend(item[1]),
    } | request
    try:
        summary = replay(ReplayRequest(opened, configuration, text, town.folder, **values))
    finally:
        opened.close()
    return Replayed(summary, found)
