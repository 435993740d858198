from __future__ import annotations

import numpy as np
import pytest

from records import Detections, RecordError
from records.range_boxes import RangeBoxes

BOXES = Detections.of([[0, 0, 9, 9], [5, 5, 8, 8]], [0.5, 0.25], ["car", "car"])
SOLIDS = np.array([[1.5, 1.6, 4, 0, 1, 20, 0], [1.5, 1.6, 4, 0, 1, 10, 0]], np.float32)


def test_boxes_have_depths_and_can_be_selected() -> None:
    scan = RangeBoxes("roof", 3, 7, BOXES, SOLIDS)
    assert (len(scan), scan.id, scan.depths.tolist()) == (2, "roof:3", [20, 10])
    nearer = scan.select(scan.depths < 15)
    assert nearer == RangeBoxes("roof", 3, 7, BOXES.select(np.array([1])), SOLIDS[1:])
    assert nearer != scan
    assert scan != "roof:3"


@pytest.mark.parametrize(
    ("boxes", "solids", "problem"),
    [
        ([], SOLIDS, "boxes must be Detections, got list"),
        (BOXES, SOLIDS[:1], r"solids must be a float32 array of shape (2, 7), got float32 (1, 7)"),
        (BOXES, None, r"solids must be a float32 array of shape (2, 7), got NoneType"),
        (BOXES, SOLIDS + np.float32(np.inf), "solids must be finite, with heights, widths and "
         "lengths above 0"),
        (BOXES, -SOLIDS, "solids must be finite, with heights, widths and lengths above 0"),
    ],
)  # fmt: skip
def test_what_is_no_scan_is_refused(boxes: object, solids: object, problem: str) -> None:
    with pytest.raises(RecordError) as caught:
        RangeBoxes("roof", 0, 0, boxes, solids)  # type: ignore[arg-type]
    assert str(caught.value) == problem
