"""The ECG model: class probabilities for every 256 samples of a single-lead ECG."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from models.ecg_data import NORMALISE_REACH, normalise
from models.ecg_network import WINDOW, EcgArchitecture, EcgNetwork, build_ecg_network
from models.model_files import damaged_manifest, load_model, save_model
from models.specialised import torch_threads
from records import DetectorError, RecordError
from records.classification import MOST_CLASSES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

KIND = "ecg"
"""The kind of model in a manifest."""

CLASSES = ("N", "A", "O", "~")
"""Normal rhythm, atrial fibrillation, other rhythm, too noisy to tell: the labels of the
PhysioNet/CinC Challenge 2017 (Clifford et al., Computing in Cardiology 44, 2017)."""

RATE_HZ = 300.0
"""The rate of that challenge's records, Hz."""

BATCHES_TRACKED = "num_batches_tracked"
"""A counter of batch normalisation that plays no part in its result: not in files."""

_OWN_FIELDS = frozenset(
    {"architecture", "classes", "rate_hz", "metrics"}
    | {"format", "kind", "code_version", "weights_sha256"}
)
"""The fields of the manifest that are no provenance."""


@dataclass(frozen=True, slots=True)
class EcgDescription:
    """What an ECG model is.

    Attributes:
        architecture: The network's shape.
        classes: The name of each class, at least two.
        rate_hz: The rate at which it takes samples, Hz.
        metrics: Figures of the training.
        provenance: What else the manifest tells: settings, data, the records trained on.

    Raises:
        DetectorError: a value is out of range.
    """

    architecture: EcgArchitecture = field(default_factory=EcgArchitecture)
    classes: tuple[str, ...] = CLASSES
    rate_hz: float = RATE_HZ
    metrics: Mapping[str, float] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        named = all(isinstance(name, str) and name for name in self.classes)
        if not named or not 2 <= len(set(self.classes)) == len(self.classes):
            raise DetectorError(f"classes must be at least 2 different names, got {self.classes}")
        if not 0 < self.rate_hz < np.inf:
            raise DetectorError(f"rate_hz must be above 0, got {self.rate_hz}")


class EcgModel:
    """Classifies windows of ECG; a `records.SignalClassifier`.

    Args:
        what: What the model is.
        tensors: float32 arrays: the network's parameters, and the means and variances of its
            batch normalisation, by name.
    """

    def __init__(self, what: EcgDescription, tensors: Mapping[str, NDArray[np.float32]]) -> None:
        self.what = what
        self._tensors = dict(tensors)
        self._network = build_ecg_network(what.architecture, len(what.classes))
        state = {name: torch.tensor(value) for name, value in tensors.items()}
        for name in self._network.state_dict():
            if name.endswith(BATCHES_TRACKED):
                state[name] = torch.tensor(0)
        self._network.load_state_dict(state, assign=True)
        self._network.eval()

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes that it tells apart."""
        return self.what.classes

    @property
    def rate_hz(self) -> float:
        """The rate at which it takes samples, Hz."""
        return self.what.rate_hz

    @property
    def window(self) -> int:
        """The samples of one window: 256."""
        return WINDOW

    @property
    def context(self) -> int:
        """How many windows before and after a window its probabilities depend on."""
        return -(-(self.what.architecture.reach + NORMALISE_REACH) // WINDOW)

    @property
    def tensors(self) -> Mapping[str, NDArray[np.float32]]:
        """The weights by name, as they are saved."""
        return self._tensors

    def classify(self, signal: NDArray[np.float32]) -> NDArray[np.float32]:
        """The class probabilities of each whole window.

        Args:
            signal: float32 (n,), millivolts; NaN where a sample is missing.

        Returns:
            float32 (n // 256, classes); each row adds up to 1.

        Raises:
            RecordError: the signal has another shape or dtype.
        """
        if not isinstance(signal, np.ndarray) or signal.ndim != 1 or signal.dtype != np.float32:
            got = f"{getattr(signal, 'dtype', type(signal).__name__)} {np.shape(signal)}"
            raise RecordError(f"signal must be float32 (n,), got {got}")
        whole = signal[: len(signal) // WINDOW * WINDOW]
        if not len(whole):
            return np.empty((0, len(self.classes)), dtype=np.float32)
        inputs = torch.from_numpy(normalise(whole))[None, None]
        with torch.inference_mode(), torch_threads(1):
            found: NDArray[np.float32] = torch.softmax(self._network(inputs)[0], dim=0).T.numpy()
        return found

    def save(self, path: Path) -> None:
        """Write the model as safetensors and its manifest; see `models.model_files`.

        Raises:
            DetectorError: the name is wrong or the files cannot be written.
        """
        fields = {
            "architecture": asdict(self.what.architecture),
            "classes": list(self.what.classes),
            "rate_hz": self.what.rate_hz,
            "metrics": dict(self.what.metrics),
            **self.what.provenance,
        }
        save_model(path, KIND, self._tensors, fields)

    @classmethod
    def load(cls, path: Path) -> EcgModel:
        """Read a model that `save` wrote.

        Raises:
            DetectorError: a file is missing, damaged, or holds something else.
        """
        tensors, manifest = load_model(path, KIND, _shapes)
        try:
            what = EcgDescription(
                _architecture(manifest),
                tuple(manifest["classes"]),
                float(manifest["rate_hz"]),
                {name: float(value) for name, value in manifest["metrics"].items()},
                {name: value for name, value in manifest.items() if name not in _OWN_FIELDS},
            )
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError,
                DetectorError) as error:  # fmt: skip
            raise damaged_manifest(path, error) from error
        return cls(what, tensors)


def ecg_tensors(network: EcgNetwork) -> dict[str, NDArray[np.float32]]:
    """A network's state as `EcgModel` takes it."""
    return {
        name: value.detach().contiguous().numpy().copy()
        for name, value in network.state_dict().items()
        if not name.endswith(BATCHES_TRACKED)
    }


def _architecture(manifest: Mapping[str, Any]) -> EcgArchitecture:
    fields = dict(manifest["architecture"])
    return EcgArchitecture(**{**fields, "channels": tuple(fields["channels"])})


def _shapes(manifest: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    classes = manifest["classes"]
    if not isinstance(classes, list) or not 2 <= len(classes) <= MOST_CLASSES:
        raise ValueError(f"classes must be 2 to {MOST_CLASSES} names, got {classes!r}")
    try:
        network = build_ecg_network(_architecture(manifest), len(classes))
    except DetectorError as error:
        raise ValueError(str(error)) from error
    return {
        name: tuple(value.shape)
        for name, value in network.state_dict().items()
        if not name.endswith(BATCHES_TRACKED)
    }
