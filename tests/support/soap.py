"""Small networks, random plans, and the step of one device to compare with."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.mobilenetv3 import InvertedResidual, InvertedResidualConfig
from torchvision.models.resnet import BasicBlock

from models.architecture import Architecture, build_network
from models.ecg_network import EcgArchitecture, EcgNetwork
from models.soap import nets
from models.soap.execute import Execution
from models.soap.plan import Partition, Plan
from models.soap.space import Dimension, Kind
from models.soap.trace import trace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from models.soap.graph import Graph

RATE, MOMENTUM = 0.05, 0.9
SEEDS = (11, 12)
"""The seeds of the two steps."""


def _specialised() -> nn.Module:
    network = build_network(Architecture(layers=4, size=50, depthwise=True), 3)
    network = network.to_empty(device="cpu")
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.1)
    return network


def _residual() -> nn.Module:
    shortcut = nn.Sequential(nn.Conv2d(4, 6, 1, stride=2, bias=False), nn.BatchNorm2d(6))
    return nn.Sequential(
        nn.Conv2d(3, 4, 7, stride=2, padding=3, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, stride=2, padding=1),
        BasicBlock(4, 6, stride=2, downsample=shortcut),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 3),
    )


def _mobile() -> nn.Module:
    block = InvertedResidualConfig(4, 5, 8, 4, True, "HS", 1, 1, 1.0)  # noqa: FBT003
    block.expanded_channels = 8
    block.input_channels = block.out_channels = 4
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2, padding=1),
        nn.Hardswish(inplace=True),
        InvertedResidual(block, nn.BatchNorm2d),
        nn.Conv2d(4, 6, 3, padding=2, dilation=2, groups=2),
        nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False),
        nn.AdaptiveAvgPool2d((2, 3)),
        nn.Flatten(),
        nn.Dropout(0.2, inplace=True),
        nn.Linear(36, 3),
    )


@dataclass(frozen=True)
class Case:
    """A network and the shapes of its inputs; `classes` is the range of whole-numbered ones."""

    build: Callable[[], nn.Module]
    shapes: tuple[tuple[int, ...], ...]
    class_axis: int = 1
    classes: int = 0


CASES = {
    "perceptron": Case(lambda: nets.perceptron(5, 7, 3), ((5, 5),)),
    "specialised": Case(_specialised, ((2, 3, 50, 50),)),
    "ecg": Case(
        lambda: EcgNetwork(EcgArchitecture(channels=(3, 4, 4, 4), dropout=0.2), 3), ((3, 1, 1024),)
    ),
    "residual": Case(_residual, ((3, 3, 24, 20),)),
    "mobile": Case(_mobile, ((3, 3, 14, 18),)),
    "alexnet": Case(lambda: nets.alexnet(2, 3), ((3, 3, 33, 36),)),
    "inception": Case(lambda: nets.inception(3, 3), ((3, 3, 12, 10),)),
    "translator": Case(lambda: nets.Translator(9, 4), ((3, 4), (3, 3)), -1, 9),
}


@dataclass(frozen=True)
class Reference:
    """What one device computes in two steps with momentum."""

    graph: Graph
    state: dict[str, Tensor]
    batch: dict[str, Tensor]
    losses: list[float]
    gradients: list[dict[str, Tensor]]
    after: dict[str, Tensor]


def optimiser(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, RATE, MOMENTUM)


GRAPHS: dict[str, Graph] = {}
"""Traced once; ranks are told, since tracing takes longer than what they run."""


def graph_of(name: str) -> Graph:
    if name not in GRAPHS:
        case = CASES[name]
        kind = torch.int64 if case.classes else torch.float32
        inputs = [torch.zeros(shape, dtype=kind) for shape in case.shapes]
        graph = trace(case.build().train(), inputs)
        GRAPHS[name] = graph.with_cross_entropy(class_axis=case.class_axis)
    return GRAPHS[name]


def remember(rank: int, name: str, graph: Graph) -> None:
    GRAPHS[name] = graph


@functools.cache
def reference(name: str, dtype: torch.dtype) -> Reference:
    case, graph = CASES[name], graph_of(name)
    torch.manual_seed(5)
    model = case.build().to(dtype).train()
    inputs = [
        torch.randint(case.classes, shape) if case.classes else torch.randn(shape, dtype=dtype)
        for shape in case.shapes
    ]
    target = graph.source_by_name["target"].shape
    batch = dict(zip((s.name for s in graph.sources if s.drop is None), inputs, strict=False))
    batch["target"] = torch.randint(3, target)
    state = {key: value.clone() for key, value in model.state_dict().items()}
    descent = optimiser(model.parameters())
    losses, gradients = [], []
    for seed in SEEDS:
        torch.manual_seed(seed)
        descent.zero_grad()
        logits = model(*inputs).movedim(case.class_axis, 1)
        loss = functional.cross_entropy(logits, batch["target"])
        loss.backward()
        losses.append(loss.item())
        gradients.append(
            {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
        )
        descent.step()
    return Reference(graph, state, batch, losses, gradients, model.state_dict())


def distance(got: dict[str, Tensor], want: dict[str, Tensor]) -> float:
    """The largest difference of a tensor, over its own size or, if larger, a typical one."""
    assert got.keys() == want.keys()
    typical = max(float(value.double().norm()) for value in want.values()) / 10
    return max(
        float((got[name] - value).double().norm()) / max(float(value.double().norm()), typical)
        for name, value in want.items()
    )


def compare(rank: int, name: str, dtype: str, text: str) -> float:
    """Two steps by a plan on this rank: the largest relative difference from one device."""
    want = reference(name, getattr(torch, dtype))
    execution = Execution(want.graph, Plan.from_json(text), rank, want.state, optimiser)
    found = []
    for seed, loss, gradients in zip(SEEDS, want.losses, want.gradients, strict=True):
        before = torch.random.get_rng_state()
        found.append(abs(execution.step(want.batch, seed) - loss) / abs(loss))
        assert torch.equal(torch.random.get_rng_state(), before)
        found.append(distance(execution.gradients(), gradients))
    found.append(distance(execution.state(), want.after))
    return max(found)


MOST_RANGES = 3
MOST_PARTS = 6
SHARES = (0.1, 0.3, 0.6)


def random_plan(graph: Graph, devices: int, seed: int) -> Plan:
    """A plan that splits anything anywhere; how much, and over which devices, varies."""
    seeds = np.random.default_rng(seed).integers(2**32, size=len(graph.groups)).tolist()
    share = SHARES[seed % len(SHARES)]
    partitions = {
        name: random_partition(dimensions, devices, own, share)
        for (name, dimensions), own in zip(graph.groups.items(), seeds, strict=True)
    }
    return Plan(devices, partitions)


def random_partition(
    dimensions: Sequence[Dimension], devices: int, seed: int, share: float = 0.6
) -> Partition:
    random = np.random.default_rng(seed)
    parts = 1
    cuts: list[tuple[int, ...]] = [()] * len(dimensions)
    for place in random.permutation(len(dimensions)).tolist():
        if random.random() < share:
            cuts[place] = _random_cuts(dimensions[place], MOST_PARTS // parts, random)
            parts *= len(cuts[place]) + 1
    among = random.permutation(devices)[: random.integers(1, devices + 1)]
    return Partition(tuple(cuts), tuple(random.choice(among, parts).tolist()))


def _random_cuts(dimension: Dimension, most: int, random: np.random.Generator) -> Any:
    if dimension.kind is Kind.WHOLE:
        return ()
    places = np.arange(dimension.step, dimension.size, dimension.step)
    count = min(int(random.integers(1, MOST_RANGES)), most - 1, len(places))
    return tuple(sorted(random.choice(places, count, replace=False).tolist()))


def die_in_training(rank: int, name: str, text: str, dying: int) -> None:
    """Train; one rank ends without a word between two steps."""
    want = reference(name, torch.float32)
    execution = Execution(want.graph, Plan.from_json(text), rank, want.state, optimiser)
    execution.step(want.batch, 0)
    if rank == dying:
        os._exit(7)
    execution.step(want.batch, 1)
