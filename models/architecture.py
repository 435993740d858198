"""The family of small convolutional networks that specialise in one camera and one question.

NoScope (Kang et al., VLDB 2017, section 6) searches {2, 4} convolutional layers, {16, 32, 64}
filters and {32, 64, 128, 256} dense units at 50 to 65 pixels. Here the first layer steps by two
pixels, which saves three quarters of its work, and later
layers may be depthwise separable (MobileNet, Howard et al. 2017).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from records import DetectorError

LAYERS = (2, 4)
"""How many convolutional layers a network may have."""

FILTERS = (16, 32, 64)
"""How many filters its first layers may have; the upper two of four layers have twice as many."""

DENSE = (32, 64, 128, 256)
"""How many units its dense layer may have."""

SMALLEST_SIZE, LARGEST_SIZE = 50, 65
"""The side of its square input, pixels."""

MOST_COUNTED = 64
"""The highest count that a head may tell apart."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """The shape of a specialised network.

    Attributes:
        layers: Convolutional layers, 2 or 4.
        filters: Filters of the first layer, 16, 32 or 64.
        dense: Units of the dense layer, 32, 64, 128 or 256.
        size: Side of the square input, 50..65 pixels.
        depthwise: Whether the layers after the first are depthwise separable.

    Raises:
        DetectorError: a value is none of these; the message names the field.

    >>> Architecture(layers=2, filters=16).name
    '2x16-32-64px'
    """

    layers: int = 2
    filters: int = 16
    dense: int = 32
    size: int = 64
    depthwise: bool = False

    def __post_init__(self) -> None:
        choices = {
            "layers": LAYERS,
            "filters": FILTERS,
            "dense": DENSE,
            "size": range(SMALLEST_SIZE, LARGEST_SIZE + 1),
            "depthwise": (False, True),
        }
        for field, allowed in choices.items():
            value = getattr(self, field)
            kind = bool if field == "depthwise" else int
            if type(value) is not kind or value not in allowed:
                text = f"one of {allowed}" if isinstance(allowed, tuple) else "in 50..65"
                raise DetectorError(f"{field} must be {text}, got {value!r}")

    @property
    def name(self) -> str:
        """Layers x filters, dense units, side: ``2x16-32-64px``; ``dw`` where depthwise."""
        kind = "dw" if self.depthwise else ""
        return f"{self.layers}x{self.filters}{kind}-{self.dense}-{self.size}px"


def build_network(architecture: Architecture, most_counted: int) -> nn.Sequential:
    """Lay out a network without weights, on torch's ``meta`` device: nothing is allocated.

    Args:
        architecture: Its shape.
        most_counted: The highest count told apart; more counts as this.

    Returns:
        From float32 (n, 3, size, size) to logits (n, most_counted + 1).

    Raises:
        DetectorError: `most_counted` is out of range.

    >>> network = build_network(Architecture(), most_counted=1)
    >>> sum(parameter.numel() for parameter in network.parameters())
    35634
    """
    if type(most_counted) is not int or not 1 <= most_counted <= MOST_COUNTED:
        raise DetectorError(f"most_counted must be in 1..{MOST_COUNTED}, got {most_counted!r}")
    filters = architecture.filters
    side = (architecture.size + 1) // 2
    with torch.device("meta"):
        parts: list[nn.Module] = [nn.Conv2d(3, filters, 3, stride=2, padding=1), nn.ReLU()]
        for layer in range(1, architecture.layers):
            if layer % 2 == (architecture.layers == 2):
                parts.append(nn.MaxPool2d(2))
                side //= 2
            wider = 2 * architecture.filters if layer >= LAYERS[0] else architecture.filters
            parts += _convolution(filters, wider, depthwise=architecture.depthwise)
            filters = wider
        parts += [nn.MaxPool2d(2), nn.Flatten()]
        side //= 2
        parts += [nn.Linear(filters * side * side, architecture.dense), nn.ReLU()]
        parts.append(nn.Linear(architecture.dense, most_counted + 1))
    return nn.Sequential(*parts)


def _convolution(inputs: int, outputs: int, *, depthwise: bool) -> list[nn.Module]:
    if not depthwise:
        return [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
    return [
        nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs),
        nn.Conv2d(inputs, outputs, 1),
        nn.ReLU(),
    ]
