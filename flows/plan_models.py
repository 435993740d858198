"""The models that plans can be made for, by name or from a file."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torchvision
from torch import nn

from models.architecture import LARGEST_SIZE, Architecture, build_network
from models.ecg import CLASSES, EcgModel
from models.ecg_network import WINDOW, EcgArchitecture, build_ecg_network
from models.model_files import SUFFIX, manifest_path
from models.soap import nets
from models.soap.training import Example
from models.soap.training_settings import LossSettings
from models.specialised import SpecialisedModel
from records import DetectorError, RecordError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

MOST_BATCH = 65_536
"""The most samples of a batch."""

LARGEST_MANIFEST = 2**20
"""The largest manifest that is read to find a model's kind, bytes."""

TORCHVISION_PREFIX = "torchvision:"
"""Before the name of a classifier of torchvision, where it is also one of ours."""

TORCHVISION_SIDE, TORCHVISION_CLASSES = 224, 1000
"""Side of the images, pixels, and classes of torchvision's classifiers (ImageNet)."""

IMAGE_SIDE, IMAGE_CLASSES, IMAGE_WIDTH = 64, 10, 32
"""Side of the images, pixels, classes and first channels of our AlexNet and Inception."""

FEATURES, HIDDEN = 512, 1024
"""Inputs and hidden units of the perceptron."""

WORDS, LENGTH, STATES = 1000, 12, 128
"""Vocabulary, words of a sentence, and channels of the translator."""

ECG_WINDOWS = 30
"""Windows of one example of the ECG model: about 26 s."""

SPECIALISED = re.compile(r"(\d+)x(\d+)(dw)?-(\d+)-(\d+)px")
"""The name of a specialised architecture: see `Architecture.name`."""


@dataclass(frozen=True)
class PlanModel:
    """A model to plan for.

    Attributes:
        name: Its name.
        layout: Makes its network, without weights: on torch's ``meta`` device.
        shapes: The shapes of its inputs, without the sample.
        loss: What is minimised.
        words: Inputs are whole numbers below this; 0 for numbers of floating point.
    """

    name: str
    layout: Callable[[], nn.Module]
    shapes: tuple[tuple[int, ...], ...]
    loss: LossSettings
    words: int = 0

    def inputs(self, batch: int, device: str = "meta") -> tuple[Tensor, ...]:
        """Inputs of these shapes; random ones unless on ``meta``.

        Raises:
            RecordError: the batch is out of range.
        """
        if not 1 <= batch <= MOST_BATCH:
            raise RecordError(f"batch must be in 1..{MOST_BATCH}, got {batch}")
        if self.words:
            return tuple(
                torch.randint(self.words, (batch, *shape), device=device) for shape in self.shapes
            )
        return tuple(torch.randn(batch, *shape, device=device) for shape in self.shapes)

    def network(self, seed: int = 0) -> nn.Module:
        """The network with random weights, on the processor."""
        network = self.layout().to_empty(device="cpu").train()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for module in network.modules():
                reset = getattr(module, "reset_parameters", None)
                if callable(reset):
                    reset()
        return network

    def example(self, network: nn.Module, batch: int, seed: int = 0) -> Example:
        """A batch of random inputs and targets."""
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(seed)
            inputs = self.inputs(batch, "cpu")
            # Statistics of batch normalisation must stay those of a new start.
            logits = network.eval()(*inputs).movedim(self.loss.class_axis, 1)
            network.train()
            shape = (logits.shape[0], *logits.shape[2:])
            return Example(inputs, (torch.randint(logits.shape[1], shape),))


def plan_model(name: str) -> PlanModel:
    """A model by its name, or from the file of a trained one.

    Args:
        name: ``perceptron``, ``alexnet``, ``inception``, ``translator``, ``ecg``, the name of a
            specialised architecture (``4x32-64-64px``), a classifier of torchvision
            (``resnet18``), or a file of weights of a specialised or ECG model.

    Raises:
        RecordError: there is no model of this name.
        DetectorError: the file is missing or damaged, or the architecture is out of range.

    >>> plan_model("2x16-32-64px").shapes
    ((3, 64, 64),)
    """
    if name.endswith(SUFFIX):
        return _from_file(Path(name))
    if name in _OURS:
        return _OURS[name]
    match = SPECIALISED.fullmatch(name)
    if match:
        layers, filters, depthwise, dense, size = match.groups()
        if int(size) > LARGEST_SIZE:
            raise DetectorError(f"size must be at most {LARGEST_SIZE} pixels, got {size}")
        numbers = (int(layers), int(filters), int(dense), int(size))
        return _specialised(name, Architecture(*numbers, depthwise is not None), 1)
    builder = name.removeprefix(TORCHVISION_PREFIX)
    if builder in torchvision.models.list_models(module=torchvision.models):
        return _torchvision(builder)
    raise RecordError(
        f"a model must be one of {sorted(_OURS)}, a specialised architecture such as "
        f"{Architecture().name}, a classifier of torchvision such as resnet18, or a file of "
        f"weights (*{SUFFIX}), got '{name}'"
    )


def _meta(layout: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    def laid_out() -> nn.Module:
        with torch.device("meta"):
            return layout().train()

    return laid_out


def _images(name: str, layout: Callable[[], nn.Module], side: int) -> PlanModel:
    return PlanModel(name, _meta(layout), ((3, side, side),), LossSettings())


def _specialised(name: str, architecture: Architecture, most_counted: int) -> PlanModel:
    return _images(name, lambda: build_network(architecture, most_counted), architecture.size)


def _ecg(name: str, architecture: EcgArchitecture, classes: int) -> PlanModel:
    shape = (1, ECG_WINDOWS * WINDOW)
    layout = _meta(lambda: build_ecg_network(architecture, classes))
    return PlanModel(name, layout, (shape,), LossSettings())


def _torchvision(builder: str) -> PlanModel:
    def layout() -> nn.Module:
        network: nn.Module = torchvision.models.get_model(
            builder, weights=None, num_classes=TORCHVISION_CLASSES
        )
        return network

    return _images(builder, layout, TORCHVISION_SIDE)


def _from_file(path: Path) -> PlanModel:
    """The network of a trained model: only its architecture matters for a plan."""
    try:
        with manifest_path(path).open("rb") as file:
            kind = json.loads(file.read(LARGEST_MANIFEST)).get("kind")
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise DetectorError(f"{manifest_path(path)} must describe a model: {error}") from error
    if kind == "ecg":
        ecg = EcgModel.load(path).what
        return _ecg(path.name, ecg.architecture, len(ecg.classes))
    if kind == "specialised":
        what = SpecialisedModel.load(path).what
        return _specialised(path.name, what.architecture, what.most_counted)
    raise DetectorError(f"{path} must hold a specialised or an ECG model, got kind {kind!r}")


_OURS = {
    model.name: model
    for model in (
        PlanModel(
            "perceptron",
            _meta(lambda: nets.perceptron(FEATURES, HIDDEN, IMAGE_CLASSES)),
            ((FEATURES,),),
            LossSettings(),
        ),
        _images("alexnet", lambda: nets.alexnet(IMAGE_WIDTH, IMAGE_CLASSES), IMAGE_SIDE),
        _images("inception", lambda: nets.inception(IMAGE_WIDTH, IMAGE_CLASSES), IMAGE_SIDE),
        PlanModel(
            "translator",
            _meta(lambda: nets.Translator(WORDS, STATES)),
            ((LENGTH,), (LENGTH,)),
            LossSettings(class_axis=-1),
            WORDS,
        ),
        _ecg("ecg", EcgArchitecture(), len(CLASSES)),
    )
}
"""The models by name."""
