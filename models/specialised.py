"""Specialised models: small networks that answer one question about one camera.

NoScope, Kang et al., VLDB 2017, section 4: where the scene is fixed and the question is one, a
network a thousand times smaller than a general detector tells most frames.
"""

from __future__ import annotations

import contextlib
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from models.architecture import Architecture, build_network
from models.model_files import damaged_manifest, load_model, save_model
from records import DetectorError, RecordError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Device = Literal["auto", "cpu", "cuda"]

KIND = "specialised"
"""The kind of model in a manifest."""

MEAN = "mean"
"""The name of the mean picture among the arrays of a file."""

FIRST_WEIGHT = "0.weight"
"""The name of the first layer's weights among the arrays of a file."""

BATCH = 64
"""Images that go through the network at once: few enough for the processor's cache."""

_OWN_FIELDS = frozenset(
    {"architecture", "most_counted", "at_least", "deviation", "metrics"}
    | {"format", "kind", "code_version", "weights_sha256"}
)
"""The fields of the manifest that are no provenance."""


@dataclass(frozen=True, slots=True)
class Specialisation:
    """What a specialised model is.

    Attributes:
        architecture: The network's shape.
        most_counted: K, the highest count told apart; more counts as K. 1 for mere presence.
        at_least: k, the predicate is "at least k objects", 1..K.
        deviation: Pixels are divided by this after the mean picture is taken off, grey levels.
        metrics: Figures of the training.
        provenance: What else the manifest tells: settings, predicate, data, parent.

    Raises:
        DetectorError: a value is out of range.
    """

    architecture: Architecture
    most_counted: int
    at_least: int
    deviation: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        build_network(self.architecture, self.most_counted)
        if type(self.at_least) is not int or not 1 <= self.at_least <= self.most_counted:
            raise DetectorError(
                f"at_least must be in 1..{self.most_counted} (most_counted), got {self.at_least!r}"
            )
        if not 0 < self.deviation < np.inf:
            raise DetectorError(f"deviation must be above 0, got {self.deviation}")


