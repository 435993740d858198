"""Rounds for an ECG model, on synthetic hearts whose windows people have labelled."""

from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from connectors.codec import encode
from connectors.queue import RetrainingQueue
from flows.config import Configuration
from flows.training.settings import TrainingJob
from flows.training.trainer import TrainRequest, train
from models.ecg import EcgModel
from models.ecg_network import EcgArchitecture
from models.ecg_training import EcgTrainSettings, train_ecg
from records import Crop, Label, Origin, Reading, RetrainingItem
from records.retraining import HUMAN, SIGNAL
from records.units import NANOSECONDS
from tests.support.ecg import heart, hearts

if TYPE_CHECKING:
    from pathlib import Path

    from connectors.queue_items import Entry
    from flows.training.state import RoundState

SECONDS = 4.0
SMALL = EcgArchitecture((4, 4, 6, 8), kernel=3, last_kernel=3, dropout=0.1)


def window(number: int, *, regular: bool, rate_hz: float = 300.0) -> Entry:
    random = np.random.default_rng(number)
    signal = heart(SECONDS, regular=regular, random=random, rate_hz=rate_hz)
    reading = Reading("bed", number, 0, rate_hz, signal[:, None], ("ECG",), ("mV",))
    data = encode(reading)
    crop = Crop(SIGNAL, hashlib.sha256(data).hexdigest(), len(data))
    time_ns = round(number * SECONDS * NANOSECONDS)
    return RetrainingItem("bed", number, time_ns, (Origin.RANDOM,), 1.0, 0.1, crop=crop), data


def job_of(folder: Path, **training: Any) -> TrainingJob:
    section = {
        "model": "rhythm", "kind": "ecg", "queue": "queue.sqlite3", "select": "all",
        "block_seconds": 20.0, "labels": ["human"], "scheduling": "normal", "nice": 0,
    } | training  # fmt: skip
    values = {
        "version": 1, "name": "beds", "training": section,
        "classifier": {"model": "first.safetensors"},
    }  # fmt: skip
    configuration = Configuration.model_validate(values)
    assert configuration.training is not None
    return TrainingJob(
        configuration.training, configuration, folder, folder / "registry",
        folder / "queue.sqlite3", lambda: 7,
    )  # fmt: skip


def once(job: TrainingJob) -> RoundState:
    (state,) = train(job, TrainRequest(once=True), threading.Event(), lambda *_: None)
    return state


def test_a_round_fine_tunes_the_present_model_and_compares_on_unseen_windows(
    tmp_path: Path,
) -> None:
    settings = EcgTrainSettings(SMALL, epochs=1, batch_size=4, crop_windows=4)
    train_ecg(hearts(8), settings, classes=("N", "A")).save(tmp_path / "first.safetensors")
    with RetrainingQueue(tmp_path / "queue.sqlite3") as queue:
        entries = [window(k, regular=k % 2 == 0) for k in range(150)]
        entries += [window(k, regular=True, rate_hz=250.0) for k in range(150, 153)]
        queue.add(entries, now_ns=0)
        labels = {
            item.id: Label(HUMAN, class_name="A" if item.sequence % 2 else "N")
            for item, _ in entries
        }
        queue.label(labels, now_ns=0)
    job = job_of(tmp_path)
    state = once(job)
    assert state.labels == {"human": 153}
    assert state.version == 1, state.reason
    assert state.reason.startswith("its accuracy is above the present version's by 0.")
    assert state.evaluation is not None
    assert set(state.evaluation["after"]) == {"accuracy", "recall of N", "recall of A"}
    model = EcgModel.load(job.registry.folder("rhythm", 1) / "model.safetensors")
    assert (model.classes, model.what.architecture) == (("N", "A"), SMALL)
    job.registry.promote("rhythm", 1)
    again = once(job)
    assert again.reason == "the queue holds no new item that can be used"


def test_too_few_windows_are_told(tmp_path: Path) -> None:
    settings = EcgTrainSettings(SMALL, epochs=1, batch_size=4, crop_windows=4)
    train_ecg(hearts(8), settings, classes=("N", "A")).save(tmp_path / "first.safetensors")
    with RetrainingQueue(tmp_path / "queue.sqlite3") as queue:
        entries = [window(k, regular=k % 2 == 0) for k in range(20)]
        queue.add(entries, now_ns=0)
        queue.label({item.id: Label(HUMAN, class_name="N") for item, _ in entries}, now_ns=0)
    assert "training needs records of at least 2 classes" in once(job_of(tmp_path)).reason
