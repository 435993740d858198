"""The network that classifies ECG: one-dimensional, residual, one output every 256 samples.

In the spirit of Hannun et al., Nature Medicine 25 (2019), Methods and extended data figure 1:
residual blocks of two convolutions with batch normalisation, ReLU and dropout, and a shortcut of
max pooling. Theirs has 33 convolutions for 64,000 patients; this one is small enough to be trained
on one core in minutes. Every convolution that steps is symmetric about what it stands for, so an
output depends on as much signal before its window as after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from records import DetectorError

if TYPE_CHECKING:
    from torch import Tensor

STEP = 4
"""How many samples each stage makes one of."""

STAGES = 3
"""Stages after the first convolution."""

WINDOW: int = STEP ** (STAGES + 1)
"""Samples of one output: 256, as in Hannun et al."""

FIRST_KERNEL = 16
"""Length of the first convolution, samples (53 ms at 300 Hz), the kernel of Hannun et al."""

STEP_KERNEL = 8
"""Length of the other convolutions that step."""

MOST_CHANNELS = 256
"""The most channels of a layer."""

KERNELS = (3, 5, 7, 9)
"""The lengths that convolutions which do not step may have."""


@dataclass(frozen=True, slots=True)
class EcgArchitecture:
    """The shape of an ECG network.

    Attributes:
        channels: Channels after the first convolution and after each of the three stages, each
            1..256.
        kernel: Length of the convolutions that do not step: 3, 5, 7 or 9.
        last_kernel: The same for the last stage, where a sample stands for 256.
        dropout: Share of inputs left out in training, 0..0.9.

    Raises:
        DetectorError: a value is none of these; the message names the field.

    >>> EcgArchitecture().reach
    2430
    """

    channels: tuple[int, int, int, int] = (32, 48, 64, 64)
    kernel: int = 7
    last_kernel: int = 5
    dropout: float = 0.3

    def __post_init__(self) -> None:
        ok = isinstance(self.channels, tuple) and len(self.channels) == STAGES + 1
        if not ok or not all(type(n) is int and 1 <= n <= MOST_CHANNELS for n in self.channels):
            raise DetectorError(
                f"channels must be {STAGES + 1} whole numbers in 1..{MOST_CHANNELS}, "
                f"got {self.channels!r}"
            )
        for field in ("kernel", "last_kernel"):
            if type(getattr(self, field)) is not int or getattr(self, field) not in KERNELS:
                raise DetectorError(
                    f"{field} must be one of {KERNELS}, got {getattr(self, field)!r}"
                )
        if not isinstance(self.dropout, int | float) or not 0 <= self.dropout <= 0.9:
            raise DetectorError(f"dropout must be in 0..0.9, got {self.dropout!r}")

    @property
    def kernels(self) -> tuple[int, ...]:
        """The length of the convolutions that do not step, for each stage."""
        return (*[self.kernel] * (STAGES - 1), self.last_kernel)

    @property
    def reach(self) -> int:
        """How many samples before and after its window an output depends on."""
        reach = _padding(FIRST_KERNEL)
        for stage, kernel in enumerate(self.kernels, 1):
            # The stage's convolutions: one that steps, then three that do not.
            reach += _padding(STEP_KERNEL) * STEP**stage + 3 * (kernel // 2) * STEP ** (stage + 1)
        return reach


class EcgNetwork(nn.Module):
    """From float32 (n, 1, samples) to logits (n, classes, samples // 256).

    Args:
        architecture: Its shape.
        classes: How many classes.
    """

    def __init__(self, architecture: EcgArchitecture, classes: int) -> None:
        super().__init__()
        self.classes = classes
        first, *rest = architecture.channels
        parts: list[nn.Module] = [_stepping(1, first, FIRST_KERNEL), nn.BatchNorm1d(first)]
        parts.append(nn.ReLU())
        before = first
        for after, kernel in zip(rest, architecture.kernels, strict=True):
            parts.append(_Residual(before, after, kernel, architecture.dropout, steps=True))
            parts.append(_Residual(after, after, kernel, architecture.dropout, steps=False))
            before = after
        parts.append(nn.Conv1d(before, classes, 1))
        self.layers = nn.Sequential(*parts)

    def forward(self, signals: Tensor) -> Tensor:
        """Logits of each whole window."""
        logits: Tensor = self.layers(signals[..., : signals.shape[-1] // WINDOW * WINDOW])
        return logits


class _Residual(nn.Module):
    """Two convolutions, and a shortcut around them; the first may step."""

    def __init__(
        self, before: int, after: int, kernel: int, dropout: float, *, steps: bool
    ) -> None:
        super().__init__()
        self.first = (
            _stepping(before, after, STEP_KERNEL) if steps else _resting(before, after, kernel)
        )
        self.first_norm = nn.BatchNorm1d(after)
        self.dropout = nn.Dropout(dropout)
        self.second = _resting(after, after, kernel)
        self.second_norm = nn.BatchNorm1d(after)
        self.shortcut = (
            nn.Sequential(nn.MaxPool1d(STEP), nn.Conv1d(before, after, 1, bias=False))
            if steps
            else nn.Identity()
        )

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.dropout(functional.relu(self.first_norm(self.first(inputs))))
        return functional.relu(self.second_norm(self.second(hidden)) + self.shortcut(inputs))


def build_ecg_network(architecture: EcgArchitecture, classes: int) -> EcgNetwork:
    """Lay out a network without weights, on torch's ``meta`` device: nothing is allocated.

    >>> network = build_ecg_network(EcgArchitecture(), classes=4)
    >>> sum(parameter.numel() for parameter in network.parameters())
    276420
    """
    with torch.device("meta"):
        return EcgNetwork(architecture, classes)


def _padding(kernel: int) -> int:
    return (kernel - STEP) // 2


def _stepping(before: int, after: int, kernel: int) -> nn.Conv1d:
    return nn.Conv1d(before, after, kernel, stride=STEP, padding=_padding(kernel), bias=False)


def _resting(before: int, after: int, kernel: int) -> nn.Conv1d:
    return nn.Conv1d(before, after, kernel, padding=kernel // 2, bias=False)