class SpecialisedModel:
    """Counts objects up to K and scores "at least k"; a `records.protocols.Scorer`.

    Args:
        what: What the model is.
        tensors: float32 arrays: the network's parameters by name, and ``mean``, the mean picture,
            (3, size, size), grey levels.
        device: ``cpu``, ``cuda``, or ``auto``: CUDA where torch finds it.

    Raises:
        DetectorError: the device is not there.
    """

    def __init__(
        self,
        what: Specialisation,
        tensors: Mapping[str, NDArray[np.float32]],
        device: Device = "auto",
    ) -> None:
        self.what = what
        self._tensors = dict(tensors)
        self._device = _device(device)
        parameters = {name: torch.tensor(value) for name, value in tensors.items()}
        self._mean = parameters.pop(MEAN).to(self._device)
        # The first layer takes over the division by the deviation: one pass over pixels less.
        parameters[FIRST_WEIGHT] /= what.deviation
        self._network = build_network(what.architecture, what.most_counted)
        self._network.load_state_dict(parameters, assign=True)
        self._network.to(self._device).to(memory_format=torch.channels_last)

    @property
    def name(self) -> str:
        """The model's name, for verdicts: ``specialised-2x16-32-64px``."""
        return f"specialised-{self.what.architecture.name}"

    @property
    def size(self) -> int:
        """The side of the square images it takes, pixels."""
        return self.what.architecture.size

    @property
    def metrics(self) -> Mapping[str, float]:
        """Figures of the training."""
        return self.what.metrics

    @property
    def tensors(self) -> Mapping[str, NDArray[np.float32]]:
        """The weights by name, and the mean picture, as they are saved."""
        return self._tensors

    def score(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The probability of "at least k objects" in each image.

        Args:
            images: RGB, uint8 (n, size, size, 3).

        Returns:
            float32 (n,), in 0..1.

        Raises:
            RecordError: the images have another shape or dtype.
        """
        tail = self.counts(images)[:, self.what.at_least :].sum(axis=1)
        scores: NDArray[np.float32] = np.minimum(tail, np.float32(1))
        return scores

    def counts(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The probability of each count in each image.

        Args:
            images: RGB, uint8 (n, size, size, 3).

        Returns:
            float32 (n, K + 1); the last column is "K or more".

        Raises:
            RecordError: the images have another shape or dtype.
        """
        check_squares(images, self.size)
        found = np.empty((len(images), self.what.most_counted + 1), dtype=np.float32)
        # Networks this small gain little from threads, and beside other work lose much by them.
        with torch.inference_mode(), torch_threads(1):
            for start in range(0, len(images), BATCH):
                batch = np.require(images[start : start + BATCH], requirements=["C", "W"])
                # As a view (n, 3, size, size) the pixels lie "channels last" already.
                pixels = torch.from_numpy(batch).to(self._device).permute(0, 3, 1, 2)
                logits = self._network(torch.sub(pixels, self._mean))
                found[start : start + BATCH] = torch.softmax(logits, dim=1).cpu().numpy()
        return found

    def save(self, path: Path) -> None:
        """Write the model as safetensors and its manifest; see `models.model_files`.

        Raises:
            DetectorError: the name is wrong or the files cannot be written.
        """
        fields = {
            "architecture": asdict(self.what.architecture),
            "most_counted": self.what.most_counted,
            "at_least": self.what.at_least,
            "deviation": self.what.deviation,
            "metrics": dict(self.what.metrics),
            **self.what.provenance,
        }
        save_model(path, KIND, self._tensors, fields)

    @classmethod
    def load(cls, path: Path, device: Device = "auto") -> SpecialisedModel:
        """Read a model that `save` wrote.

        Raises:
            DetectorError: a file is missing, damaged, or holds something else, or the device is
                not there.
        """
        tensors, manifest = load_model(path, KIND, _shapes)
        try:
            what = _described(manifest)
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError,
                DetectorError) as error:  # fmt: skip
            raise damaged_manifest(path, error) from error
        return cls(what, tensors, device)


def check_squares(images: NDArray[np.uint8], size: int) -> None:
    """Raise RecordError unless `images` is uint8 (n, size, size, 3).

    >>> check_squares(np.zeros((2, 64, 50, 3), np.uint8), 50)
    Traceback (most recent call last):
    ...
    records.errors.RecordError: images must be RGB, uint8 (n, 50, 50, 3), got uint8 (2, 64, 50, 3)
    """
    is_array = isinstance(images, np.ndarray)
    if not is_array or images.dtype != np.uint8 or images.shape[1:] != (size, size, 3):
        got = f"{images.dtype} {images.shape}" if is_array else type(images).__name__
        raise RecordError(f"images must be RGB, uint8 (n, {size}, {size}, 3), got {got}")


@contextlib.contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Let torch use so many threads inside one operator of this thread, then as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _device(wanted: Device) -> torch.device:
    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise DetectorError("device cuda is not there for torch. Set device to cpu or auto")
    return torch.device("cuda" if there and wanted != "cpu" else "cpu")


def _described(manifest: Mapping[str, Any]) -> Specialisation:
    return Specialisation(
        Architecture(**manifest["architecture"]),
        manifest["most_counted"],
        manifest["at_least"],
        float(manifest["deviation"]),
        {name: float(value) for name, value in manifest["metrics"].items()},
        {name: value for name, value in manifest.items() if name not in _OWN_FIELDS},
    )


def _shapes(manifest: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    try:
        architecture = Architecture(**manifest["architecture"])
        network = build_network(architecture, manifest["most_counted"])
    except DetectorError as error:
        raise ValueError(str(error)) from error
    shapes = {name: tuple(value.shape) for name, value in network.named_parameters()}
    return {**shapes, MEAN: (3, architecture.size, architecture.size)}
