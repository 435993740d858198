"""Detectors and classifiers that change between two calls, as models of the registry do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from flows.hot_swap_calls import SwappableCalls
from records import DetectorError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from flows.hot_swap import ModelWatch
    from flows.hot_swap_calls import CallSettings
    from flows.hot_swap_supervisor import Supervisor
    from records import Detections, Detector, SignalClassifier

OVERLAP = 0.5
"""Two boxes of one class that overlap by at least this intersection over union are the same
object: the usual measure of Pascal VOC (Everingham et al., IJCV 2010)."""


class SwappableDetector:
    """A detector whose version changes between two calls; a `records.Detector`.

    Its name is that of the detector, a space, and the version: ``yolox_nano head@4``.

    Args:
        watch: Follows the model.
        settings: How candidates are judged; None never.
        supervisor: Told of judgements.
    """

    def __init__(
        self, watch: ModelWatch[Detector], settings: CallSettings | None, supervisor: Supervisor
    ) -> None:
        self._calls: SwappableCalls[Detector, Sequence[NDArray[np.uint8]], list[Detections]] = (
            SwappableCalls(
                watch, _detect, _agreements, settings, _judged(supervisor), supervisor.failed
            )
        )

    @property
    def name(self) -> str:
        """The name of the detector and of the version that answered the last call."""
        current = self._calls.current
        return f"{current.model.name} {current.id}"

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes it can find, the same in every version."""
        return self._calls.current.model.class_names

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """Find the objects in each image; see `records.Detector`."""
        return self._calls.call(images)


class SwappableClassifier:
    """A classifier of signals whose version changes between two calls; a `SignalClassifier`.

    Args:
        watch: Follows the model.
        settings: How candidates are judged; None never.
        supervisor: Told of judgements.
    """

    def __init__(
        self,
        watch: ModelWatch[SignalClassifier],
        settings: CallSettings | None,
        supervisor: Supervisor,
    ) -> None:
        self._calls: SwappableCalls[SignalClassifier, NDArray[np.float32], NDArray[np.float32]] = (
            SwappableCalls(
                watch, _classify, _same_labels, settings, _judged(supervisor), supervisor.failed
            )
        )

    @property
    def name(self) -> str:
        """The version that answered the last call."""
        return self._calls.current.id

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes that it tells apart, the same in every version."""
        return self._calls.current.model.classes

    @property
    def rate_hz(self) -> float:
        """The rate at which it takes samples, Hz, the same in every version."""
        return self._calls.current.model.rate_hz

    @property
    def window(self) -> int:
        """The samples of one window, the same in every version."""
        return self._calls.current.model.window

    @property
    def context(self) -> int:
        """How many windows around one its probabilities depend on, the same in every version."""
        return self._calls.current.model.context

    def classify(self, signal: NDArray[np.float32]) -> NDArray[np.float32]:
        """The class probabilities of each whole window; see `records.SignalClassifier`."""
        return self._calls.call(signal)


def check_like(detector: Detector, first: Detector, what: str) -> None:
    """Raise DetectorError unless a version finds the classes of the first one."""
    if detector.class_names != first.class_names:
        raise DetectorError(f"{what} must find the same classes as the version it follows")


def check_fits(model: SignalClassifier, first: SignalClassifier, what: str) -> None:
    """Raise DetectorError unless a version cuts signals as the first one does."""
    for name in ("classes", "rate_hz", "window", "context"):
        got, want = getattr(model, name), getattr(first, name)
        if got != want:
            raise DetectorError(f"{what} must have the {name} {want} of the version it follows, "
                                f"got {got}")  # fmt: skip


def agreement(one: Detections, other: Detections) -> float:
    """How far two answers agree: twice the objects of both over all objects, 0..1; F1.

    Objects are matched greedily, those of `one` in their order. Two empty answers agree.

    >>> from records import Detections
    >>> box = Detections.of([[0, 0, 10, 10]], [0.9], ["car"])
    >>> moved = Detections.of([[0, 0, 10, 9], [50, 0, 60, 9]], [0.8, 0.7], ["car", "car"])
    >>> agreement(box, moved), agreement(box, Detections.empty())
    (0.6666666666666666, 0.0)
    """
    if not len(one) + len(other):
        return 1.0
    free = [True] * len(other)
    matched = 0
    overlaps = _overlaps(one.boxes, other.boxes)
    for place, name in enumerate(one.classes):
        for inner in np.argsort(-overlaps[place], kind="stable").tolist():
            if overlaps[place, inner] < OVERLAP:
                break
            if free[inner] and other.classes[inner] == name:
                free[inner] = False
                matched += 1
                break
    return 2 * matched / (len(one) + len(other))


def _overlaps(a_n4: NDArray[np.float32], b_m4: NDArray[np.float32]) -> NDArray[np.float64]:
    """The intersection over union of each pair, float64 (n, m)."""
    a, b = a_n4[:, None].astype(np.float64), b_m4[None].astype(np.float64)
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    both = sides.clip(0).prod(-1)
    union = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - both
    return np.asarray(np.divide(both, union, out=np.zeros_like(both), where=union > 0))


def _detect(model: Detector, images: Sequence[NDArray[np.uint8]]) -> list[Detections]:
    return model.detect(images)


def _agreements(one: list[Detections], other: list[Detections]) -> list[float]:
    return [agreement(a, b) for a, b in zip(one, other, strict=True)]


def _classify(model: SignalClassifier, signal: NDArray[np.float32]) -> NDArray[np.float32]:
    found = model.classify(signal)
    if not np.isfinite(found).all():
        raise DetectorError("its probabilities must be finite")
    return found


def _same_labels(one: NDArray[np.float32], other: NDArray[np.float32]) -> list[float]:
    if one.shape != other.shape:
        raise DetectorError(f"its answer must have the shape {other.shape}, got {one.shape}")
    return [float(same) for same in one.argmax(1) == other.argmax(1)]


def _judged(supervisor: Supervisor) -> Callable[[str, bool, str], None]:
    return lambda version, passed, detail: supervisor.judged(version, passed=passed, detail=detail)
