"""What specialised networks are trained on, and how it is weighed and scaled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.training_settings import TrainSettings

MOST_WEIGHT = 10.0
"""A frame of the rarer answer weighs at most this many times as much as without balance."""

LEAST_DEVIATION = 1.0
"""Differences from the mean picture are not blown up beyond one grey level, the sensor's noise."""


@dataclass(frozen=True, slots=True, eq=False)
class TrainingData:
    """What a network is trained on.

    Attributes:
        images: RGB, uint8 (n, size, size, 3), in order of time.
        counts: integer (n,), what is to be told of each.
        seen: bool (n,), which are trained on; the others are for validation.
    """

    images: NDArray[np.uint8]
    counts: NDArray[np.integer[Any]]
    seen: NDArray[np.bool_]


def balance(labels: NDArray[np.int64], settings: TrainSettings) -> torch.Tensor:
    """The weight of each count, so that both answers to the predicate weigh the same in all."""
    share = float((labels >= settings.at_least).mean())
    weights = np.full(settings.most_counted + 1, min(0.5 / (1 - share), MOST_WEIGHT))
    weights[settings.at_least :] = min(0.5 / share, MOST_WEIGHT)
    return torch.from_numpy(weights.astype(np.float32))


def deviation(images: NDArray[np.uint8], mean: NDArray[np.float32]) -> float:
    """The standard deviation from the mean picture, grey levels, at least `LEAST_DEVIATION`.

    A chunk of images at a time.
    """
    squares = [
        float(np.square(images[i : i + 256] - mean).sum(dtype=np.float64))
        for i in range(0, len(images), 256)
    ]
    return max(float(np.sqrt(sum(squares) / images.size)), LEAST_DEVIATION)
