"""YOLOX (Ge et al. 2021) on ONNX Runtime.

The network's input is ``images``, float32 (batch, 3, height, width), BGR, 0..255, the image
letterboxed from the top left on grey 114; its output is float32 (batch, anchors, 5 + classes):
centre x, y in cells of the grid, log width, height in strides, objectness, class scores, the last
two after the sigmoid. This is what YOLOX's own export writes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from models.detectors.labels import COCO_80, class_mask
from models.detectors.postprocess import BoxFilter, Placement, check_images, letterbox
from models.detectors.settings import LARGEST_BATCH, YOLOX_NANO
from models.detectors.weights import check_weights
from records import DetectorError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from models.detectors.settings import DetectorSettings
    from records import Detections

STRIDES = (8, 16, 32)
"""Pixels of the input between two cells of each grid, finest first."""

FILL = 114
"""The grey around a letterboxed image."""

BOX_FIELDS = 5
"""Fields of an anchor before its class scores: x, y, width, height, objectness."""

LARGEST_INPUT = 2048
"""The largest side of the network's input, pixels."""

LARGEST_LOG_SIZE = math.log(LARGEST_INPUT)
"""The largest logarithm of a box's size in strides; keeps the exponential finite."""

SESSION_ERRORS = (
    ort_errors.EPFail,
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NoModel,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)
"""What ONNX Runtime raises for a file that it cannot load or run; they share no base class."""


