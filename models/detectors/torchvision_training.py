"""Fine-tuning torchvision's detectors by their own losses."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torchvision.models import get_model_builder

from models.detectors.labels import class_mask
from models.detectors.postprocess import check_images
from models.detectors.settings import TORCHVISION_PREFIX
from models.detectors.torchvision import labels_of, load_weights, published_weights
from models.detectors.training_pictures import batch_of, course, pictures_sha256
from models.model_files import save_model
from models.specialised import torch_threads
from models.training_settings import check_ranges
from records import DetectorError, RecordError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from models.detectors.training_pictures import Pictures
    from models.training_settings import Ranges

    Progress = Callable[[int, float], None]

KIND = "torchvision-detector"
"""What the manifest calls such a model."""

PARTS = ("head", "all")
"""What can be trained: all but the backbone, or everything."""

NEED_MORE = ("keypointrcnn", "maskrcnn")
"""How the names of builders begin whose losses need more than boxes."""

BACKBONE = "backbone."
"""How the names of the backbone's parameters begin."""


@dataclass(frozen=True, slots=True)
class TorchvisionTrainSettings:
    """How a torchvision detector is trained.

    Attributes:
        train: ``head``: all but the backbone; ``all``: everything. Normalisation keeps its means
            and variances in both, for a few pictures say too little of them.
        steps: Steps of training, 1..100,000.
        batch_size: Pictures in a step, 1..256.
        learning_rate: Of stochastic gradient descent.
        momentum: Of stochastic gradient descent, 0..0.999.
        weight_decay: Of stochastic gradient descent.
        largest_gradient: A gradient of a greater norm is shortened to it.
        certain_score: Labels of at least this score are objects, 0..1; others are left out.
        threads: Threads of torch while training, 1..64.
        seed: What is random follows from it, also the weights where none are given.

    Raises:
        RecordError: a value is out of range; the message names the field.
    """

    train: str = "head"
    steps: int = 200
    batch_size: int = 4
    learning_rate: float = 0.005
    momentum: float = 0.9
    weight_decay: float = 0.0005
    largest_gradient: float = 10.0
    certain_score: float = 0.4
    threads: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        ranges: Ranges = {
            "steps": (1, 100_000),
            "batch_size": (1, 256),
            "learning_rate": (1e-7, 10.0),
            "momentum": (0.0, 0.999),
            "weight_decay": (0.0, 10.0),
            "largest_gradient": (1e-3, 1e6),
            "certain_score": (0.0, 1.0),
            "threads": (1, 64),
            "seed": (0, 2**63 - 1),
        }
        check_ranges(self, ranges)
        if self.train not in PARTS:
            raise RecordError(f"train must be one of {', '.join(PARTS)}, got {self.train!r}")


