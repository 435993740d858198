"""What a training by plan minimises, and with which optimiser."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch.nn import functional

from models.soap.losses import NO_CLASS
from models.soap.trace import trace
from records import RecordError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from models.soap.graph import Graph

MOMENTUM_BUFFER = ("momentum_buffer",)
"""What torch's SGD keeps of each parameter, if it has momentum."""

ADAMW_MOMENTS = ("exp_avg", "exp_avg_sq")
"""What torch's AdamW keeps of each parameter."""


@dataclass(frozen=True, slots=True)
class OptimiserSettings:
    """An optimiser that treats each element of the parameters by itself.

    Attributes:
        kind: ``sgd`` or ``adamw`` (Loshchilov and Hutter 2019), as torch has them.
        learning_rate: Of the steps that name no other.
        momentum: Of SGD, 0..1.
        weight_decay: At least 0; decoupled with AdamW.

    Raises:
        RecordError: a value is out of range.
    """

    kind: Literal["sgd", "adamw"] = "adamw"
    learning_rate: float = 1e-3
    momentum: float = 0.0
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in {"sgd", "adamw"}:
            raise RecordError(f"kind must be sgd or adamw, got {self.kind!r}")
        for name in ("learning_rate", "weight_decay"):
            if not 0 <= getattr(self, name) < math.inf:
                raise RecordError(f"{name} must be at least 0, got {getattr(self, name)}")
        if not 0 <= self.momentum <= 1:
            raise RecordError(f"momentum must be in 0..1, got {self.momentum}")

    @property
    def moments(self) -> tuple[str, ...]:
        """The names of the tensors that it keeps of each parameter."""
        if self.kind == "adamw":
            return ADAMW_MOMENTS
        return MOMENTUM_BUFFER if self.momentum else ()

    def make(self, parameters: list[Tensor]) -> torch.optim.Optimizer:
        """The optimiser of these parameters."""
        if self.kind == "adamw":
            return torch.optim.AdamW(parameters, self.learning_rate, weight_decay=self.weight_decay)
        return torch.optim.SGD(
            parameters, self.learning_rate, self.momentum, weight_decay=self.weight_decay
        )


@dataclass(frozen=True, slots=True)
class LossSettings:
    """What is minimised.

    Attributes:
        kind: ``cross_entropy``, of a model with one output, or ``squared_error``; both means.
        class_axis: The axis of the classes, for cross entropy.
        weights: The weight of each class, for cross entropy; empty for equal ones.
        ignored: The target that counts for nothing, for cross entropy.
        smoothing: Share of each target that is spread over all classes, for cross entropy, 0..1.

    Raises:
        RecordError: the kind is none of these.
    """

    kind: Literal["cross_entropy", "squared_error"] = "cross_entropy"
    class_axis: int = 1
    weights: tuple[float, ...] = ()
    ignored: int = NO_CLASS
    smoothing: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in {"cross_entropy", "squared_error"}:
            raise RecordError(f"kind must be cross_entropy or squared_error, got {self.kind!r}")

    def graph(self, model: nn.Module, inputs: Sequence[Tensor]) -> Graph:
        """The graph of a model with this loss, for inputs of these shapes.

        Raises:
            RecordError: the model cannot be traced or split; see `trace.trace`.
        """
        graph = trace(model, inputs)
        if self.kind == "squared_error":
            return graph.with_squared_error()
        return graph.with_cross_entropy(
            class_axis=self.class_axis,
            weights=self.weights,
            ignored=self.ignored,
            smoothing=self.smoothing,
        )

    def of(self, outputs: Tensor | Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
        """The loss of a model's outputs on one device, as the graph computes it."""
        every = [outputs] if isinstance(outputs, torch.Tensor) else list(outputs)
        if self.kind == "squared_error":
            losses = [
                functional.mse_loss(output, target)
                for output, target in zip(every, targets, strict=True)
            ]
            return torch.stack(losses).sum()
        (logits,), (target,) = every, targets
        weights = torch.tensor(self.weights, dtype=logits.dtype) if self.weights else None
        return functional.cross_entropy(
            logits.movedim(self.class_axis, 1),
            target,
            weights,
            ignore_index=self.ignored,
            label_smoothing=self.smoothing,
        )
