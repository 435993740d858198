"""A synthetic street on disk, with its truth, and configurations that watch it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from connectors.scene import SceneSettings, render, write_scene
from flows.picture import write_picture

if TYPE_CHECKING:
    from pathlib import Path

    from records import Detections

SCENE = SceneSettings(
    width=320, height=180, seconds=12, objects_per_minute=25, noise=1.0, seed=5
)  # fmt: skip
"""A short street with people and cars, 120 frames at 10 Hz."""

CONFIGURATION = """\
version: 1
name: street
streams:
  gate: {{uri: scene.mp4}}
detector:
  model: silhouette
  weights: empty.png
cascade:
  difference: {{threshold: {threshold}, hold_seconds: 2}}
alerts:
  - {{name: people, class: person, at_least: {at_least}, clear_seconds: 0.5}}
sinks:
  console: null
{more}
"""
"""Watches the street with the silhouette detector."""


@dataclass(frozen=True)
class Street:
    """A written scene.

    Attributes:
        folder: Holds scene.mp4, empty.png and street.yaml.
        truth: What is in each frame.
    """

    folder: Path
    truth: tuple[Detections, ...]

    @property
    def configuration(self) -> Path:
        """The configuration's file."""
        return self.folder / "street.yaml"


def write_street(folder: Path) -> Street:
    """Write the scene, the picture of the empty street and a configuration."""
    truth = write_scene(folder / "scene.mp4", SCENE)
    empty, _ = next(render(replace(SCENE, objects_per_minute=0, noise=0)))
    write_picture(folder / "empty.png", empty)
    return write_configuration(Street(folder, truth))


def write_configuration(
    street: Street, *, threshold: float = 100.0, at_least: int = 2, more: str = ""
) -> Street:
    """Write the configuration anew, with other figures or more sinks."""
    text = CONFIGURATION.format(threshold=threshold, at_least=at_least, more=more)
    street.configuration.write_text(text, encoding="utf-8")
    return street
