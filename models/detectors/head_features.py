"""What a head is trained on: the features of each picture, kept, and what it should answer there.

All but the head stays as it is, so features are computed once; so is the assignment of anchors,
from what the detector said before training. Legend: ``a`` anchors, ``c`` channels, ``p`` anchors
that answer for an object.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.detectors.head_assignment import (
    BACKGROUND,
    UNKNOWN,
    Grid,
    Predictions,
    assign,
    inside_any,
)
from models.detectors.head_graph import BOXES, CLASSES, OBJECTNESS, HeadGraph
from models.detectors.onnx import LARGEST_LOG_SIZE, STRIDES, grid_of, input_of, open_session
from models.detectors.postprocess import check_images
from records import RecordError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from models.detectors.head_settings import HeadTrainSettings
    from models.detectors.settings import DetectorSettings
    from models.detectors.training_pictures import Pictures
    from records import Detections

LARGEST_CACHE = 4 * 2**30
"""The most bytes of features that are kept."""


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """What the head should answer on one picture.

    Attributes:
        known_a: bool, False where it is not known what an anchor shows.
        anchors_p: int64, the anchors that answer for an object.
        columns_p: int64, the object's class, an index into the trained classes.
        overlaps_p: float32, 0..1, the intersection over union of the anchor's box and its object.
        boxes_p4: float32, the object's box, corners in pixels of the network's input.
    """

    known_a: NDArray[np.bool_]
    anchors_p: NDArray[np.int64]
    columns_p: NDArray[np.int64]
    overlaps_p: NDArray[np.float32]
    boxes_p4: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class CachedPicture:
    """One picture of training.

    Attributes:
        features: float16 (anchors of the stride, c) each, as `HeadGraph.features`.
        targets: What the head should answer.
    """

    features: tuple[NDArray[np.float16], ...]
    targets: Targets


class FeatureCache:
    """Computes the features and the targets of pictures.

    Args:
        graph: The detector.
        tensors: The weights of its head before training.
        classes: The trained classes.
        names: The detector's vocabulary.
        settings: How the head is trained.
        detector: How the detector is run.
    """

    def __init__(
        self,
        graph: HeadGraph,
        tensors: Mapping[str, NDArray[np.float32]],
        classes: Sequence[str],
        names: Sequence[str],
        settings: HeadTrainSettings,
        detector: DetectorSettings,
    ) -> None:
        self._graph, self._tensors = graph, tensors
        self._classes, self._names, self._settings = tuple(classes), tuple(names), settings
        self._session = open_session(graph.path, detector, graph.with_features())
        (given,) = self._session.get_inputs()
        self._input = given.name
        self._count = given.shape[0] if isinstance(given.shape[0], int) else 1
        self._size = (int(given.shape[3]), int(given.shape[2]))
        self.grid = Grid(*grid_of(*self._size))

    def read(self, pictures: Pictures) -> list[CachedPicture]:
        """Compute all pictures.

        Raises:
            RecordError: a picture has the wrong shape or dtype, or there are too many.
        """
        check_images([picture for picture, _ in pictures])
        of_one = len(self.grid.cells_a2) * 2 * self._graph.channels * np.float16().itemsize
        most = LARGEST_CACHE // of_one
        if len(pictures) > most:
            raise RecordError(
                f"pictures must be at most {most} for this detector, whose features are kept in "
                f"memory, got {len(pictures)}. Take fewer of them"
            )
        return [self._read(*picture) for picture in pictures]

    def _read(self, picture: NDArray[np.uint8], labels: Detections) -> CachedPicture:
        tensor, (placement,) = input_of([picture], self._count, self._size)
        outputs = self._session.run(list(self._graph.features), {self._input: tensor})
        features = [output[0].reshape(output.shape[1], -1).T for output in outputs]
        scale = np.array([placement.scale_x, placement.scale_y] * 2, dtype=np.float32)
        targets = self._targets(predict(features, self._tensors, self.grid), labels, scale)
        return CachedPicture(tuple(one.astype(np.float16) for one in features), targets)

    def _targets(
        self, found: Predictions, labels: Detections, scale: NDArray[np.float32]
    ) -> Targets:
        boxes = (labels.boxes * scale).astype(np.float32)
        trained = np.array([name in self._classes for name in labels.classes], dtype=np.bool_)
        objects = trained & (labels.scores >= self._settings.certain_score)
        unknown = inside_any(self.grid, boxes[~objects]) | self._others(found)
        class_ids = np.array([self._names.index(name) for name in labels.classes], dtype=np.int32)
        given = assign(found, self.grid, boxes[objects], class_ids[objects], unknown)
        (anchors,) = np.nonzero(given.objects_a > BACKGROUND)
        taken = given.objects_a[anchors]
        columns = [self._classes.index(name) for name in labels.select(objects).classes]
        return Targets(
            given.objects_a != UNKNOWN,
            anchors,
            np.array(columns, dtype=np.int64)[taken],
            given.overlaps_a[anchors],
            boxes[objects][taken],
        )

    def _others(self, found: Predictions) -> NDArray[np.bool_]:
        """Anchors at which the detector finds a class that is not trained."""
        best = found.classes_ac.argmax(axis=1)
        scores = found.objectness_a * found.classes_ac.max(axis=1)
        trained = np.array([name in self._classes for name in self._names], dtype=np.bool_)
        others: NDArray[np.bool_] = ~trained[best] & (scores >= self._settings.other_score)
        return others


def predict(
    features: Sequence[NDArray[np.float32]],
    tensors: Mapping[str, NDArray[np.float32]],
    grid: Grid,
) -> Predictions:
    """What a head makes of features, float32 (anchors of the stride, c) each."""

    def answers(part: str, offset: int) -> NDArray[np.float32]:
        return np.concatenate(
            [
                features[2 * level + offset] @ tensors[f"{part}.{level}.weight"][:, :, 0, 0].T
                + tensors[f"{part}.{level}.bias"]
                for level in range(len(STRIDES))
            ]
        )

    raw = answers(BOXES, 1)
    centres = (raw[:, :2] + grid.cells_a2) * grid.strides_a1
    halves = np.exp(np.minimum(raw[:, 2:], LARGEST_LOG_SIZE)) * grid.strides_a1 / 2
    boxes = np.concatenate([centres - halves, centres + halves], axis=1)
    return Predictions(boxes, _sigmoid(answers(OBJECTNESS, 1)[:, 0]), _sigmoid(answers(CLASSES, 0)))


def _sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """By the hyperbolic tangent, which never overflows."""
    return ((1 + np.tanh(logits / 2)) / 2).astype(np.float32)
