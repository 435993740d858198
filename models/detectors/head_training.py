"""Fine-tuning the head of a YOLOX detector on a few labelled pictures.

The loss is YOLOX's (Ge et al. 2021, section 2.1): binary cross entropy for objectness and class,
one minus the squared intersection over union for boxes, all divided by the anchors that answer for
an object. Added to it is a pull back to the weights before training (L2-SP: Li et al., "Explicit
Inductive Bias for Transfer Learning with Convolutional Networks", ICML 2018).
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from models.detectors.head import HeadDescription, HeadModel
from models.detectors.head_checkpoint import (
    LOSSES,
    MEAN,
    SQUARE,
    WEIGHT,
    HeadCheckpoint,
    HeadProgress,
    run_of,
)
from models.detectors.head_features import FeatureCache
from models.detectors.head_graph import BOXES, HeadGraph
from models.detectors.head_loss import HeadLoss
from models.detectors.head_settings import HeadTrainSettings
from models.detectors.labels import COCO_80, class_mask
from models.detectors.onnx import YoloxDetector
from models.detectors.settings import YOLOX_NANO, DetectorSettings
from models.detectors.training_pictures import batch_of, course, pictures_sha256
from models.specialised import torch_threads
from records import RecordError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from models.detectors.head_features import CachedPicture
    from models.detectors.training_pictures import Pictures
    from records import Detections

    Progress = Callable[[HeadProgress], None]


def train_head(
    base: YoloxDetector | Path,
    pictures: Pictures,
    settings: HeadTrainSettings | None = None,
    progress: Progress | None = None,
    parent: HeadModel | None = None,
    *,
    resume: HeadCheckpoint | None = None,
) -> HeadModel:
    """Fine-tune the head of a detector; all else of it stays.

    Boxes and objectness are shared by all classes, so they change for all. Deterministic for a
    seed on one machine, also across a checkpoint.

    Args:
        base: The detector, or its ONNX file.
        pictures: RGB, uint8 (height, width, 3) each, with the objects in it, boxes in its pixels.
        settings: How to train.
        progress: Called between steps. It may wait, to let other work go first, or raise to end
            the training; it can take a checkpoint.
        parent: The head to go on from; None goes on from the detector's own.
        resume: A checkpoint of a training with the same arguments, to go on from.

    Returns:
        The head after the last step. Its metrics: ``first_loss`` and ``last_loss`` (means of the
        first and last tenth of the steps), ``pictures``, ``objects`` (labels trained on),
        ``anchors`` that answer for them, and ``seconds``.

    Raises:
        DetectorError: the file is no YOLOX, `parent` or `resume` belongs to something else, or
            a class is not known.
        RecordError: there is no picture or no certain label, or a picture has the wrong shape.
    """
    began = time.monotonic()
    settings = settings or HeadTrainSettings()
    running = DetectorSettings(YOLOX_NANO, device="cpu", threads=settings.threads)
    path = (YoloxDetector(base, running) if isinstance(base, Path) else base).path
    graph = HeadGraph.read(path) if parent is None else parent.graph(path)
    start = graph.tensors if parent is None else parent.tensors
    classes = _classes(pictures, settings)
    cache = FeatureCache(graph, start, classes, COCO_80, settings, running)
    cached = cache.read(pictures)
    provenance = {
        "settings": asdict(settings),
        "data_sha256": pictures_sha256(pictures),
        "parent": "" if parent is None else parent.sha256,
    }
    run = run_of(graph.sha256, provenance)
    with torch_threads(settings.threads):
        loss = HeadLoss(cache.grid, [COCO_80.index(name) for name in classes])
        training = _Training(start, cached, loss, settings, run)
        if resume is not None:
            training.restore(resume.check(run))
        training.run(progress)
    metrics = {
        **training.metrics(),
        "pictures": float(len(cached)),
        "objects": float(sum(_count(labels, classes, settings) for _, labels in pictures)),
        "anchors": float(sum(len(one.targets.anchors_p) for one in cached)),
        "seconds": time.monotonic() - began,
    }
    what = HeadDescription(graph.sha256, graph.channels, classes, metrics, provenance)
    return HeadModel(what, training.tensors())


class _Training:
    """A head in training."""

    def __init__(
        self,
        start: Mapping[str, NDArray[np.float32]],
        pictures: Sequence[CachedPicture],
        loss: HeadLoss,
        settings: HeadTrainSettings,
        run: str,
    ) -> None:
        self._pictures, self._loss, self._settings, self._run = pictures, loss, settings, run
        self._start = {name: torch.tensor(value) for name, value in start.items()}
        self._weights = {
            name: value.clone().requires_grad_() for name, value in self._start.items()
        }
        self._adam = torch.optim.Adam(self._weights.values(), lr=settings.learning_rate)
        self._channels = start[f"{BOXES}.0.weight"].shape[1]
        self._losses: list[float] = []

    def run(self, progress: Progress | None) -> None:
        """Make all steps that are left."""
        settings, steps = self._settings, self._settings.steps
        while (step := len(self._losses)) < steps:
            rate = settings.learning_rate * (1 + math.cos(math.pi * step / steps)) / 2
            self._adam.param_groups[0]["lr"] = rate
            self._adam.zero_grad()
            chosen = batch_of(step, len(self._pictures), settings.batch_size, settings.seed)
            batch = [self._pictures[i] for i in chosen]
            loss = self._loss(self._weights, batch) + self._pull()
            loss.backward()
            self._adam.step()
            self._losses.append(float(np.float32(loss.item())))
            if progress is not None:
                progress(HeadProgress(step + 1, steps, self._losses[-1], self.checkpoint))

    def checkpoint(self) -> HeadCheckpoint:
        """A copy of where it is."""
        tensors = {LOSSES: np.array(self._losses, dtype=np.float32)}
        for name, value in self._weights.items():
            adam = self._adam.state[value]
            parts = {WEIGHT: value.detach(), MEAN: adam["exp_avg"], SQUARE: adam["exp_avg_sq"]}
            for kind, part in parts.items():
                tensors[f"{kind}.{name}"] = part.numpy().copy()
        return HeadCheckpoint(self._run, self._channels, tensors)

    def restore(self, point: HeadCheckpoint) -> None:
        """Go on from a checkpoint."""
        self._losses = point.tensors[LOSSES].tolist()
        for name, value in self._weights.items():
            kept = [torch.tensor(point.tensors[f"{kind}.{name}"]) for kind in (MEAN, SQUARE)]
            self._adam.state[value] = {
                "step": torch.tensor(float(point.step)),
                "exp_avg": kept[0],
                "exp_avg_sq": kept[1],
            }
            with torch.no_grad():
                value.copy_(torch.tensor(point.tensors[f"{WEIGHT}.{name}"]))

    def metrics(self) -> dict[str, float]:
        """How the loss went."""
        return course(self._losses)

    def tensors(self) -> dict[str, NDArray[np.float32]]:
        """The weights, as `HeadModel` takes them."""
        return {name: value.detach().numpy().copy() for name, value in self._weights.items()}

    def _pull(self) -> torch.Tensor:
        squares = [
            (value - self._start[name]).square().sum() for name, value in self._weights.items()
        ]
        return self._settings.pull / 2 * torch.stack(squares).sum()


def _classes(pictures: Pictures, settings: HeadTrainSettings) -> tuple[str, ...]:
    """The classes to train, in the detector's order."""
    labelled = {name for _, labels in pictures for name in labels.classes}
    for names in (settings.classes, sorted(labelled)):
        class_mask(names, COCO_80, YOLOX_NANO)
    classes = tuple(n for n in COCO_80 if n in (settings.classes or labelled))
    if not any(_count(labels, classes, settings) for _, labels in pictures):
        raise RecordError(
            f"pictures must have at least one label of {', '.join(classes) or 'any class'} with a "
            f"score of at least {settings.certain_score}, got none in {len(pictures)} pictures. "
            "Label more of them"
        )
    return classes


def _count(labels: Detections, classes: Sequence[str], settings: HeadTrainSettings) -> int:
    """The labels that are trained on."""
    scores = labels.of_classes(classes).scores
    return int(np.count_nonzero(scores >= settings.certain_score))
