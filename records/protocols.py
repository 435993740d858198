"""The interfaces that let operators use models and time without knowing them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from records.detections import Detections


@runtime_checkable
class Detector(Protocol):
    """A model that finds objects in images."""

    @property
    def name(self) -> str:
        """The model's name, for verdicts and alerts."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes it can find."""

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """Find the objects in each image.

        Args:
            images: RGB, uint8 (height, width, 3) each; sizes may differ. May be empty.

        Returns:
            One Detections for each image, in order, boxes in pixels of that image, highest
            score first.

        Raises:
            RecordError: an image has the wrong shape or dtype.
        """


@runtime_checkable
class Scorer(Protocol):
    """A small model that gives each image one score, the specialised model of a cascade."""

    @property
    def size(self) -> int:
        """The side of the square images that it takes, pixels."""

    def score(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Score a batch.

        Args:
            images: RGB, uint8 (n, height, width, 3).

        Returns:
            float32 (n,), in 0..1: how sure it is that the object is there.
        """


@runtime_checkable
class PacketScorer(Protocol):
    """A model that scores frames by the sizes of their packets, without decoding."""

    @property
    def reach(self) -> int:
        """How many frames before and after a frame its score depends on."""

    def score(
        self,
        coded_bytes: NDArray[np.int64],
        keyframe: NDArray[np.bool_],
        reordered: NDArray[np.bool_],
    ) -> NDArray[np.float32]:
        """Score a run of consecutive frames, in the order in which they are shown.

        Args:
            coded_bytes: int64 (n,), the size of each frame's packet, bytes.
            keyframe: bool (n,), whether it is coded by itself.
            reordered: bool (n,), whether it is coded after a frame that is shown later.

        Returns:
            float32 (n,), in 0..1: how sure it is that the predicate holds.
        """


class Clock(Protocol):
    """Tells the present time; passed in, so that replays and tests own it."""

    def __call__(self) -> int:
        """Now, nanoseconds since 1970 UTC."""
