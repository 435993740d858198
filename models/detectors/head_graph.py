"""The head of a YOLOX graph: which weights it has, what goes into them, and how they are replaced.

The head is the last convolutions of YOLOX (Ge et al. 2021, figure 2): for each of the three
strides one for classes, one for boxes and one for objectness, all of 1x1. YOLOX's own export names
their weights ``head.cls_preds.0.weight`` and so on. What goes into them is called features.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import numpy_helper

from models.detectors.labels import COCO_80
from models.detectors.onnx import STRIDES
from models.detectors.weights import check_weights
from records import DetectorError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

CLASSES, BOXES, OBJECTNESS = "head.cls_preds", "head.reg_preds", "head.obj_preds"
"""How the names of the weights of each part begin."""

OUTPUTS = {CLASSES: len(COCO_80), BOXES: 4, OBJECTNESS: 1}
"""The numbers that each part gives for an anchor."""

LARGEST_GRAPH = 2**30
"""The largest ONNX file whose head can be trained, bytes."""

MOST_NAMED = 3
"""How many wrong weights an error names."""

MOST_CHANNELS = 4096
"""The most channels of the features."""


def head_shapes(channels: int) -> dict[str, tuple[int, ...]]:
    """The name and shape of each weight of a head.

    Raises:
        ValueError: the channels are out of range.

    >>> len(head_shapes(64)), head_shapes(64)["head.reg_preds.2.weight"]
    (18, (4, 64, 1, 1))
    """
    if not isinstance(channels, int) or not 0 < channels <= MOST_CHANNELS:
        raise ValueError(f"channels must be 1 to {MOST_CHANNELS}, got {channels!r}")
    shapes: dict[str, tuple[int, ...]] = {}
    for part, outputs in OUTPUTS.items():
        for level in range(len(STRIDES)):
            shapes[f"{part}.{level}.weight"] = (outputs, channels, 1, 1)
            shapes[f"{part}.{level}.bias"] = (outputs,)
    return shapes


@dataclass(frozen=True, slots=True, eq=False)
class HeadGraph:
    """A YOLOX graph whose head was found.

    Attributes:
        path: Its file.
        sha256: The SHA-256 of the file, hexadecimal.
        tensors: The weights of the head by name, float32, as `head_shapes` says.
        features: The names of the values that go into the head: for each stride, finest first,
            those of the classes, then those of boxes and objectness.
    """

    path: Path
    sha256: str
    tensors: Mapping[str, NDArray[np.float32]]
    features: tuple[str, ...]
    _model: onnx.ModelProto

    @property
    def channels(self) -> int:
        """The channels of the features."""
        return int(self.tensors[f"{BOXES}.0.weight"].shape[1])

    @classmethod
    def read(cls, path: Path, sha256: str = "") -> HeadGraph:
        """Read an ONNX file that `YoloxDetector` takes.

        Args:
            path: The file.
            sha256: What its SHA-256 must be, hexadecimal; empty for any.

        Raises:
            DetectorError: the file is missing, too large, not the one that is wanted, or its head
                cannot be found.
        """
        check_weights(path)
        if path.stat().st_size > LARGEST_GRAPH:
            raise DetectorError(f"{path} must hold at most {LARGEST_GRAPH} bytes to be trained")
        data = path.read_bytes()
        got = hashlib.sha256(data).hexdigest()
        if sha256 not in ("", got):
            raise DetectorError(
                f"{path} must be the file that the head was trained for, of SHA-256 {sha256}, got "
                f"{got}. Name that file, or train a head for this one"
            )
        model = onnx.load_model_from_string(data)
        tensors = {
            one.name: numpy_helper.to_array(one)
            for one in model.graph.initializer
            if one.name.startswith(tuple(OUTPUTS)) and not one.external_data
        }
        _check_tensors(path, tensors)
        convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
        inputs = {node.input[1]: node.input[0] for node in convolutions}
        names = [f"{part}.{level}.weight" for level in range(len(STRIDES)) for part in OUTPUTS]
        shared = [inputs.get(name) for name in names]
        if None in shared or shared[1::3] != shared[2::3]:
            raise _no_head(path, "convolutions that use them, boxes and objectness side by side")
        features = tuple(name for k, name in enumerate(shared) if name is not None and k % 3 != 2)
        return cls(path, got, tensors, features, model)

    def with_features(self) -> bytes:
        """The graph that gives the features and nothing else."""
        model = self._copy()
        del model.graph.output[:]
        model.graph.output.extend(
            onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
            for name in self.features
        )
        return bytes(model.SerializeToString())

    def with_head(self, tensors: Mapping[str, NDArray[np.float32]]) -> bytes:
        """The graph with another head, of the same shapes."""
        model = self._copy()
        for one in model.graph.initializer:
            if one.name in tensors:
                one.CopyFrom(numpy_helper.from_array(tensors[one.name], one.name))
        return bytes(model.SerializeToString())

    def _copy(self) -> onnx.ModelProto:
        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        return model


def _check_tensors(path: Path, tensors: Mapping[str, NDArray[np.float32]]) -> None:
    weight = tensors.get(f"{BOXES}.0.weight")
    channels = weight.shape[1] if weight is not None and weight.ndim == 4 else 0
    wanted = head_shapes(channels if 0 < channels <= MOST_CHANNELS else 1)
    got = {name: value.shape for name, value in tensors.items()}
    if got != wanted or any(value.dtype != np.float32 for value in tensors.values()):
        wrong = sorted(name for name in wanted if got.get(name) != wanted[name])
        some = ", ".join(wrong[:MOST_NAMED]) or "their types"
        raise _no_head(path, f"a head of float32, {CLASSES}.0.weight and so on; wrong are {some}")


def _no_head(path: Path, what: str) -> DetectorError:
    return DetectorError(f"{path} must have {what}. Export it with YOLOX's own tool, undecoded")
