"""A round for a detector's head, on real pictures with the labels of the clip's truth."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

from connectors.queue import RetrainingQueue
from connectors.video import decode_frames
from flows.config import Configuration
from flows.training.settings import TrainingJob
from flows.training.state import Step
from flows.training.trainer import TrainRequest, train
from models.detectors.head import HeadModel
from records import Detections, Label
from records.retraining import HUMAN
from tests.support.training import item_of
from tests.support.vtest import FRAMES, truth

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

EVERY = 27
"""Of the clip's frames one in so many is labelled."""


def people(boxes: NDArray[np.float32]) -> Label:
    return Label(HUMAN, Detections.of(boxes, np.ones(len(boxes)), ["person"] * len(boxes)))


def test_a_head_is_fine_tuned_and_compared_with_the_published_one(
    assets: Path, tmp_path: Path
) -> None:
    boxes = truth(assets / "video" / "vtest.mot.txt")
    video = str(assets / "video" / "vtest.avi")
    chosen = decode_frames(video, range(0, FRAMES, EVERY), kind="full")
    entries = [item_of(rgb, place) for place, rgb in chosen]
    with RetrainingQueue(tmp_path / "queue.sqlite3") as queue:
        queue.add(entries, now_ns=0)
        queue.label({item.id: people(boxes[item.sequence]) for item, _ in entries}, now_ns=0)
    values = {
        "version": 1, "name": "square", "detector": {"model": "yolox_nano"},
        "training": {
            "model": "eye", "kind": "detector", "labels": ["human"], "select": "all",
            "block_seconds": 14.0, "scheduling": "normal", "nice": 0,
        },
    }  # fmt: skip
    configuration = Configuration.model_validate(values)
    assert configuration.training is not None
    job = TrainingJob(
        configuration.training, configuration, tmp_path, tmp_path / "registry",
        tmp_path / "queue.sqlite3", lambda: 7,
    )  # fmt: skip
    (state,) = train(job, TrainRequest(once=True), threading.Event(), lambda *_: None)
    assert state.step is Step.DONE
    assert state.labels == {"human": len(entries)}
    assert state.evaluation is not None, state.reason
    assert set(state.evaluation["after"]) == {"recall", "precision", "f1"}
    assert state.evaluation["difference"]["f1"]["value"] > 0
    assert state.version == 1, state.reason
    head = HeadModel.load(job.registry.folder("eye", 1) / "head.safetensors")
    assert head.what.classes == ("person",)
