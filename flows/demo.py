"""The demo: one real clip through the whole system, with nothing to set up.

A clip with pedestrians goes through the cascade; a crowd raises an alert; the alert reaches a
receiver on this machine, which verifies its signature; everything is in an event log. Then the
reference detector runs on a sample of whole blocks, so that the speed-up stands beside what it is
measured against, in the same run.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np

from connectors.receiver import WebhookReceiver
from connectors.replay import EventLog
from connectors.scene import SceneSettings, render, write_scene
from connectors.webhook_settings import new_secret
from flows import config
from flows.baseline import SampleSettings, measure_baseline
from flows.build import detector_settings
from flows.demo_report import DemoReport
from flows.inputs import video_settings
from flows.output import error_console
from flows.picture import picture_of, write_picture
from flows.progress import download_progress, run_progress, step_progress
from flows.run import RunRequest, run
from models.assets import fetch
from models.detectors import load_detector
from records import Alert, AlertState, SightflowError, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from flows.baseline import Baseline
    from flows.config import AlertSection, Configuration
    from flows.summary import RunSummary
    from records import Detections, Detector

CONFIGURATION_NAME = "demo.yaml"
"""The configuration that the demo writes into its folder; it marks the folder as the demo's."""

SCENE = SceneSettings(objects_per_minute=14.0)
"""The made scene: a street with a few people and cars, one minute."""


@dataclass(frozen=True, slots=True)
class _Input:
    """What the demo watches, and the figures that fit it.

    Attributes:
        video: The video.
        model: The reference detector.
        weights: Its weights; None for those it has.
        threshold: Of the difference detector, squared grey levels: neither picture is ever quite
            still, so this is how much may move before the detector is asked again.
        at_least: How many people raise the alert.
    """

    video: Path
    model: str
    weights: Path | None
    threshold: float
    at_least: int


@dataclass(frozen=True, slots=True)
class DemoSettings:
    """How the demo runs.

    Attributes:
        output: Where it writes; a folder of an earlier demo is replaced.
        synthetic: Whether a made scene, with a detector made for it, stands for the clip.
    """

    output: Path
    synthetic: bool = False


def demo(settings: DemoSettings) -> DemoReport:
    """Run the demo.

    Raises:
        SightflowError: a part cannot be had, or `output` holds something that is not the demo's.
    """
    output = _cleared(settings.output)
    text, secret = _written(_input(settings, output), output), new_secret()
    with WebhookReceiver(secret) as receiver:
        environment = {
            **os.environ,
            "SIGHTFLOW_DEMO_URL": receiver.url,
            "SIGHTFLOW_DEMO_SECRET": secret,
        }
        configuration = config.parse(text, CONFIGURATION_NAME, output, environment)
        with download_progress("detector") as progress:
            detector = load_detector(detector_settings(configuration, output), progress=progress)
        summary = _run(configuration, text, output, detector)
        verified, refused = len(receiver.received), len(receiver.rejected)
    return _report(configuration, output, detector, summary, (verified, refused))


def _cleared(output: Path) -> Path:
    """An empty folder; what an earlier demo left there is removed, anything else is refused."""
    if output.exists():
        if not (output / CONFIGURATION_NAME).is_file() and any(output.iterdir()):
            raise SightflowError(
                f"{output} holds something that is not the demo's; say --output another folder"
            )
        shutil.rmtree(output)
    output.mkdir(parents=True)
    return output


def _input(settings: DemoSettings, output: Path) -> _Input:
    """Fetch the clip, or make the scene."""
    if not settings.synthetic:
        with download_progress("clip") as progress:
            clip = fetch("vtest", progress=progress)
        return _Input(clip, "auto", None, threshold=120.0, at_least=6)
    video, empty = output / "scene.mp4", output / "empty.png"
    with step_progress("making the scene", SCENE.frames) as step:
        write_scene(video, SCENE, progress=lambda done, _: step(done))
    picture, _ = next(render(replace(SCENE, objects_per_minute=0.0, noise=0.0)))
    write_picture(empty, picture)
    return _Input(video, "silhouette", empty, threshold=40.0, at_least=2)


def _written(watched: _Input, output: Path) -> str:
    """Write the configuration, and give its text."""
    text = files("flows").joinpath("templates/demo.yaml").read_text(encoding="utf-8")
    values = {
        "VIDEO": _scalar(watched.video),
        "MODEL": watched.model,
        "WEIGHTS": "null" if watched.weights is None else _scalar(watched.weights),
        "THRESHOLD": str(watched.threshold),
        "AT_LEAST": str(watched.at_least),
    }
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    (output / CONFIGURATION_NAME).write_text(text, encoding="utf-8")
    return text


def _scalar(path: Path) -> str:
    """A path as a YAML scalar: a JSON string is one, whatever the path holds."""
    return json.dumps(str(path.resolve())).replace("${", "$${")


def _run(configuration: Configuration, text: str, output: Path, detector: Detector) -> RunSummary:
    videos = video_settings(configuration.streams, output)
    with run_progress(videos, error_console()) as watch:
        return run(RunRequest(configuration, text, output, output, detector, watch=watch))


def _report(
    configuration: Configuration,
    output: Path,
    detector: Detector,
    summary: RunSummary,
    received: tuple[int, int],
) -> DemoReport:
    """Measure the baseline, read the event log back, and draw the first alert."""
    (video,) = video_settings(configuration.streams, output).values()
    sample = SampleSettings(max(summary.frames, 1), batch=configuration.detector.batch)
    with step_progress("detector on every frame", sample.sampled) as step:
        baseline = measure_baseline(video, detector, sample, step)
    log = EventLog.open(output)
    records = list(log.records())
    verdicts = {record.sequence: record for record in records if isinstance(record, Verdict)}
    opened = [
        record
        for record in records
        if isinstance(record, Alert) and record.state is AlertState.OPENED
    ]
    picture = None
    if opened:
        picture = output / "alert.jpg"
        first = opened[0]
        image = picture_of(video, verdicts[first.sequence], f"ALERT {first.rule}: {first.message}")
        write_picture(picture, image)
    (rule,) = configuration.alerts
    same_count, same_alarm = _agreement(baseline, verdicts, rule)
    return DemoReport(
        summary=summary,
        baseline=baseline,
        same_count=same_count,
        same_alarm=same_alarm,
        rule=f"at least {rule.at_least} of class {rule.class_name} in view",
        verified=received[0],
        refused=received[1],
        picture=picture,
        log_faults=len(log.faults),
    )


def _agreement(
    baseline: Baseline, verdicts: Mapping[int, Verdict], rule: AlertSection
) -> tuple[float, float]:
    """The shares of sampled frames in which the counts, and the alarms, are the same."""

    def count(answer: Detections) -> int:
        return answer.count(rule.class_name)

    pairs = np.array(
        [
            (count(answer), count(verdicts[sequence].answer))
            for sequence, answer in baseline.answers.items()
            if sequence in verdicts
        ]
    ).reshape(-1, 2)
    if not len(pairs):
        return 0.0, 0.0
    alarms = pairs >= rule.at_least
    return float(np.mean(pairs[:, 0] == pairs[:, 1])), float(np.mean(alarms[:, 0] == alarms[:, 1]))
