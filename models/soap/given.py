"""What a step is given: the model's state, the batch, and dropout's random numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from records import RecordError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from models.soap.graph import Graph, Source
    from models.soap.plan import Plan


def check_state(graph: Graph, plan: Plan, rank: int, state: Mapping[str, Tensor]) -> None:
    """Make sure that a model's state, its graph and a plan fit each other.

    Raises:
        RecordError: they do not; the message names what is wrong.
    """
    if not graph.losses:
        raise RecordError("the graph must have a loss. Use with_cross_entropy or another")
    if not graph.parameters:
        raise RecordError("the graph must have a parameter to train, got none")
    if not 0 <= rank < plan.devices:
        raise RecordError(f"rank must be in 0..{plan.devices - 1}, got {rank}")
    names = [s.buffer for s in graph.running] + list(graph.counters)
    missing = [p.name for p in graph.parameters if p.name not in state]
    missing += [name for name in names if name not in state]
    if missing:
        raise RecordError(f"state must hold every parameter and buffer, missing are {missing}")
    for parameter in graph.parameters:
        value = state[parameter.name]
        if tuple(value.shape) != parameter.shape or not value.is_floating_point():
            raise RecordError(
                f"state['{parameter.name}'] must be floating {parameter.shape}, "
                f"got {value.dtype} {tuple(value.shape)}"
            )
    dtypes = {str(state[parameter.name].dtype) for parameter in graph.parameters}
    if len(dtypes) != 1:
        raise RecordError(f"all parameters must have one dtype, got {sorted(dtypes)}")


def sources_of(
    graph: Graph, batch: Mapping[str, Tensor], seed: int, like: Tensor
) -> dict[str, Tensor]:
    """The graph's sources, whole: the parts of the batch and dropout's factors.

    Args:
        graph: The graph.
        batch: The parts of the batch by name.
        seed: Of dropout's random numbers.
        like: A tensor of the model's dtype and device, which the sources get.

    Raises:
        RecordError: a part of the batch is missing or has another shape.
    """
    sources = {}
    for source in graph.sources:
        if source.drop is not None:
            continue
        value = batch.get(source.name)
        if value is None or tuple(value.shape) != source.shape:
            got = "nothing" if value is None else tuple(value.shape)
            raise RecordError(f"batch must hold '{source.name}' of shape {source.shape}, got {got}")
        dtype = like.dtype if value.is_floating_point() else value.dtype
        sources[source.name] = value.to(like.device, dtype)
    noises = [source for source in graph.sources if source.drop is not None]
    return {**sources, **_draw(noises, seed, like)}


def _draw(noises: Sequence[Source], seed: int, like: Tensor) -> dict[str, Tensor]:
    """Dropout's factors, whole, from the random numbers that one device would draw."""
    if not noises:
        return {}
    drawn = {}
    devices = [like.device] if like.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        for source in noises:
            ones = torch.empty_strided(
                source.shape, source.strides, dtype=like.dtype, device=like.device
            ).fill_(1)
            drawn[source.name] = functional.dropout(ones, source.drop or 0.0, training=True)
    return drawn
