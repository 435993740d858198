"""The files that documentation pages name: videos, runs, boxes, queues, registries."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np

from flows import config
from flows.evaluate.assertions import save_calibration
from flows.run import RunRequest, run
from operators.severity import fit_severities
from tests.support.ecg import random_model, write_record
from tests.support.put_aside import OWN, TENTH
from tests.support.registries import registry_with
from tests.support.scenes import Street, write_configuration, write_street
from tests.support.vtest import frames as clip_frames
from tests.support.webhook_outbox import deliver

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

CLIP_FRAMES = 60
"""Frames of the short clip, at 10 Hz: 6 seconds with pedestrians."""

RUN = "street-20260501T080000Z"
"""The folder of the recorded run."""

RECORDINGS = ("0000", "0003")
"""The recordings with camera and LIDAR that stand for all, short ones."""


SECRET_NAME = "SIGHTFLOW_WEBHOOK_SECRET"
"""The environment's name for the secret of webhooks."""

MADE_BY_INIT = "sightflow.yaml"
"""A configuration that some pages have made by a command."""


@dataclass(frozen=True)
class Material:
    """What pages are about, made once.

    Attributes:
        assets: The folder of real videos, models and truth.
        clip: Six seconds of a square with pedestrians.
        street: A synthetic street.
        run: The folder of a run over the street.
    """

    assets: Path
    clip: Path
    street: Street
    run: Path


def make_material(folder: Path, assets: Path) -> Material:
    """Make it all in a folder."""
    clip = folder / "clip.mp4"
    _cut(assets / "video" / "vtest.avi", clip)
    street = write_street(folder)
    (folder / "own.py").write_text(OWN, encoding="utf-8")
    more = (
        "  event_log: {directory: runs}\n"
        + TENTH
        + "retraining: {queue: queue.sqlite3, random_seconds: 1}\n"
    )
    write_configuration(street, at_least=3, more=more)
    text = street.configuration.read_text(encoding="utf-8")
    text = text.replace("scene.mp4}", "scene.mp4, start: 2026-05-01T08:00:00Z}")
    street.configuration.write_text(text, encoding="utf-8")
    configuration, text = config.load(street.configuration)
    done = folder / "runs" / RUN
    run(RunRequest(configuration, text, folder, run_dir=done))
    (folder / "queue.sqlite3").unlink()
    return Material(assets, clip, street, done)


def _cut(source: Path, path: Path) -> None:
    with av.open(path, "w") as container:
        options = {"preset": "ultrafast"}
        video = container.add_stream("libx264", rate=10, options=options)
        video.width, video.height, video.pix_fmt = 768, 576, "yuv420p"
        for number, pixels in zip(range(CLIP_FRAMES), clip_frames(source), strict=False):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))


def write_files(material: Material, folder: Path, page: str, url: str) -> None:
    """Write the files that a page's text names into a folder, as if a user had them there.

    Args:
        material: What they are made of.
        folder: Where they go.
        page: The page's text.
        url: Where webhooks go, on pages about an outbox; its first answer must be no.
    """
    url = url if ".outbox.sqlite3" in page and "alerts replay" in page else ""
    for name, write in _files(material, url).items():
        if name in page and not (name == MADE_BY_INIT and "sightflow init" in page):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write(path)
    for name in ("scene.mp4", "empty.png", "own.py"):
        shutil.copy(material.street.folder / name, folder)


def _files(material: Material, url: str) -> Mapping[str, Callable[[Path], object]]:
    """What writes each file, or folder, by the name that pages give it."""

    def clip(path: Path) -> None:
        shutil.copy(material.clip, path)

    def street(path: Path) -> None:
        text = material.street.configuration.read_text(encoding="utf-8")
        if url:
            hook = f"{{url: '{url}', secrets: ['${{{SECRET_NAME}}}'], allow_private: true}}"
            text = text.replace("sinks:\n", f"sinks:\n  webhooks: [{hook}]\n")
        path.write_text(text, encoding="utf-8")

    def outbox(path: Path) -> None:
        path = path.parent / "runs" / path.name
        path.parent.mkdir(exist_ok=True)
        deliver(path, url, [120], attempts=1)

    def run_folder(path: Path) -> None:
        shutil.copytree(material.run, path)

    def truth(path: Path) -> None:
        lines = (material.assets / "video" / "vtest.mot.txt").read_text().splitlines(keepends=True)
        kept = [line for line in lines if int(line.split(",")[0]) <= CLIP_FRAMES]
        path.write_text("".join(kept))

    clips = ("gate.mp4", "entrance.avi", "entrance.mp4", "video.mp4", "day.mp4", "night.mp4")
    configurations = ("street.yaml", "sightflow.yaml", "flow.yaml", "a.yaml", "b.yaml")
    runs = (f"runs/{RUN}", "runs/demo", "runs/gate-20260131T120000Z", "RECORDING")
    return {
        **dict.fromkeys(clips, clip),
        **dict.fromkeys(configurations, street),
        **dict.fromkeys(runs, run_folder),
        "boxes.txt": truth,
        "labels.txt": truth,
        "gt.txt": truth,
        "kitti/": lambda path: _kitti(material.assets, path),
        "videos/": lambda path: _videos(material.street, path),
        "models-registry": _registry,
        "known.json": lambda path: save_calibration(fit_severities([]), path),
        "street.outbox.sqlite3": outbox,
        "ecg.safetensors": lambda path: random_model().save(path),
        "ward/bed-1.hea": _record,
    }


def _kitti(assets: Path, path: Path) -> None:
    for kind in ("camera_car", "lidar_car", "truth"):
        (path / kind).mkdir(parents=True)
        for name in RECORDINGS:
            shutil.copy(assets / "lidar" / kind / f"{name}.txt", path / kind)


def _videos(street: Street, path: Path) -> None:
    path.mkdir()
    shutil.copy(street.folder / "scene.mp4", path / "gate.mp4")


def _registry(path: Path) -> None:
    registry = registry_with(path.parent, 4)
    registry.promote("gate", 3, "better by day")
    (path.parent / "models").rename(path)


def _record(path: Path) -> None:
    write_record(path.parent, path.stem, np.zeros(9000, np.float32))
