"""SSD-MobileNetV2 for Open Images V4 on LiteRT, the model of MediaPipe Objectron's first stage.

The network's input is float32 (1, 300, 300, 3), RGB in -1..1, the image stretched to fit. Its
outputs are ``raw_outputs/box_encodings`` (1, anchors, 4), y, x, log height, log width relative to
the anchor and scaled, and ``raw_outputs/class_predictions`` (1, anchors, 24), logits, class 0 the
background. Anchors and scales follow SSD (Liu et al. 2016) as TensorFlow's object detection
library configures it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from models.detectors.labels import OPEN_IMAGES_23, class_mask
from models.detectors.postprocess import BoxFilter, check_images, stretch
from models.detectors.settings import SSD_MOBILENETV2_OIV4
from models.detectors.weights import check_weights
from records import DetectorError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from models.detectors.settings import DetectorSettings
    from records import Detections

SIDE = 300
"""Side of the network's input, pixels."""

STRIDES = (16, 32, 64, 128, 256, 512)
"""Pixels of the input between two anchors of each feature map, finest first."""

SMALLEST_SCALE = 0.2
"""Size of the anchors on the finest map, as a share of the input."""

LARGEST_SCALE = 0.95
"""Size of the anchors on the coarsest map, as a share of the input."""

LOWEST_LAYER = ((0.1, 1.0), (SMALLEST_SCALE, 2.0), (SMALLEST_SCALE, 0.5))
"""Scale and aspect ratio of the three anchors in each cell of the finest map, which is reduced."""

ASPECT_RATIOS = (1.0, 2.0, 0.5, 3.0, 1 / 3)
"""Width by height of the anchors on the other maps; one more square lies between two scales."""

CENTRE_SCALE = 10.0
"""The network's x and y offsets are this many times too large."""

SIZE_SCALE = 5.0
"""The network's log width and height are this many times too large."""

LARGEST_LOG_SIZE = math.log(SIDE)
"""The largest logarithm of a box's size in anchors; keeps the exponential finite."""

HALF_RANGE = 127.5
"""Divides a pixel of 0..255 into 0..2, and one less is the network's -1..1."""


class SsdDetector:
    """The SSD on LiteRT, on the CPU; LiteRT takes one image at a time.

    Args:
        path: The ``.tflite`` file.
        settings: How to run it.

    Raises:
        DetectorError: the package or the file is missing, the file is not this SSD, the device is
            CUDA, or `settings.classes` names an unknown class.
    """

    def __init__(self, path: Path, settings: DetectorSettings) -> None:
        self._filter = BoxFilter(
            self.name,
            OPEN_IMAGES_23,
            class_mask(settings.classes, OPEN_IMAGES_23, self.name),
            settings.score_at_least,
            settings.iou_at_most,
        )
        if settings.device == "cuda":
            raise DetectorError(f"{self.name} runs on the CPU only. Set device to cpu or auto")
        check_weights(path)
        self._anchors = anchors()
        self._interpreter = _interpreter(path, settings.threads)
        self._input, self._boxes, self._classes = self._tensors(path)

    @property
    def name(self) -> str:
        """The model's name, ``ssd_mobilenetv2_oiv4``."""
        return SSD_MOBILENETV2_OIV4

    @property
    def class_names(self) -> tuple[str, ...]:
        """The 23 classes, lower case."""
        return self._filter.class_names

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """Find the objects in each image; see `records.protocols.Detector`."""
        check_images(images)
        return [self._detect_one(image) for image in images]

    def _detect_one(self, image: NDArray[np.uint8]) -> Detections:
        canvas, placement = stretch(image, SIDE, SIDE)
        tensor = canvas.astype(np.float32)[None] / HALF_RANGE - 1
        self._interpreter.set_tensor(self._input, tensor)
        self._interpreter.invoke()
        encodings = self._interpreter.get_tensor(self._boxes)[0]
        logits = self._interpreter.get_tensor(self._classes)[0, :, 1:]
        class_ids = logits.argmax(axis=1).astype(np.int32)
        best = np.take_along_axis(logits, class_ids[:, None], axis=1)[:, 0]
        scores = sigmoid(best)
        strong = self._filter.strong(scores, class_ids)
        boxes = decode(encodings[strong], self._anchors[strong])
        return self._filter.detections(boxes, scores[strong], class_ids[strong], placement)

    def _tensors(self, path: Path) -> tuple[int, int, int]:
        """Indices of the input, the box encodings and the class logits."""
        inputs, outputs = (
            {tuple(tensor["shape"].tolist()): tensor["index"] for tensor in tensors}
            for tensors in (
                self._interpreter.get_input_details(),
                self._interpreter.get_output_details(),
            )
        )
        image = (1, SIDE, SIDE, 3)
        boxes = (1, len(self._anchors), 4)
        classes = (1, len(self._anchors), 1 + len(OPEN_IMAGES_23))
        if set(inputs) != {image} or set(outputs) != {boxes, classes}:
            raise DetectorError(
                f"{path} must be {self.name} with input {image} and outputs {boxes} and {classes}, "
                f"got {_list(inputs)} and {_list(outputs)}"
            )
        return inputs[image], outputs[boxes], outputs[classes]


