"""Range boxes: objects that a sensor measured in three dimensions, and where a camera sees them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from records.checks import check_count, check_name, check_time
from records.detections import Detections
from records.errors import RecordError

if TYPE_CHECKING:
    from numpy.typing import NDArray

SOLID_FIELDS = ("height", "width", "length", "x", "y", "z", "yaw")
"""The columns of a solid box, as KITTI orders them (Geiger et al., CVPR 2012, development kit)."""


@dataclass(frozen=True, slots=True, eq=False)
class RangeBoxes:
    """The boxes of one scan of a ranging sensor, n of them. n may be 0.

    Attributes:
        stream: The sensor's stream.
        sequence: The scan's number in the stream.
        time_ns: The scan's event time, nanoseconds since 1970 UTC.
        boxes: Each box as the camera sees it, clipped to the image, with score and class.
        solids: float32 (n, 7), each box in the camera's coordinates (x right, y down, z ahead):
            height, width, length in metres, x, y, z of the middle of its bottom in metres, yaw
            about the y axis in radians, 0 where its length lies along x.

    Raises:
        RecordError: a shape, dtype or range is wrong; the message names the field.

    >>> seen = Detections.of([[600, 170, 640, 190]], [0.9], ["car"])
    >>> solid = np.array([[1.5, 1.6, 3.9, 0.5, 1.7, 40.0, 0.0]], np.float32)
    >>> RangeBoxes("roof", 0, 0, seen, solid).depths.tolist()
    [40.0]
    """

    stream: str
    sequence: int
    time_ns: int
    boxes: Detections
    solids: NDArray[np.float32]

    def __post_init__(self) -> None:
        check_name("stream", self.stream)
        check_count("sequence", self.sequence)
        check_time("time_ns", self.time_ns)
        if not isinstance(self.boxes, Detections):
            raise RecordError(f"boxes must be Detections, got {type(self.boxes).__name__}")
        want = (len(self.boxes), len(SOLID_FIELDS))
        found = self.solids
        if not isinstance(found, np.ndarray) or found.dtype != np.float32 or found.shape != want:
            got = f"{getattr(found, 'dtype', type(found).__name__)} {getattr(found, 'shape', '')}"
            raise RecordError(f"solids must be a float32 array of shape {want}, got {got.strip()}")
        if not np.isfinite(found).all() or (found[:, :3] <= 0).any():
            raise RecordError("solids must be finite, with heights, widths and lengths above 0")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RangeBoxes):
            return NotImplemented
        return (
            (self.stream, self.sequence, self.time_ns, self.boxes)
            == (other.stream, other.sequence, other.time_ns, other.boxes)
        ) and np.array_equal(self.solids, other.solids)

    __hash__ = None  # type: ignore[assignment]  # arrays are not hashable

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def depths(self) -> NDArray[np.float32]:
        """How far ahead of the camera each box stands, float32 (n,), metres."""
        return self.solids[:, SOLID_FIELDS.index("z")]

    @property
    def id(self) -> str:
        """The deterministic identity, ``stream:sequence``."""
        return f"{self.stream}:{self.sequence}"

    def select(self, keep: NDArray[np.bool_] | NDArray[np.int64]) -> RangeBoxes:
        """The boxes where `keep` (bool (n,) or integer indices) says so, in that order."""
        boxes, solids = self.boxes.select(keep), self.solids[keep]
        return RangeBoxes(self.stream, self.sequence, self.time_ns, boxes, solids)
