"""The head of a detector that was fine-tuned: its file, and the detector that it makes.

Only the head's weights are kept. The detector is the published one with these weights in place of
its own, put there in memory when it is loaded, so it is just as fast.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.assets import fetch
from models.detectors.head_graph import HeadGraph, head_shapes
from models.detectors.labels import COCO_80
from models.detectors.onnx import YoloxDetector
from models.detectors.settings import YOLOX_NANO, DetectorSettings
from models.model_files import damaged_manifest, data_sha256, load_model, save_model
from records import DetectorError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

KIND = "detector-head"
"""What the manifest calls such a model."""

_OWN_FIELDS = frozenset(
    (
        *("format", "kind", "code_version", "weights_sha256"),
        *("base_sha256", "channels", "classes", "metrics"),
    )
)


@dataclass(frozen=True, slots=True)
class HeadDescription:
    """What a head is.

    Attributes:
        base_sha256: The SHA-256 of the ONNX file whose head it replaces, hexadecimal.
        channels: The channels of the features that go into it.
        classes: The classes that were trained.
        metrics: Figures of the training.
        provenance: Where it comes from; must fit JSON.

    Raises:
        DetectorError: a class is not one of COCO's.
    """

    base_sha256: str
    channels: int
    classes: tuple[str, ...]
    metrics: Mapping[str, float] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = [name for name in self.classes if name not in COCO_80]
        if not self.classes or unknown:
            raise DetectorError(f"classes must be COCO's, at least one, got {self.classes!r}")


class HeadModel:
    """A fine-tuned head.

    Args:
        what: What it is.
        tensors: Its weights by name, float32, as `head_shapes` says.
    """

    def __init__(self, what: HeadDescription, tensors: Mapping[str, NDArray[np.float32]]) -> None:
        self.what = what
        self.tensors = dict(tensors)

    @property
    def sha256(self) -> str:
        """The SHA-256 over its weights, hexadecimal: the `parent` of heads trained from it."""
        return data_sha256(*(self.tensors[name] for name in head_shapes(self.what.channels)))

    def detector(self, settings: DetectorSettings | None = None) -> YoloxDetector:
        """The detector with this head.

        Args:
            settings: How it runs; `weights` names the ONNX file whose head is replaced, None takes
                the published one.

        Raises:
            AssetError: the published file cannot be had.
            DetectorError: the file is not the one that the head was trained for.
        """
        settings = settings or DetectorSettings(YOLOX_NANO)
        path = fetch(YOLOX_NANO) if settings.weights is None else Path(settings.weights)
        return YoloxDetector(path, settings, self.graph(path).with_head(self.tensors))

    def graph(self, path: Path) -> HeadGraph:
        """The graph of an ONNX file, if it is the one that the head was trained for.

        Raises:
            DetectorError: it is another, or its head has another shape.
        """
        graph = HeadGraph.read(path, self.what.base_sha256)
        if graph.channels != self.what.channels:
            raise DetectorError(
                f"the head must have {graph.channels} channels for {path}, got "
                f"{self.what.channels}. Train it again"
            )
        return graph

    def save(self, path: Path) -> None:
        """Write the weights as safetensors and their manifest; see `models.model_files`.

        Raises:
            DetectorError: the name is wrong or the files cannot be written.
        """
        fields = {
            "base_sha256": self.what.base_sha256,
            "channels": self.what.channels,
            "classes": list(self.what.classes),
            "metrics": dict(self.what.metrics),
            **self.what.provenance,
        }
        save_model(path, KIND, self.tensors, fields)

    @classmethod
    def load(cls, path: Path) -> HeadModel:
        """Read a head that `save` wrote.

        Raises:
            DetectorError: a file is missing, damaged, or holds something else.
        """
        tensors, manifest = load_model(path, KIND, lambda fields: head_shapes(fields["channels"]))
        try:
            what = HeadDescription(
                str(manifest["base_sha256"]),
                manifest["channels"],
                tuple(manifest["classes"]),
                {name: float(value) for name, value in manifest["metrics"].items()},
                {name: value for name, value in manifest.items() if name not in _OWN_FIELDS},
            )
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError,
                DetectorError) as error:  # fmt: skip
            raise damaged_manifest(path, error) from error
        return cls(what, tensors)
