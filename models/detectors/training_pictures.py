"""What trainings of detectors share: labelled pictures, their order, and the course of the loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from models.model_files import data_sha256

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from records import Detections

    Pictures = Sequence[tuple[NDArray[np.uint8], Detections]]


def pictures_sha256(pictures: Pictures) -> str:
    """Which pictures and labels were trained on."""
    parts: list[NDArray[np.generic]] = []
    for picture, labels in pictures:
        names = np.frombuffer("\n".join(labels.classes).encode(), dtype=np.uint8)
        parts += [picture, labels.boxes, labels.scores, names]
    return data_sha256(*parts)


def batch_of(step: int, count: int, size: int, seed: int) -> list[int]:
    """Which pictures a step takes; each pass over them has an order of its own.

    Args:
        step: The step, from 0.
        count: The pictures.
        size: The pictures of a step; the last of a pass may have fewer.
        seed: The orders follow from it.

    >>> sorted(batch_of(0, 3, 2, 0) + batch_of(1, 3, 2, 0))
    [0, 1, 2]
    """
    epoch, place = divmod(step, -(-count // size))
    order = np.random.default_rng((seed, epoch)).permutation(count).tolist()
    return list(order[place * size : (place + 1) * size])


def course(losses: Sequence[float]) -> dict[str, float]:
    """The mean loss of the first and of the last tenth of the steps.

    >>> course([3.0, 2.0, 1.0])
    {'first_loss': 3.0, 'last_loss': 1.0}
    """
    few = -(-len(losses) // 10)
    return {
        "first_loss": float(np.mean(losses[:few])),
        "last_loss": float(np.mean(losses[-few:])),
    }
