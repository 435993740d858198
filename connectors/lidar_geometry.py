"""Where a camera sees solid boxes: the pinhole model, with boxes that reach behind the camera.

Coordinates and calibration are KITTI's (Geiger et al., "Vision meets Robotics: The KITTI Dataset",
IJRR 2013, section 4 and equations 3 to 8): x right, y down, z ahead, after rectification.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from records import RecordError
from records.range_boxes import SOLID_FIELDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

NEAR_METRES = 0.01
"""What is nearer to the camera's plane than this is cut off before projection."""

CORNERS = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-1.0, 0.0) for z in (-0.5, 0.5)])
"""The corners of a box of length, height and width 1 whose bottom's middle is at the origin."""

EDGES = np.array([[a, b] for a in range(8) for b in range(a, 8) if (a ^ b) in (1, 2, 4)])
"""The two corners of each edge: they differ in one of x, y and z."""

KITTI_PROJECTION = (
    (721.5377, 0.0, 609.5593, 44.85728),
    (0.0, 721.5377, 172.854, 0.2163791),
    (0.0, 0.0, 1.0, 0.002745884),
)
"""P2 of KITTI's recordings of 26 September 2011, such as the tracking sequences 0000 to 0013."""

_IDENTITY = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
_SHAPES = {"projection": (3, 4), "rectification": (3, 3), "sensor_to_camera": (3, 4)}

Matrix = tuple[tuple[float, ...], ...]
"""Rows of a matrix."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """How points become pixels of one camera.

    Attributes:
        width: Width of the image, pixels.
        height: Height of the image, pixels.
        projection: 3x4, from rectified camera coordinates to the image (P2 in KITTI's files).
        rectification: 3x3, from camera to rectified camera coordinates (R0_rect).
        sensor_to_camera: 3x4, from the ranging sensor's to the camera's coordinates
            (Tr_velo_to_cam); None where boxes come in camera coordinates already.

    Raises:
        RecordError: a size is below 1, or a matrix is no finite matrix of its shape.
    """

    width: int = 1242
    height: int = 375
    projection: Matrix = KITTI_PROJECTION
    rectification: Matrix = _IDENTITY
    sensor_to_camera: Matrix | None = None

    def __post_init__(self) -> None:
        for name in ("width", "height"):
            if getattr(self, name) < 1:
                raise RecordError(f"{name} must be at least 1 pixel, got {getattr(self, name)}")
        for name, shape in _SHAPES.items():
            value = getattr(self, name)
            if value is None:
                continue
            matrix = np.array(value, dtype=np.float64)
            if matrix.shape != shape or not np.isfinite(matrix).all():
                raise RecordError(f"{name} must be a finite matrix of shape {shape}, got {value}")

    def project(self, solids: NDArray[np.floating]) -> NDArray[np.float32]:
        """Where the camera sees solid boxes.

        Args:
            solids: (n, 7), as `RangeBoxes.solids`, rectified camera coordinates.

        Returns:
            float32 (n, 4), corners x1, y1, x2, y2 of the box around what lies before the camera,
            clipped to the image; no area where nothing of it is in the image.

        >>> Calibration().project(np.array([[1.5, 1.6, 3.9, 0.0, 1.7, 20.0, 0.0]])).round().tolist()
        [[539.0, 180.0, 685.0, 237.0]]
        """
        ends = corners_of(solids)[:, EDGES]
        pieces = _before_camera(ends)
        matrix = np.array(self.projection)
        seen = pieces @ matrix[:, :3].T + matrix[:, 3]
        # An edge wholly behind the camera has NaN ends and counts for nothing.
        pixels = (seen[..., :2] / seen[..., 2:]).reshape(-1, 2 * len(EDGES), 2)
        low = np.min(pixels, axis=1, initial=np.inf, where=np.isfinite(pixels))
        high = np.max(pixels, axis=1, initial=-np.inf, where=np.isfinite(pixels))
        hidden = ~(low <= high).all(axis=1)
        low[hidden] = high[hidden] = 0.0
        last = (self.width - 1, self.height - 1)
        return np.hstack([np.clip(low, 0, last), np.clip(high, 0, last)]).astype(np.float32)

    def from_sensor(self, boxes: NDArray[np.floating]) -> NDArray[np.float32]:
        """Turn boxes in the sensor's coordinates (x ahead, y left, z up) into solid boxes.

        Args:
            boxes: (n, 7), height, width, length, x, y, z of the box's middle in metres, heading
                about the z axis in radians, 0 where its length lies along x.

        Returns:
            float32 (n, 7), as `RangeBoxes.solids`.

        Raises:
            RecordError: this calibration has no `sensor_to_camera`.
        """
        if self.sensor_to_camera is None:
            raise RecordError("boxes in the sensor's coordinates need sensor_to_camera, got None")
        boxes = np.asarray(boxes, dtype=np.float64).reshape(-1, len(SOLID_FIELDS))
        moving, rectify = np.array(self.sensor_to_camera), np.array(self.rectification)
        ahead = np.stack([np.cos(boxes[:, 6]), np.sin(boxes[:, 6]), 0 * boxes[:, 6]], axis=1)
        bottom = boxes[:, 3:6] - boxes[:, :1] / 2 * np.array([0.0, 0.0, 1.0])
        places = (bottom @ moving[:, :3].T + moving[:, 3]) @ rectify.T
        ways = ahead @ (rectify @ moving[:, :3]).T
        yaw = np.arctan2(-ways[:, 2], ways[:, 0])
        return np.column_stack([boxes[:, :3], places, yaw]).astype(np.float32)


def corners_of(solids: NDArray[np.floating]) -> NDArray[np.float64]:
    """The corners of solid boxes, (n, 7): float64 (n, 8, 3), metres, in the order of `CORNERS`."""
    solids = np.asarray(solids, dtype=np.float64).reshape(-1, len(SOLID_FIELDS))
    height, width, length, _, _, _, yaw = solids.T
    offsets = CORNERS * np.stack([length, height, width], axis=1)[:, None]
    cos, sin, zero = np.cos(yaw), np.sin(yaw), np.zeros_like(yaw)
    one = zero + 1
    turn = np.array([[cos, zero, sin], [zero, one, zero], [-sin, zero, cos]])
    turned: NDArray[np.float64] = np.einsum("ijn,ncj->nci", turn, offsets)
    return turned + solids[:, None, 3:6]


def _before_camera(ends: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cut edges, both ends (n, 12, 2, 3), off at the near plane; NaN where one lies behind it."""
    depth = ends[..., 2]
    other = ends[..., ::-1, :]
    behind = depth < NEAR_METRES
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (NEAR_METRES - depth) / (other[..., 2] - depth)
        cut = ends + share[..., None] * (other - ends)
    cut[behind.all(axis=-1)] = np.nan
    return np.where(behind[..., None], cut, ends)
