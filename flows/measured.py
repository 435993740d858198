"""A detector that counts its calls and their time."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from records import Detections, Detector


class MeasuredDetector:
    """A detector that counts its calls and their time. It answers as the one inside does.

    Args:
        detector: The detector inside.
        on_call: Called after each call with the number of images and the seconds it took.
    """

    def __init__(
        self, detector: Detector, on_call: Callable[[int, float], None] | None = None
    ) -> None:
        self._detector = detector
        self._on_call = on_call
        self._lock = threading.Lock()
        self.calls = 0
        self.images = 0
        self.seconds = 0.0

    @property
    def name(self) -> str:
        """The model's name."""
        return self._detector.name

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes it can find."""
        return self._detector.class_names

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """Find the objects in each image, and count."""
        start = time.perf_counter()
        found = self._detector.detect(images)
        seconds = time.perf_counter() - start
        with self._lock:
            self.calls += 1
            self.images += len(images)
            self.seconds += seconds
        if self._on_call is not None:
            self._on_call(len(images), seconds)
        return found
