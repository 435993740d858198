"""Which boxes of a camera and a ranging sensor should have a partner, and have none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from records import RecordError
from records.checks import check_name
from records.finding import DETECTIONS, Box

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from records import Detections
    from records.range_boxes import RangeBoxes

Boxes = "NDArray[np.float32]"


@dataclass(frozen=True, slots=True)
class AgreeSettings:
    """Which boxes must have a partner.

    Attributes:
        sensor: The name of the ranging sensor's output, its stream.
        class_name: The class that both models find.
        width: Width of the image, pixels.
        height: Height of the image, pixels.
        overlap: Two boxes are partners from this intersection over union on, 0..1.
        least_height: Lower boxes need no partner, pixels.
        farthest_metres: The sensor's boxes that stand farther ahead need no partner.
        least_visible: A box needs a partner if at least this share of it is visible, 0..1.
        cut_visible: The share that counts as visible of a box that the image's edge cuts, 0..1.
        edge_pixels: A box this near to the image's edge is cut by it.
        covering_score: A nearer box of the sensor covers others from this score on, 0..1, or if
            the camera saw it too.
        trusted_score: Of the camera's boxes: from this score on the sensor has missed the object.
        trusted_sensor_score: Of the sensor's boxes: from this score on the camera has missed the
            object; above 1 never, since a LIDAR model's scores are seldom calibrated.
        ignored: Regions of the image in which nothing needs a partner.
        ignored_share: A box lies in such a region by this share of its area, 0..1.

    Raises:
        RecordError: a setting is out of its range.
    """

    sensor: str = "lidar"
    class_name: str = "car"
    width: int = 1242
    height: int = 375
    overlap: float = 0.3
    least_height: float = 16.0
    farthest_metres: float = 70.0
    least_visible: float = 0.3
    cut_visible: float = 0.5
    edge_pixels: float = 1.0
    covering_score: float = 0.9
    trusted_score: float = 0.7
    trusted_sensor_score: float = 2.0
    ignored: tuple[Box, ...] = ()
    ignored_share: float = 0.5

    def __post_init__(self) -> None:
        check_name("sensor", self.sensor)
        check_name("class_name", self.class_name)
        if self.sensor == DETECTIONS:
            raise RecordError(f"sensor must be another output than the camera's, {DETECTIONS}")
        shares = ("overlap", "least_visible", "cut_visible", "covering_score", "ignored_share")
        for name in shares:
            if not 0 < getattr(self, name) <= 1:
                raise RecordError(
                    f"{name} must be above 0 and at most 1, got {getattr(self, name)}"
                )
        for name in ("width", "height", "farthest_metres"):
            if not getattr(self, name) > 0:
                raise RecordError(f"{name} must be above 0, got {getattr(self, name)}")
        for name in ("least_height", "edge_pixels", "trusted_score", "trusted_sensor_score"):
            if not getattr(self, name) >= 0:
                raise RecordError(f"{name} must be at least 0, got {getattr(self, name)}")


class Alone(NamedTuple):
    """A box that should have a partner and has none.

    Attributes:
        output: Whose box it is: the camera's, or the sensor's name.
        place: Its place among the boxes of that output.
        visible: The share of it that could be seen, 0..1.
    """

    output: str
    place: int
    visible: float


def without_partner(camera: Detections, scan: RangeBoxes, settings: AgreeSettings) -> list[Alone]:
    """The boxes without a partner where both could see the object.

    Args:
        camera: The camera's boxes of the class.
        scan: The sensor's boxes of the class.
        settings: Which boxes must have a partner.

    >>> from records import Detections
    >>> from records.range_boxes import RangeBoxes
    >>> seen = Detections.of([[100, 100, 200, 180], [400, 90, 500, 180]], [1, 1], ["car"] * 2)
    >>> ranged = Detections.of([[102, 98, 204, 180]], [0.99], ["car"])
    >>> solid = np.array([[1.5, 1.6, 4, -8, 1, 12, 0]], np.float32)
    >>> scan = RangeBoxes("lidar", 0, 0, ranged, solid)
    >>> without_partner(seen, scan, AgreeSettings())
    [Alone(output='detections', place=1, visible=1.0)]
    """
    overlap_nm = overlaps(camera.boxes, scan.boxes.boxes)
    partner_n = partners(overlap_nm, settings.overlap)
    partner_m = np.full(len(scan), -1)
    partner_m[partner_n[partner_n >= 0]] = np.flatnonzero(partner_n >= 0)
    covering = (partner_m >= 0) | (scan.boxes.scores >= settings.covering_score)
    visible_n = _uncut(camera.boxes, settings)
    visible_m = _uncut(scan.boxes.boxes, settings) * (1 - _covered(scan, covering))
    visible_m[scan.depths > settings.farthest_metres] = 0
    return [
        Alone(output, int(place), float(visible[place]))
        for output, partner, visible in (
            (DETECTIONS, partner_n, visible_n),
            (settings.sensor, partner_m, visible_m),
        )
        for place in np.flatnonzero((partner < 0) & (visible >= settings.least_visible))
    ]


def overlaps(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    """Intersection over union of each box of (n, 4) with each of (m, 4): float64 (n, m)."""
    shared = _shared_areas(a, b)
    both = _areas(a)[:, None] + _areas(b)[None] - shared
    return np.divide(shared, both, out=np.zeros_like(shared), where=both > 0)


def partners(overlap_nm: NDArray[np.float64], least: float) -> NDArray[np.int64]:
    """Pair rows with columns one to one, the greatest overlaps first.

    Args:
        overlap_nm: float64 (n, m), 0..1.
        least: The least overlap of a pair, above 0.

    Returns:
        int64 (n,), the column of each row; -1 for none.
    """
    found = np.full(len(overlap_nm), -1)
    taken: set[int] = set()
    rows, columns = np.nonzero(overlap_nm >= least)
    order = np.argsort(-overlap_nm[rows, columns], kind="stable")
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if found[row] < 0 and column not in taken:
            found[row] = column
            taken.add(column)
    return found


def _uncut(boxes: NDArray[np.float32], settings: AgreeSettings) -> NDArray[np.float64]:
    """The share of each box that could be seen as far as the image goes; 0 where it is too low."""
    edge, last = settings.edge_pixels, np.array([settings.width - 1, settings.height - 1])
    inside = np.hstack([np.clip(boxes[:, :2], 0, last), np.clip(boxes[:, 2:], 0, last)])
    cut = (boxes[:, :2] <= edge).any(axis=1) | (boxes[:, 2:] >= last - edge).any(axis=1)
    visible = np.where(cut, settings.cut_visible, 1.0)
    visible[inside[:, 3] - inside[:, 1] < settings.least_height] = 0
    visible[_areas(inside) <= 0] = 0
    if settings.ignored:
        ignored = _shared_areas(inside, np.array(settings.ignored, np.float32)).max(axis=1)
        visible[ignored >= settings.ignored_share * _areas(inside)] = 0
    return visible


def _covered(scan: RangeBoxes, covering: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The greatest share of each of the sensor's boxes that one nearer box covers, float64 (m,)."""
    boxes = scan.boxes.boxes
    area = _areas(boxes)
    shared = _shared_areas(boxes, boxes)
    nearer = scan.depths[None] < scan.depths[:, None]
    share = np.divide(shared, area[:, None], out=np.zeros_like(shared), where=area[:, None] > 0)
    most: NDArray[np.float64] = np.max(share, axis=1, initial=0.0, where=nearer & covering[None])
    return most


def _areas(boxes: NDArray[np.float32]) -> NDArray[np.float64]:
    sides = boxes[:, 2:].astype(np.float64) - boxes[:, :2]
    return sides[:, 0] * sides[:, 1]


def _shared_areas(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    low = np.maximum(a[:, None, :2], b[None, :, :2]).astype(np.float64)
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    sides = np.clip(high - low, 0, None)
    return sides[..., 0] * sides[..., 1]
