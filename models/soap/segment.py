"""A stretch of operators between exchanges, which torch's autograd goes through at one stroke.

Within it nothing is copied: what one operator computes, the next reads. At its beginning stand
leaves: parameters, what other segments computed, and what arrived from other ranks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from models.soap.stages import SourceInput

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from models.soap.regions import Box
    from models.soap.stages import NodeInput, Stage
    from models.soap.tape import Tape

Values = dict[str, list[Tensor]]
"""What this rank's parts of each operator computed."""

Gradients = dict[tuple[str, int], Tensor]
"""The gradients of these, by operator and place."""


class ParameterLeaf(NamedTuple):
    """A leaf that is a parameter, by its place among the fetched."""

    place: int


class ValueLeaf(NamedTuple):
    """A leaf that an earlier segment computed."""

    node: str
    place: int


class NeedLeaf(NamedTuple):
    """A leaf that an exchange of the segment's first stage put together."""

    delivery: int
    place: int


Leaf = ParameterLeaf | ValueLeaf | NeedLeaf


class Segment:
    """The forward pass of one stretch of stages, and what its backward pass needs.

    Args:
        tape: This rank's share of the step.
        first: The place of its first stage.
        stop: The place behind its last one.
        values: What earlier segments computed; what this one computes is added.

    Attributes:
        first: The place of its first stage.
    """

    def __init__(self, tape: Tape, first: int, stop: int, values: Values) -> None:
        self.first = first
        self._stages, self._ended = tape.stages[first:stop], tape.ended[first:stop]
        self._values = values
        self._leaves: dict[Leaf, Tensor] = {}
        self._own = {stage.node.name for stage in self._stages}

    def forward(
        self, sources: Mapping[str, Tensor], parameters: Sequence[Tensor], like: Tensor
    ) -> None:
        """Compute.

        Args:
            sources: The step's sources, whole.
            parameters: The parameters that this rank fetched and shares.
            like: A tensor of the model's dtype and device.
        """
        for stage, ended in zip(self._stages, self._ended, strict=True):
            arrived = self._arrive(stage, like)
            columns = [self._read(stage, given, sources, arrived) for given in stage.inputs]
            columns += [
                [
                    self._leaf(ParameterLeaf(place), parameters[place], trained=True)
                    for place in each
                ]
                for each in stage.parameters
            ]
            with torch.enable_grad():
                self._values[stage.node.name] = [
                    stage.node.operator.forward(part, [column[i] for column in columns])
                    for i, part in enumerate(stage.parts)
                ]
            del columns
            for name in ended:
                # What its backward pass needs of it, autograd keeps.
                del self._values[name]

    def backward(self, gradients: Gradients) -> dict[Leaf, Tensor]:
        """The gradients of its leaves.

        Args:
            gradients: Those of what it computed; they are taken out.
        """
        keys = [key for key in gradients if key[0] in self._own]
        given = [gradients.pop(key) for key in keys]
        roots = [self._values[name][place] for name, place in keys]
        leaves = {leaf: value for leaf, value in self._leaves.items() if value.requires_grad}
        self._leaves.clear()
        if not roots or not leaves:
            return {}
        found = torch.autograd.grad(roots, list(leaves.values()), given, allow_unused=True)
        return {
            leaf: gradient
            for leaf, gradient in zip(leaves, found, strict=True)
            if gradient is not None
        }

    def _arrive(self, stage: Stage, like: Tensor) -> list[list[Tensor]]:
        """What each exchange of a stage puts together; nothing where it has nothing to do."""
        arrived = []
        for delivery in stage.deliveries:
            needs: list[Tensor] = []
            if delivery.exchange.given is None:
                kind = like if delivery.floating else like.new_empty(0, dtype=torch.int64)
                held = [value.detach() for n in delivery.producers for value in self._values[n]]
                needs = delivery.exchange.forward(held, kind)
            arrived.append(needs)
        return arrived

    def _read(
        self,
        stage: Stage,
        given: SourceInput | NodeInput,
        sources: Mapping[str, Tensor],
        arrived: Sequence[Sequence[Tensor]],
    ) -> list[Tensor]:
        """One input of each part of a stage."""
        if isinstance(given, SourceInput):
            return [_region(sources[given.source], box) for box in given.boxes]
        delivery = stage.deliveries[given.delivery]
        if delivery.exchange.given is None:
            return [
                self._leaf(
                    NeedLeaf(given.delivery, place),
                    arrived[given.delivery][place],
                    trained=delivery.trained,
                )
                for place in given.places
            ]
        origins = [delivery.origins[delivery.exchange.given[place]] for place in given.places]
        return [
            self._values[name][place]
            if name in self._own
            else self._leaf(
                ValueLeaf(name, place), self._values[name][place], trained=delivery.trained
            )
            for name, place in origins
        ]

    def _leaf(self, leaf: Leaf, value: Tensor, *, trained: bool) -> Tensor:
        if leaf not in self._leaves:
            self._leaves[leaf] = value.detach().requires_grad_(trained)
        return self._leaves[leaf]


def _region(whole: Tensor, box: Box) -> Tensor:
    return whole[tuple(slice(start, stop) for start, stop in box.ranges)]
