"""Detections: the boxes, scores, classes and tracks found in one frame."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from records.errors import RecordError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

UNTRACKED = -1
"""The track of a box that no track holds (yet)."""


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """The objects found in one frame. n may be 0.

    Attributes:
        boxes: float32 (n, 4), corners x1, y1, x2, y2 in pixels of the full frame, x1 <= x2.
        scores: float32 (n,), the detector's confidence in 0..1.
        class_ids: int32 (n,), index into `class_names`.
        class_names: the vocabulary that `class_ids` points into.
        tracks: int64 (n,), the track of each box; -1 where there is none.

    Raises:
        RecordError: a shape, dtype or range is wrong; the message names the field.

    >>> found = Detections.of([[10, 20, 30, 60]], [0.9], ["person"])
    >>> found.count("person"), found.count("dog"), len(found)
    (1, 0, 1)
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int32]
    class_names: tuple[str, ...]
    tracks: NDArray[np.int64]

    def __post_init__(self) -> None:
        n = len(self.boxes) if getattr(self.boxes, "ndim", 0) == 2 else -1
        _check_array("boxes", self.boxes, np.float32, (n, 4))
        _check_array("scores", self.scores, np.float32, (n,))
        _check_array("class_ids", self.class_ids, np.int32, (n,))
        _check_array("tracks", self.tracks, np.int64, (n,))
        if n == 0:
            return
        if not np.isfinite(self.boxes).all():
            raise RecordError("boxes must be finite")
        if (self.boxes[:, :2] > self.boxes[:, 2:]).any():
            raise RecordError("boxes must be x1, y1, x2, y2 with x1 <= x2 and y1 <= y2")
        if not ((self.scores >= 0) & (self.scores <= 1)).all():
            raise RecordError("scores must be in 0..1")
        if self.class_ids.min() < 0 or self.class_ids.max() >= len(self.class_names):
            raise RecordError(f"class_ids must be in 0..{len(self.class_names) - 1}")

    @classmethod
    def empty(cls, class_names: Sequence[str] = ()) -> Detections:
        """No object at all."""
        return cls.of(np.empty((0, 4)), [], [], class_names=class_names)

    @classmethod
    def of(
        cls,
        boxes: Any,  # noqa: ANN401 - anything numpy makes an (n, 4) array of
        scores: Any,  # noqa: ANN401
        classes: Sequence[str] | NDArray[np.integer[Any]],
        *,
        class_names: Sequence[str] | None = None,
        tracks: Any = None,  # noqa: ANN401
    ) -> Detections:
        """Build from anything array-like, with class names (or ids into `class_names`)."""
        boxes_n4 = np.asarray(boxes, dtype=np.float32).reshape(-1, 4)
        if isinstance(classes, np.ndarray):
            names = tuple(class_names or ())
            ids = classes.astype(np.int32)
        else:
            names = tuple(class_names) if class_names else tuple(sorted(set(classes)))
            index = {name: i for i, name in enumerate(names)}
            unknown = sorted(set(classes) - set(index))
            if unknown:
                raise RecordError(f"classes not in class_names: {', '.join(unknown)}")
            ids = np.array([index[name] for name in classes], dtype=np.int32)
        if tracks is None:
            tracks = np.full(len(boxes_n4), UNTRACKED)
        return cls(
            boxes_n4,
            np.asarray(scores, dtype=np.float32),
            ids,
            names,
            np.asarray(tracks, dtype=np.int64),
        )

    def __len__(self) -> int:
        return len(self.boxes)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Detections):
            return NotImplemented
        return (
            np.array_equal(self.boxes, other.boxes)
            and np.array_equal(self.scores, other.scores)
            and np.array_equal(self.tracks, other.tracks)
            and self.classes == other.classes
        )

    __hash__ = None  # type: ignore[assignment]  # arrays are not hashable

    @property
    def classes(self) -> tuple[str, ...]:
        """The class name of each box, length n."""
        return tuple(self.class_names[i] for i in self.class_ids)

    def select(self, keep: NDArray[Any]) -> Detections:
        """The boxes where `keep` (bool (n,) or integer indices) says so, in that order."""
        return Detections(
            self.boxes[keep],
            self.scores[keep],
            self.class_ids[keep],
            self.class_names,
            self.tracks[keep],
        )

    def of_classes(self, names: Sequence[str]) -> Detections:
        """The boxes whose class is one of `names`."""
        wanted = [i for i, name in enumerate(self.class_names) if name in names]
        return self.select(np.isin(self.class_ids, wanted))

    def count(self, name: str) -> int:
        """How many boxes have the class `name`."""
        if name not in self.class_names:
            return 0
        return int(np.count_nonzero(self.class_ids == self.class_names.index(name)))

    def with_tracks(self, tracks: NDArray[np.int64]) -> Detections:
        """The same boxes with these tracks, int64 (n,)."""
        return replace(self, tracks=tracks)


def _check_array(field: str, value: object, dtype: type, shape: tuple[int, ...]) -> None:
    if not isinstance(value, np.ndarray) or value.dtype != dtype or value.shape != shape:
        want = "(n, 4)" if field == "boxes" else f"({max(shape[0], 0)},)"
        got = (
            f"{value.dtype} {value.shape}"
            if isinstance(value, np.ndarray)
            else type(value).__name__
        )
        raise RecordError(f"{field} must be a {np.dtype(dtype)} array of shape {want}, got {got}")
