"""Average precision by faster-coco-eval, the COCO protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from faster_coco_eval import COCO, COCOeval_faster

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from records import Detections

AP50 = 1
"""Where COCO's list of statistics holds the average precision at an IoU of 0.5."""


def average_precision_50(
    truth: Sequence[NDArray[np.float32]], found: Sequence[Detections], name: str
) -> float:
    """Average precision of one class at an intersection over union of 0.5.

    Args:
        truth: The true boxes of each image, (n, 4) x1, y1, x2, y2 in pixels.
        found: What the detector found in each image, in the same order.
        name: The class to judge.
    """
    annotations = [_box(i, box) for i, boxes in enumerate(truth) for box in boxes.tolist()]
    for number, annotation in enumerate(annotations, 1):
        annotation.update(id=number, iscrowd=0, area=annotation["bbox"][2] * annotation["bbox"][3])
    known = COCO(
        {
            "images": [{"id": i} for i in range(len(truth))],
            "categories": [{"id": 1, "name": name}],
            "annotations": annotations,
        }
    )
    results = [
        _box(i, box) | {"score": score}
        for i, detections in enumerate(found)
        for box, score in _pairs(detections.of_classes([name]))
    ]
    evaluation = COCOeval_faster(known, known.loadRes(results), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return float(evaluation.stats[AP50])


def _pairs(detections: Detections) -> list[tuple[list[float], float]]:
    return list(zip(detections.boxes.tolist(), detections.scores.tolist(), strict=True))


def _box(image: int, box: list[float]) -> dict[str, Any]:
    x1, y1, x2, y2 = box
    return {"image_id": image, "category_id": 1, "bbox": [x1, y1, x2 - x1, y2 - y1]}
