"""The loss of a head: YOLOX's (Ge et al. 2021, section 2.1), over cached features.

Legend: ``b`` pictures, ``a`` anchors, ``k`` trained classes, ``p`` anchors that answer for an
object, of all pictures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from models.detectors.head_graph import BOXES, CLASSES, OBJECTNESS
from models.detectors.onnx import LARGEST_LOG_SIZE, STRIDES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from models.detectors.head_assignment import Grid
    from models.detectors.head_features import CachedPicture

BOX_WEIGHT = 5.0
"""The weight of the boxes in the loss; YOLOX's own."""

LEAST_AREA = 1e-9
"""Keeps a quotient of areas finite, square pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class _Answers:
    """What a head says: logits, and boxes as YOLOX codes them."""

    classes_bak: torch.Tensor
    boxes_ba4: torch.Tensor
    objectness_ba: torch.Tensor


class HeadLoss:
    """The loss for the weights of a head.

    Args:
        grid: The detector's anchors.
        columns: The trained classes, places in the detector's vocabulary.
    """

    def __init__(self, grid: Grid, columns: Sequence[int]) -> None:
        self._cells, self._strides = map(torch.from_numpy, (grid.cells_a2, grid.strides_a1))
        self._columns = torch.tensor(columns)

    def __call__(
        self, weights: Mapping[str, torch.Tensor], pictures: Sequence[CachedPicture]
    ) -> torch.Tensor:
        """The loss on some pictures, a scalar.

        Args:
            weights: By name, as `head_shapes` says.
            pictures: At least one.
        """
        said = self._answers(weights, pictures)
        targets = [picture.targets for picture in pictures]
        counts = torch.tensor([len(one.anchors_p) for one in targets])
        rows_p = torch.arange(len(pictures)).repeat_interleave(counts)
        anchors_p, columns_p, overlaps_p, boxes_p4, known = (
            torch.from_numpy(np.concatenate(parts))
            for parts in zip(
                *((t.anchors_p, t.columns_p, t.overlaps_p, t.boxes_p4, t.known_a) for t in targets),
                strict=True,
            )
        )
        objects = torch.zeros_like(said.objectness_ba)
        objects[rows_p, anchors_p] = 1
        wanted = functional.one_hot(columns_p, len(self._columns)) * overlaps_p[:, None]
        found = self._decode(said.boxes_ba4[rows_p, anchors_p], anchors_p)
        loss: torch.Tensor = (
            _cross_entropy(said.objectness_ba, objects, known.view_as(objects).float())
            + _cross_entropy(said.classes_bak[rows_p, anchors_p], wanted)
            + BOX_WEIGHT * (1 - _overlaps(found, boxes_p4).square()).sum()
        )
        return loss / max(len(rows_p), 1)

    def _answers(
        self, weights: Mapping[str, torch.Tensor], pictures: Sequence[CachedPicture]
    ) -> _Answers:
        features = [
            torch.from_numpy(np.stack(level)).float()
            for level in zip(*(picture.features for picture in pictures), strict=True)
        ]

        def answers(part: str, offset: int) -> torch.Tensor:
            rows = self._columns if part == CLASSES else slice(None)
            return torch.cat(
                [
                    functional.linear(
                        features[2 * level + offset],
                        weights[f"{part}.{level}.weight"][rows, :, 0, 0],
                        weights[f"{part}.{level}.bias"][rows],
                    )
                    for level in range(len(STRIDES))
                ],
                dim=1,
            )

        return _Answers(answers(CLASSES, 0), answers(BOXES, 1), answers(OBJECTNESS, 1)[:, :, 0])

    def _decode(self, coded_p4: torch.Tensor, anchors_p: torch.Tensor) -> torch.Tensor:
        """Corners, (p, 4), pixels of the network's input."""
        strides = self._strides[anchors_p]
        centres = (coded_p4[:, :2] + self._cells[anchors_p]) * strides
        halves = coded_p4[:, 2:].clamp(max=LARGEST_LOG_SIZE).exp() * strides / 2
        return torch.cat([centres - halves, centres + halves], dim=1)


def _cross_entropy(
    logits: torch.Tensor, wanted: torch.Tensor, weight: torch.Tensor | None = None
) -> torch.Tensor:
    return functional.binary_cross_entropy_with_logits(logits, wanted, weight, reduction="sum")


def _overlaps(a_p4: torch.Tensor, b_p4: torch.Tensor) -> torch.Tensor:
    """The intersection over union of each box and its partner, (p,)."""
    corners = torch.minimum(a_p4[:, 2:], b_p4[:, 2:]) - torch.maximum(a_p4[:, :2], b_p4[:, :2])
    shared = corners.clamp(min=0).prod(dim=1)
    areas = [(one[:, 2:] - one[:, :2]).prod(dim=1) for one in (a_p4, b_p4)]
    return shared / (areas[0] + areas[1] - shared + LEAST_AREA)