def anchors() -> NDArray[np.float32]:
    """The 1917 anchors, float32 (1917, 4): centre x, y, width, height in pixels of the input."""
    scales = np.linspace(SMALLEST_SCALE, LARGEST_SCALE, len(STRIDES)).tolist()
    maps = []
    for i, stride in enumerate(STRIDES):
        following = [*scales, 1.0][i + 1]
        shapes = [(scales[i], ratio) for ratio in ASPECT_RATIOS]
        shapes.append((math.sqrt(scales[i] * following), 1.0))
        sizes = np.array(
            [(s * math.sqrt(r), s / math.sqrt(r)) for s, r in (shapes if i else LOWEST_LAYER)]
        )
        cells = math.ceil(SIDE / stride)
        y, x = (np.mgrid[:cells, :cells] + 0.5) / cells
        centres = np.stack([x, y], axis=-1).reshape(-1, 1, 2).repeat(len(sizes), axis=1)
        both = np.concatenate([centres, np.broadcast_to(sizes, centres.shape)], axis=-1)
        maps.append(both.reshape(-1, 4))
    return (np.concatenate(maps) * SIDE).astype(np.float32)


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Logits to scores in 0..1, by the hyperbolic tangent, which never overflows."""
    return ((1 + np.tanh(logits / 2)) / 2).astype(np.float32)


def decode(
    encodings_n4: NDArray[np.float32], anchors_n4: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Corners, float32 (n, 4), from encodings y, x, log height, log width and their anchors."""
    offsets = encodings_n4[:, 1::-1] / CENTRE_SCALE
    logs = np.minimum(encodings_n4[:, :1:-1] / SIZE_SCALE, LARGEST_LOG_SIZE)
    centres = anchors_n4[:, :2] + offsets * anchors_n4[:, 2:]
    sizes = np.exp(logs) * anchors_n4[:, 2:]
    return np.concatenate([centres - sizes / 2, centres + sizes / 2], axis=1).astype(np.float32)


def interpreter_class() -> Any:  # noqa: ANN401 - the package has no types
    """LiteRT's interpreter.

    Raises:
        DetectorError: the optional package is not installed; says how to install it.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415 - optional package
    except ImportError as error:
        raise DetectorError(
            f"{SSD_MOBILENETV2_OIV4} needs the package ai-edge-litert. "
            "Install it with: pip install 'sightflow[litert]'"
        ) from error
    return Interpreter


def _interpreter(path: Path, threads: int) -> Any:  # noqa: ANN401
    try:
        interpreter = interpreter_class()(str(path), num_threads=threads or None)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise DetectorError(f"{path} must be a LiteRT model: {error}") from error
    return interpreter


def _list(shapes: dict[tuple[int, ...], int]) -> str:
    return ", ".join(map(str, shapes)) or "none"
