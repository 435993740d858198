"""A long short-term memory network, unrolled: one operator for each layer and step.

FlexFlow, section 3: the operators of a recurrent network are its steps. The length cannot be
split, since a step needs the one before; sample and channel can.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional
from typing_extensions import override

from models.soap.regions import Box, Shape
from models.soap.space import Dimension, Kind, Operator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

GATES = 4
"""Input, forget, cell and output gate, in torch's order of the weights' rows."""

STATES = 2
"""Hidden and cell state; a step's output holds both, (2, sample, channel)."""


@dataclass(frozen=True, slots=True)
class LstmStep(Operator):
    """One step of one layer (Hochreiter and Schmidhuber 1997; the equations of torch's LSTM).

    Its inputs are the layer's input and, unless it starts from zeros, the step before twice (for
    its hidden and its cell state). Its parameters are the weights of the input and of the hidden
    state, seen as (4, channel, in), and two biases, (4, channel); the weights of the hidden state
    only where there is a step before.

    Attributes:
        inputs: Shape of the layer's input: a sequence with the sample at `batch_axis`, or, for
            None, the step (2, sample, channel) of the layer below.
        batch_axis: 0 or 1 for a sequence; None for a step.
        place: Which element of the sequence it reads.
        channels: Channels of its states.
        follows: Whether there is a step before.
        bias: Whether there are biases.
    """

    inputs: Shape
    batch_axis: int | None
    place: int
    channels: int
    follows: bool
    bias: bool

    @property
    @override
    def dimensions(self) -> tuple[Dimension, ...]:
        samples = self.inputs[1 if self.batch_axis is None else self.batch_axis]
        return (
            Dimension("state", STATES, Kind.WHOLE),
            Dimension("sample", samples, Kind.SAMPLE),
            Dimension("channel", self.channels, Kind.PARAMETER),
        )

    @override
    def needs(self, part: Box) -> tuple[Box, ...]:
        _, sample, channel = part.ranges
        gates, read, inner = (0, GATES), (0, self.channels), (0, self.inputs[-1])
        place = (self.place, self.place + 1)
        needs = [Box((sample, place, inner) if self.batch_axis == 0 else (place, sample, inner))]
        if self.follows:
            needs += [Box(((0, 1), sample, read)), Box(((1, 2), sample, channel))]
        needs.append(Box((gates, channel, inner)))
        if self.follows:
            needs.append(Box((gates, channel, read)))
        return (*needs, *[Box((gates, channel))] * (2 if self.bias else 0))

    @override
    def forward(self, part: Box, tensors: Sequence[Tensor]) -> Tensor:
        rest = list(tensors)
        current = rest.pop(0).squeeze(1 if self.batch_axis == 0 else 0)
        before = (rest.pop(0)[0], rest.pop(0)[0]) if self.follows else None
        sums = functional.linear(current, rest.pop(0).flatten(0, 1))
        if before is not None:
            sums = sums + functional.linear(before[0], rest.pop(0).flatten(0, 1))
        for bias in rest:
            sums = sums + bias.flatten()
        enter, forget, cell, leave = sums.chunk(GATES, dim=1)
        memory = torch.sigmoid(enter) * torch.tanh(cell)
        if before is not None:
            memory = memory + torch.sigmoid(forget) * before[1]
        return torch.stack((torch.sigmoid(leave) * torch.tanh(memory), memory))


@dataclass(frozen=True, slots=True)
class StackedSteps(Operator):
    """The hidden states of a layer's steps as one sequence. Its inputs are the steps.

    Attributes:
        steps: How many.
        samples: Size of the batch.
        channels: Channels of a state.
        batch_axis: 0 for (sample, length, channel), 1 for (length, sample, channel).
    """

    steps: int
    samples: int
    channels: int
    batch_axis: int

    @property
    @override
    def dimensions(self) -> tuple[Dimension, ...]:
        length = Dimension("length", self.steps, Kind.ATTRIBUTE)
        sample = Dimension("sample", self.samples, Kind.SAMPLE)
        channel = Dimension("channel", self.channels, Kind.ATTRIBUTE)
        return (length, sample, channel) if self.batch_axis else (sample, length, channel)

    @override
    def needs(self, part: Box) -> tuple[Box, ...]:
        length, sample = part.ranges[1 - self.batch_axis], part.ranges[self.batch_axis]
        hidden = [(0, 1) if length[0] <= step < length[1] else (0, 0) for step in range(self.steps)]
        return tuple(Box((state, sample, part.ranges[2])) for state in hidden)

    @override
    def forward(self, part: Box, tensors: Sequence[Tensor]) -> Tensor:
        stacked = torch.cat(list(tensors))
        return stacked if self.batch_axis else stacked.transpose(0, 1)
