"""Training of specialised models, from the reference detector's counts for a stretch of video."""

from __future__ import annotations

import contextlib
import itertools
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from models.model_files import data_sha256, training_key
from models.specialised import Specialisation, SpecialisedModel, check_squares, torch_threads
from models.training_data import TrainingData
from models.training_loop import Training
from models.training_settings import TrainSettings
from records import RecordError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from models.checkpoint import CheckpointFile
    from models.planned_steps import Planning
    from models.training_loop import Progress

__all__ = ["TrainSettings", "train_specialised", "training_part"]

VALIDATION_BLOCKS = 5
"""The stretch is cut into this many parts in time; the last share of each is for validation."""


def train_specialised(
    images: NDArray[np.uint8],
    counts: NDArray[np.integer[Any]],
    settings: TrainSettings | None = None,
    progress: Progress | None = None,
    *,
    predicate: str = "",
    parent: str = "",
    initial: SpecialisedModel | None = None,
    checkpoint: CheckpointFile | None = None,
    enough: Callable[[], bool] = lambda: False,
    planning: Planning | None = None,
) -> SpecialisedModel:
    """Train a specialised model on frames in order of time.

    Deterministic for a seed on one machine, unless the time runs out: also where it is killed and
    goes on from its checkpoint. Images are never flipped: on a fixed camera left and right differ.

    Args:
        images: RGB, uint8 (n, size, size, 3), in order of time.
        counts: integer (n,), how many objects the reference detector found in each.
        settings: How to train.
        progress: Told the share done, 0..1, and the validation loss, nats, after each epoch, when
            its checkpoint is safe. What it raises ends the training.
        predicate: What is asked, for the manifest.
        parent: The model that this one replaces, for the manifest.
        initial: The model to go on from, of the same shape: its weights, mean picture and
            deviation; it is also the result where no epoch has a lower validation loss.
        checkpoint: Written after each epoch; one of the same training is gone on from.
        enough: Asked after each step; true ends the training as if its time had run out.
        planning: By which plan for several devices to train; None for none. The result is the
            same up to rounding.

    Returns:
        The model with the lowest validation loss. Its metrics: ``train_loss``,
        ``validation_loss`` (nats, of the counts, both answers weighing the same),
        ``train_accuracy``, ``validation_accuracy`` (of the predicate), ``epochs``, ``frames`` and
        ``seconds``.

    Raises:
        RecordError: a shape or dtype is wrong, there are fewer than 10 frames, all have the same
            answer, or `initial` has another shape.
        DetectorError: the checkpoint cannot be read or written.
    """
    began = time.monotonic()
    settings = settings or TrainSettings()
    _check_training(images, counts, settings)
    _check_initial(initial, settings)
    seen = training_part(len(images), settings.validation_share)
    data = data_sha256(images, counts)
    with torch_threads(settings.threads):
        training = Training(TrainingData(images, counts, seen), settings, initial, planning)
        if checkpoint is not None:
            weights = () if initial is None else initial.tensors.values()
            training.resume(checkpoint, training_key(settings, data, *weights))
        with contextlib.closing(training):
            epochs = training.run(progress, enough)
    provenance = {
        "settings": asdict(settings),
        "data_sha256": data,
        "predicate": predicate,
        "parent": parent,
    }
    metrics = {
        **training.metrics(),
        "epochs": float(epochs),
        "frames": float(len(images)),
        "seconds": training.spent + time.monotonic() - began,
    }
    what = Specialisation(
        settings.architecture,
        settings.most_counted,
        settings.at_least,
        training.deviation,
        metrics,
        provenance,
    )
    return SpecialisedModel(what, training.tensors())


def training_part(frames: int, validation_share: float) -> NDArray[np.bool_]:
    """Which frames are trained on, bool (n,); the others, in blocks of time, are for validation.

    >>> training_part(10, 0.5).astype(int).tolist()
    [1, 0, 1, 0, 1, 0, 1, 0, 1, 0]
    """
    edges = np.linspace(0, frames, VALIDATION_BLOCKS + 1).astype(np.int64).tolist()
    seen = np.ones(frames, dtype=bool)
    for first, last in itertools.pairwise(edges):
        held = max(1, round((last - first) * validation_share))
        seen[last - held : last] = False
    return seen


def _check_training(
    images: NDArray[np.uint8], counts: NDArray[np.integer[Any]], settings: TrainSettings
) -> None:
    check_squares(images, settings.architecture.size)
    if counts.shape != (len(images),) or counts.dtype.kind not in "iu":
        raise RecordError(
            f"counts must be integer ({len(images)},), one for each image, "
            f"got {counts.dtype} {counts.shape}"
        )
    if len(counts) < 2 * VALIDATION_BLOCKS:
        raise RecordError(
            f"training needs at least {2 * VALIDATION_BLOCKS} frames, got {len(counts)}"
        )
    if counts.min() < 0:
        raise RecordError(f"counts must be at least 0, got {counts.min()}")
    positive = counts >= settings.at_least
    if positive.all() or not positive.any():
        answer = "yes" if positive.all() else "no"
        raise RecordError(
            f"training needs frames of both answers, got {answer} for all {len(counts)}. "
            "Label a longer part of the stream"
        )


def _check_initial(initial: SpecialisedModel | None, settings: TrainSettings) -> None:
    if initial is None:
        return
    wanted = settings.architecture, settings.most_counted
    got = initial.what.architecture, initial.what.most_counted
    if wanted != got:
        raise RecordError(
            f"initial must be of the shape {wanted[0].name} and count to {wanted[1]}, "
            f"got {got[0].name} and {got[1]}. Train without it"
        )