@dataclass(frozen=True, slots=True, eq=False)
class TrainedTorchvision:
    """A trained detector.

    Attributes:
        builder: Its builder in torchvision.models.detection.
        tensors: Its state dictionary.
        metrics: ``first_loss`` and ``last_loss`` (means of the first and last tenth of the steps),
            ``pictures``, ``objects`` and ``seconds``.
        provenance: Where it comes from.
    """

    builder: str
    tensors: Mapping[str, NDArray[Any]]
    metrics: Mapping[str, float] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write it as safetensors and a manifest; `DetectorSettings.weights` can name the file.

        Raises:
            DetectorError: the name is wrong or the files cannot be written.
        """
        fields = {"builder": self.builder, "metrics": dict(self.metrics), **self.provenance}
        save_model(path, KIND, dict(self.tensors), fields)


def train_torchvision(
    name: str,
    weights: Path | None,
    pictures: Pictures,
    settings: TorchvisionTrainSettings | None = None,
    progress: Progress | None = None,
) -> TrainedTorchvision:
    """Train a torchvision detector. Deterministic for a seed on one machine, on the CPU.

    Args:
        name: A builder in torchvision.models.detection, with or without ``torchvision:``.
        weights: The weights to start from; None starts from random ones.
        pictures: RGB, uint8 (height, width, 3) each, with the objects in it, boxes in its pixels.
        settings: How to train.
        progress: Told the steps done and the loss of the last, between steps; it may wait, to let
            other work go first, or raise to end the training.

    Raises:
        DetectorError: there is no such builder, the file does not hold its weights, or a class is
            not in its vocabulary.
        RecordError: there is no picture, one has the wrong shape, or no label is certain.
    """
    began = time.monotonic()
    settings = settings or TorchvisionTrainSettings()
    builder = name.removeprefix(TORCHVISION_PREFIX)
    published = published_weights(builder)
    if builder.startswith(NEED_MORE):
        raise DetectorError(f"name must be a detector that boxes alone can train, got {builder}")
    targets = _targets(pictures, labels_of(published), builder, settings)
    with torch_threads(settings.threads), _seeded(settings.seed):
        model: torch.nn.Module = get_model_builder(builder)(weights=None, weights_backbone=None)
        if weights is not None:
            load_weights(model, builder, weights)
        losses = _fit(model, [picture for picture, _ in pictures], targets, settings, progress)
    return TrainedTorchvision(
        builder,
        {key: value.detach().numpy().copy() for key, value in model.state_dict().items()},
        {
            **course(losses),
            "pictures": float(len(pictures)),
            "objects": float(sum(len(one["labels"]) for one in targets)),
            "seconds": time.monotonic() - began,
        },
        {"settings": asdict(settings), "data_sha256": pictures_sha256(pictures)},
    )


def _fit(
    model: torch.nn.Module,
    pictures: Sequence[NDArray[np.uint8]],
    targets: Sequence[dict[str, torch.Tensor]],
    settings: TorchvisionTrainSettings,
    progress: Progress | None,
) -> list[float]:
    """Make all steps; the loss of each."""
    trained = _prepare(model, settings)
    descent = torch.optim.SGD(
        trained,
        lr=settings.learning_rate,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
    )
    losses: list[float] = []
    for step in range(settings.steps):
        chosen = batch_of(step, len(pictures), settings.batch_size, settings.seed)
        tensors = [torch.from_numpy(np.array(pictures[i])).permute(2, 0, 1) / 255 for i in chosen]
        loss: torch.Tensor = sum(
            model(tensors, [dict(targets[i]) for i in chosen]).values(), torch.zeros(())
        )
        descent.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, settings.largest_gradient)
        descent.step()
        losses.append(loss.item())
        if progress is not None:
            progress(step + 1, losses[-1])
    return losses


def _prepare(
    model: torch.nn.Module, settings: TorchvisionTrainSettings
) -> list[torch.nn.Parameter]:
    """Set a model to training; the parameters that are trained."""
    model.train()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    trained = []
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(settings.train == "all" or not name.startswith(BACKBONE))
        if parameter.requires_grad:
            trained.append(parameter)
    return trained


def _targets(
    pictures: Pictures,
    label_of: Mapping[str, int],
    builder: str,
    settings: TorchvisionTrainSettings,
) -> list[dict[str, torch.Tensor]]:
    """The objects of each picture as torchvision takes them."""
    check_images([picture for picture, _ in pictures])
    names = {name for _, labels in pictures for name in labels.classes}
    class_mask(sorted(names), list(label_of), TORCHVISION_PREFIX + builder)
    targets = []
    for _, labels in pictures:
        sizes = labels.boxes[:, 2:] - labels.boxes[:, :2]
        real = labels.select((labels.scores >= settings.certain_score) & (sizes > 0).all(axis=1))
        ids = [label_of[name] for name in real.classes]
        targets.append(
            {
                "boxes": torch.from_numpy(real.boxes.copy()),
                "labels": torch.tensor(ids, dtype=torch.int64),
            }
        )
    if not any(len(target["labels"]) for target in targets):
        raise RecordError(
            f"pictures must have at least one label with a score of at least "
            f"{settings.certain_score}, got none in {len(pictures)} pictures. Label more of them"
        )
    return targets


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Let torch's own generator, from which torchvision draws, begin at a seed; then as before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