class YoloxDetector:
    """YOLOX on ONNX Runtime, batched where the file's batch is free, on the CPU or CUDA.

    Args:
        path: The ONNX file.
        settings: How to run it.
        graph: What is run in its place, the bytes of an ONNX file; None runs the file itself.

    Raises:
        DetectorError: the file is missing, is no ONNX model or no YOLOX for COCO's 80 classes,
            the device is not there, or `settings.classes` names an unknown class.
    """

    def __init__(self, path: Path, settings: DetectorSettings, graph: bytes | None = None) -> None:
        self._filter = BoxFilter(
            self.name,
            COCO_80,
            class_mask(settings.classes, COCO_80, self.name),
            settings.score_at_least,
            settings.iou_at_most,
        )
        check_weights(path)
        self._path = path
        self._session = open_session(path, settings, graph)
        batch, self._height, self._width = _input_size(path, self._session)
        self._input = self._session.get_inputs()[0].name
        self._free_batch = batch is None
        self._batch = settings.batch_size if batch is None else batch
        self._cells, self._strides = grid_of(self._width, self._height)
        self._try_out()

    @property
    def name(self) -> str:
        """The model's name, ``yolox_nano``."""
        return YOLOX_NANO

    @property
    def path(self) -> Path:
        """The ONNX file."""
        return self._path

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the network's input, pixels."""
        return self._width, self._height

    @property
    def class_names(self) -> tuple[str, ...]:
        """COCO's 80 classes."""
        return self._filter.class_names

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """Find the objects in each image; see `records.protocols.Detector`."""
        check_images(images)
        found: list[Detections] = []
        for start in range(0, len(images), self._batch):
            found += self._detect_batch(images[start : start + self._batch])
        return found

    def _detect_batch(self, images: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        count = len(images) if self._free_batch else self._batch
        tensor, placements = input_of(images, count, self.size)
        (outputs,) = self._run(tensor)
        return [self._decode(*pair) for pair in zip(outputs, placements, strict=False)]

    def _run(self, tensor: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        try:
            outputs = self._session.run(None, {self._input: tensor})
        except SESSION_ERRORS as error:
            raise DetectorError(f"{self._path} does not run: {_first_line(error)}") from error
        return [np.asarray(output, dtype=np.float32) for output in outputs]

    def _decode(self, anchors: NDArray[np.float32], placement: Placement) -> Detections:
        """One image's (anchors, 5 + classes) to Detections."""
        class_ids = anchors[:, BOX_FIELDS:].argmax(axis=1).astype(np.int32)
        best = np.take_along_axis(anchors[:, BOX_FIELDS:], class_ids[:, None], axis=1)[:, 0]
        scores = anchors[:, BOX_FIELDS - 1] * best
        strong = self._filter.strong(scores, class_ids)
        strides = self._strides[strong]
        centres = (anchors[strong, :2] + self._cells[strong]) * strides
        sizes = np.exp(np.minimum(anchors[strong, 2:4], LARGEST_LOG_SIZE)) * strides
        boxes = np.concatenate([centres - sizes / 2, centres + sizes / 2], axis=1)
        return self._filter.detections(boxes, scores[strong], class_ids[strong], placement)

    def _try_out(self) -> None:
        """Run once on an empty image, so that a wrong output shows now and not in a stream."""
        count = 1 if self._free_batch else self._batch
        want = (count, len(self._cells), BOX_FIELDS + len(COCO_80))
        outputs = self._run(np.zeros((count, 3, self._height, self._width), np.float32))
        shapes = [output.shape for output in outputs]
        if shapes != [want]:
            raise DetectorError(
                f"{self._path} must be YOLOX for COCO with one output {want}, got "
                f"{', '.join(map(str, shapes))}. Export it with YOLOX's own tool, undecoded"
            )


def input_of(
    images: Sequence[NDArray[np.uint8]], count: int, size: tuple[int, int]
) -> tuple[NDArray[np.float32], list[Placement]]:
    """Images as the network takes them.

    Args:
        images: At most `count`, RGB, uint8 (h, w, 3) each.
        count: The batch; what images do not fill is 0.
        size: Width and height of the input, pixels.

    Returns:
        float32 (count, 3, height, width), and how each image lies in it.
    """
    width, height = size
    tensor = np.zeros((count, 3, height, width), dtype=np.float32)
    placements = []
    for slot, image in zip(tensor, images, strict=False):
        canvas, placement = letterbox(image, width, height, FILL)
        slot[:] = canvas[:, :, ::-1].transpose(2, 0, 1)
        placements.append(placement)
    return tensor, placements


def open_session(path: Path, settings: DetectorSettings, graph: bytes | None = None) -> Any:  # noqa: ANN401 - no type information
    """An ONNX Runtime session of a file, or of the bytes of another in its place.

    Raises:
        DetectorError: it is no ONNX model, or the device is not there.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = settings.threads
    there = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    if settings.device == "cuda" and not there:
        raise DetectorError(
            "device cuda needs ONNX Runtime's CUDA provider, which this installation lacks. "
            "Install it with: pip install onnxruntime-gpu, or set device to cpu"
        )
    providers = ["CPUExecutionProvider"]
    if there and settings.device != "cpu":
        providers.insert(0, "CUDAExecutionProvider")
    try:
        session = onnxruntime.InferenceSession(graph or str(path), options, providers=providers)
    except SESSION_ERRORS as error:
        raise DetectorError(f"{path} must be an ONNX model: {_first_line(error)}") from error
    if settings.device == "cuda" and "CUDAExecutionProvider" not in session.get_providers():
        raise DetectorError("device cuda cannot be started by ONNX Runtime; is the driver there?")
    return session


def _input_size(path: Path, session: Any) -> tuple[int | None, int, int]:  # noqa: ANN401
    """Batch (None when free), height and width of the network's input."""
    inputs = session.get_inputs()
    shape = list(inputs[0].shape) if len(inputs) == 1 else []
    sides = shape[2:] if len(shape) == 4 and shape[1] == 3 else []
    sane = [s for s in sides if isinstance(s, int) and s % STRIDES[-1] == 0]
    if len(sane) != 2 or not all(0 < side <= LARGEST_INPUT for side in sane):
        raise DetectorError(
            f"{path} must have one input (batch, 3, height, width) with sides that are multiples "
            f"of {STRIDES[-1]} up to {LARGEST_INPUT}, got {[i.shape for i in inputs]}. "
            "Is it YOLOX, exported with its own tool?"
        )
    batch = shape[0] if isinstance(shape[0], int) and shape[0] > 0 else None
    if batch is not None and batch > LARGEST_BATCH:
        raise DetectorError(f"{path} must have a batch of at most {LARGEST_BATCH}, got {batch}")
    return batch, sane[0], sane[1]


def grid_of(width: int, height: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Cell (anchors, 2) as x, y and stride (anchors, 1) of each anchor, in output order."""
    cells, strides = [], []
    for stride in STRIDES:
        y, x = np.mgrid[: height // stride, : width // stride]
        cells.append(np.stack([x.ravel(), y.ravel()], axis=1))
        strides.append(np.full((x.size, 1), stride))
    return np.concatenate(cells).astype(np.float32), np.concatenate(strides).astype(np.float32)


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0]
