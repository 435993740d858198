"""Training of ECG models on labelled records: the label of a record is that of its every window."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from models.ecg import CLASSES, EcgDescription, EcgModel, ecg_tensors
from models.ecg_data import class_weights, crop_batch, normalise
from models.ecg_network import WINDOW, EcgArchitecture, EcgNetwork
from models.model_files import data_sha256
from models.specialised import torch_threads
from models.training_settings import Ranges, check_ranges
from records import RecordError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from models.ecg_data import LabelledSignal

    Progress = Callable[[int, float], None]

PADDING = -100
"""The label of a window that is not real; it weighs nothing."""


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
) -> EcgModel:
    """Train an ECG model. Deterministic for a seed on one machine.

    Args:
        records: At 300 Hz, of at least two classes.
        settings: How to train.
        progress: Told the epochs done and the mean loss of the last, nats.
        classes: The name of each class; labels are indices into it.

    Returns:
        The model after the last epoch; nothing is chosen, so records for calibration stay unseen.
        Its metrics: ``train_loss`` (nats), ``records`` and ``seconds``; its provenance:
        ``settings``, ``data_sha256`` and ``train_records``, the names.

    Raises:
        RecordError: a label has no class, there are fewer records than a batch, one has no whole
            window, or all have the same label.
    """
    began = time.monotonic()
    settings = settings or EcgTrainSettings()
    _check_records(records, settings, classes)
    labels = np.array([record.label for record in records])
    with torch_threads(settings.threads), torch.random.fork_rng(devices=[]):
        # Dropout and initialisation draw from torch's generator: ours here, the process's after.
        torch.manual_seed(settings.seed)
        network = EcgNetwork(settings.architecture, len(classes))
        loss = _fit(network, records, settings, progress)
    metrics = {
        "train_loss": loss,
        "records": float(len(records)),
        "seconds": time.monotonic() - began,
    }
    provenance = {
        "settings": asdict(settings),
        "data_sha256": data_sha256(labels, *(record.signal for record in records)),
        "train_records": [record.name for record in records],
    }
    what = EcgDescription(settings.architecture, classes, metrics=metrics, provenance=provenance)
    return EcgModel(what, ecg_tensors(network))


def _fit(
    network: EcgNetwork,
    records: Sequence[LabelledSignal],
    settings: EcgTrainSettings,
    progress: Progress | None,
) -> float:
    """Train all epochs; the mean loss of the last."""
    random = np.random.default_rng(settings.seed)
    signals = [normalise(record.signal) for record in records]
    labels = np.array([record.label for record in records])
    weights = torch.from_numpy(class_weights(labels.tolist(), network.classes))
    # Batch normalisation needs more than one record: the few that are left over wait an epoch.
    steps = len(records) // settings.batch_size
    adam = torch.optim.AdamW(
        network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        adam, settings.learning_rate, total_steps=settings.epochs * steps
    )
    mean = 0.0
    for epoch in range(1, settings.epochs + 1):
        order = random.permutation(len(records))[: steps * settings.batch_size]
        total = 0.0
        for chosen in order.reshape(steps, settings.batch_size):
            pieces, real = crop_batch(
                [signals[i] for i in chosen], settings.crop_windows * WINDOW, random
            )
            adam.zero_grad()
            loss = functional.cross_entropy(
                network(torch.from_numpy(pieces)),
                torch.from_numpy(_targets(labels[chosen], real, settings.crop_windows)),
                weights,
                ignore_index=PADDING,
                label_smoothing=settings.smoothing,
            )
            loss.backward()
            adam.step()
            cycle.step()
            total += loss.item()
        mean = total / steps
        if progress is not None:
            progress(epoch, mean)
    return mean


def _targets(labels: NDArray[np.int64], real: NDArray[np.int64], windows: int) -> NDArray[np.int64]:
    """int64 (records, windows): the label of each whole window, PADDING behind the signal."""
    there = np.arange(windows) < (real // WINDOW)[:, None]
    return np.where(there, labels[:, None], PADDING)


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
