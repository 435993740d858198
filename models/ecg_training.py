"""Training of ECG models on labelled records: the label of a record is that of its every window."""

from __future__ import annotations

import contextlib
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from models.ecg import CLASSES, EcgDescription, EcgModel, ecg_tensors
from models.ecg_loop import EcgTraining
from models.ecg_network import WINDOW, EcgArchitecture
from models.model_files import data_sha256, training_key
from models.specialised import torch_threads
from models.training_settings import Ranges, check_ranges
from records import RecordError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from models.checkpoint import CheckpointFile
    from models.ecg_data import LabelledSignal
    from models.ecg_loop import Progress
    from models.planned_steps import Planning


@dataclass(frozen=True, slots=True)
class EcgTrainSettings:
    """How an ECG model is trained.

    Attributes:
        architecture: The network's shape.
        epochs: Passes over the records, 1..10,000.
        batch_size: Records in a step, 2..4096.
        crop_windows: Length of the piece that is drawn from a record, windows of 256 samples,
            1..4096.
        learning_rate: The highest learning rate (AdamW, one cycle: Smith 2018).
        weight_decay: AdamW's decoupled weight decay.
        smoothing: Share of each label that is spread over all classes (Szegedy et al. 2016,
            section 7), 0..0.5: labels of whole records are not right for every window.
        threads: Threads of torch while training, 1..64.
        seed: What is random follows from it.

    Raises:
        RecordError: a value is out of range; the message names the field.
    """

    architecture: EcgArchitecture = field(default_factory=EcgArchitecture)
    epochs: int = 60
    batch_size: int = 32
    crop_windows: int = 24
    learning_rate: float = 0.004
    weight_decay: float = 0.02
    smoothing: float = 0.05
    threads: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        ranges: Ranges = {
            "epochs": (1, 10_000),
            "batch_size": (2, 4096),
            "crop_windows": (1, 4096),
            "learning_rate": (1e-6, 1.0),
            "weight_decay": (0.0, 10.0),
            "smoothing": (0.0, 0.5),
            "threads": (1, 64),
            "seed": (0, 2**63 - 1),
        }
        check_ranges(self, ranges)


def train_ecg(
    records: Sequence[LabelledSignal],
    settings: EcgTrainSettings | None = None,
    progress: Progress | None = None,
    classes: tuple[str, ...] = CLASSES,
    *,
    initial: EcgModel | None = None,
    checkpoint: CheckpointFile | None = None,
    enough: Callable[[], bool] = lambda: False,
    planning: Planning | None = None,
) -> EcgModel:
    """Train an ECG model. Deterministic for a seed on one machine.

    Args:
        records: At 300 Hz, of at least two classes.
        settings: How to train.
        progress: Told the epochs done and the mean loss of the last, nats, when its checkpoint is
            safe. What it raises ends the training.
        classes: The name of each class; labels are indices into it.
        initial: The model whose weights to go on from, of the same shape and classes.
        checkpoint: Written after each epoch; one of the same training is gone on from.
        enough: Asked after each step; true makes it the last.
        planning: By which plan for several devices to train; None for none.

    Returns:
        The model after the last epoch; nothing is chosen, so records for calibration stay unseen.
        Its metrics: ``train_loss`` (nats), ``records`` and ``seconds``; its provenance:
        ``settings``, ``data_sha256`` and ``train_records``, the names.

    Raises:
        RecordError: a label has no class, there are fewer records than a batch, one has no whole
            window, all have the same label, or `initial` has another shape or other classes.
        DetectorError: the checkpoint cannot be read or written.
    """
    began = time.monotonic()
    settings = settings or EcgTrainSettings()
    _check_records(records, settings, classes)
    _check_initial(initial, settings, classes)
    labels = np.array([record.label for record in records])
    data = data_sha256(labels, *(record.signal for record in records))
    with torch_threads(settings.threads), torch.random.fork_rng(devices=[]):
        # Dropout and initialisation draw from torch's generator: ours here, the process's after.
        torch.manual_seed(settings.seed)
        training = EcgTraining(records, settings, len(classes), initial, planning)
        if checkpoint is not None:
            weights = () if initial is None else initial.tensors.values()
            training.resume(checkpoint, training_key(settings, data, *weights))
        with contextlib.closing(training):
            loss = training.run(progress, enough)
    metrics = {
        "train_loss": loss,
        "records": float(len(records)),
        "seconds": training.spent + time.monotonic() - began,
    }
    provenance = {
        "settings": asdict(settings),
        "data_sha256": data,
        "train_records": [record.name for record in records],
    }
    what = EcgDescription(settings.architecture, classes, metrics=metrics, provenance=provenance)
    return EcgModel(what, ecg_tensors(training.network))


def _check_records(
    records: Sequence[LabelledSignal], settings: EcgTrainSettings, classes: tuple[str, ...]
) -> None:
    if len(records) < settings.batch_size:
        raise RecordError(
            f"training needs at least batch_size records, {settings.batch_size}, got {len(records)}"
        )
    for record in records:
        if record.label >= len(classes):
            raise RecordError(
                f"label of {record.name} must be in 0..{len(classes) - 1}, got {record.label}"
            )
        if len(record.signal) < WINDOW:
            raise RecordError(
                f"signal of {record.name} must have at least {WINDOW} samples, "
                f"got {len(record.signal)}"
            )
    if len({record.label for record in records}) < 2:
        raise RecordError(
            f"training needs records of at least 2 classes, got only {classes[records[0].label]}"
        )


def _check_initial(
    initial: EcgModel | None, settings: EcgTrainSettings, classes: tuple[str, ...]
) -> None:
    if initial is None:
        return
    wanted, got = (settings.architecture, classes), (initial.what.architecture, initial.classes)
    if wanted != got:
        raise RecordError(
            f"initial must have the shape and classes that are trained, {wanted}, got {got}"
        )
