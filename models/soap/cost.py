"""What computing a part takes: measured on this machine, or bounded by a device's peaks.

FlexFlow, section 5.2: an operator's time depends on its sizes and hardly on its data, so that each
operator is measured once for each size of a part and each kind of device, and never again.
"""

from __future__ import annotations

import hashlib
import json
import math
import statistics
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import torch
from torch import distributed

from models.soap.dense import Embedding, Linear, MatrixProduct
from models.soap.losses import CrossEntropy
from models.soap.means import AveragePool
from models.soap.recurrent import GATES, LstmStep
from models.soap.windows import Convolution
from records import RecordError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from torch import Tensor

    from models.soap.graph import Graph, Node
    from models.soap.machine import Machine
    from models.soap.ranks import Ranks
    from models.soap.regions import Box
    from models.soap.space import Operator

FLOAT_BYTES = 4
"""Bytes of an element of single precision, in which models train."""

MEASURE_SECONDS = 0.012
"""How long a part is measured for, seconds."""

FEWEST_REPEATS, MOST_REPEATS = 5, 200
"""How often it is computed in that time."""

WARM_REPEATS = 2
"""How often it is computed before, so that memory and code are there."""

MOST_COST_BYTES = 64 * 1024 * 1024
"""The largest file of costs that is read, bytes."""

Seconds = tuple[float, float]
"""Forward and backward."""


class Costs(Protocol):
    """What computing a part takes."""

    def seconds(self, node: Node, part: Box, device: int) -> Seconds:
        """Forward and backward time of a part on a device, seconds."""
        ...


@dataclass(frozen=True, slots=True)
class Work:
    """A part to compute.

    Attributes:
        operator: The operator.
        part: The box of its space.
        gradients: For each input and parameter, whether it takes a gradient.
        floating: Whether the output is of floating point.
    """

    operator: Operator
    part: Box
    gradients: tuple[bool, ...]
    floating: bool = True

    @property
    def signature(self) -> str:
        """The same text for parts that take the same time."""
        operator = self.operator
        if isinstance(operator, LstmStep):
            # Every step of a sequence takes the same time.
            operator = replace(operator, place=0)
        needs = [need.shape for need in self.operator.needs(self.part)]
        text = repr((operator, self.part.shape, needs, self.gradients))
        digest = hashlib.sha256(text.encode()).hexdigest()[:24]
        return f"{type(operator).__name__} {'x'.join(map(str, self.part.shape))} {digest}"


def goes_back(graph: Graph, node: Node) -> bool:
    """Whether a node has a backward pass."""
    return node.name in graph.reaching and node.name in graph.trained


def work_of(graph: Graph, node: Node, part: Box) -> Work:
    """A part of a node, and what of it takes gradients in a step."""
    inputs = tuple(name in graph.trained for name in node.inputs)
    gradients = (*inputs, *[True] * len(node.parameters))
    if not goes_back(graph, node):
        gradients = (False,) * len(gradients)
    return Work(node.operator, part, gradients, node.floating)


def example_inputs(work: Work, device: str = "cpu") -> list[Tensor]:
    """Tensors like those that a part reads; those that take gradients ask for them.

    Args:
        work: The part.
        device: Where they are; "meta" for tensors without elements.
    """
    generator = torch.Generator().manual_seed(0)
    found = []
    for place, need in enumerate(work.operator.needs(work.part)):
        operator, shape = work.operator, need.shape
        if isinstance(operator, Embedding) and place == 0:
            value = torch.randint(operator.rows, shape, generator=generator)
        elif isinstance(operator, CrossEntropy) and place > 0:
            classes = operator.inputs[operator.class_axis]
            value = torch.randint(classes, shape, generator=generator)
        elif not work.floating:
            value = torch.ones(shape, dtype=torch.int64)
        else:
            value = torch.empty(shape, device=device)
            if device != "meta":
                value.uniform_(generator=generator)
        found.append(value.to(device).requires_grad_(work.gradients[place]))
    return found


def measure(rank: int, works: Sequence[Work]) -> list[Seconds]:
    """Measure parts on a rank while all other ranks compute the same.

    Each part runs as in a step: forward with gradients on, backward, and its gradients added up.

    Returns:
        The medians, forward and backward, seconds.
    """
    together = distributed.is_initialized() and distributed.get_world_size() > 1
    found = []
    for work in works:
        read = example_inputs(work)
        for _ in range(WARM_REPEATS):
            _once(work, read)
        if together:
            distributed.barrier()
        times: list[Seconds] = []
        until = time.perf_counter() + MEASURE_SECONDS
        while len(times) < FEWEST_REPEATS or (
            time.perf_counter() < until and len(times) < MOST_REPEATS
        ):
            times.append(_once(work, read))
        forward, backward = zip(*times, strict=True)
        found.append((statistics.median(forward), statistics.median(backward)))
    return found


def _once(work: Work, read: Sequence[Tensor]) -> Seconds:
    begin = time.perf_counter()
    leaves = [value.detach().requires_grad_(value.requires_grad) for value in read]
    with torch.enable_grad():
        result = work.operator.forward(work.part, leaves)
    middle = time.perf_counter()
    asked = [leaf for leaf in leaves if leaf.requires_grad]
    if not asked:
        return middle - begin, 0.0
    given = torch.ones_like(result)
    begin_backward = time.perf_counter()
    for leaf, gradient in zip(
        asked, torch.autograd.grad(result, asked, given, allow_unused=True), strict=True
    ):
        if gradient is not None:
            torch.zeros_like(leaf).add_(gradient)
    return middle - begin, time.perf_counter() - begin_backward


class MeasuredCosts:
    """Costs measured on ranks of this machine, each once, and kept in a file.

    Args:
        graph: The graph whose nodes are asked for.
        ranks: Who measures; all ranks compute at the same time, as in a step.
        path: A file of costs, read now and written by `save`; None keeps them in memory only.

    Raises:
        RecordError: the file is not one that `save` wrote.
    """

    def __init__(self, graph: Graph, ranks: Ranks, path: Path | None = None) -> None:
        self._graph, self._ranks, self._path = graph, ranks, path
        self._works: dict[tuple[str, Box], str] = {}
        self._found = _read(path) if path is not None and path.exists() else {}

    def seconds(self, node: Node, part: Box, device: int) -> Seconds:
        """Forward and backward time of a part, seconds; measured now if it never was.

        Raises:
            RecordError: there is no rank for the device.
        """
        if not 0 <= device < self._ranks.settings.count:
            raise RecordError(
                f"device must be in 0..{self._ranks.settings.count - 1}, got {device}"
            )
        signature = self._works.get((node.name, part))
        if signature is None:
            work = work_of(self._graph, node, part)
            signature = self._works[node.name, part] = work.signature
            if signature not in self._found:
                self._measure([work])
        return self._found[signature]

    def prepare(self, parts: Iterable[tuple[Node, Box]]) -> None:
        """Measure many parts in one go, those that never were."""
        works = [work_of(self._graph, node, part) for node, part in parts]
        wanted = {work.signature: work for work in works}
        self._measure([work for key, work in wanted.items() if key not in self._found])

    def save(self) -> None:
        """Write what was measured to the file, in one piece."""
        if self._path is None:
            return
        written = self._path.with_suffix(".part")
        written.write_text(json.dumps(self._found, indent=0, sort_keys=True), encoding="utf-8")
        written.replace(self._path)

    def _measure(self, works: Sequence[Work]) -> None:
        if not works:
            return
        by_rank = self._ranks.run(measure, list(works))
        for place, work in enumerate(works):
            forward, backward = zip(*(each[place] for each in by_rank), strict=True)
            self._found[work.signature] = (statistics.mean(forward), statistics.mean(backward))


class AnalyticCosts:
    """Lower bounds by a device's peaks: of arithmetic, of memory and of starting an operator.

    The roofline model (Williams, Waterman and Patterson, CACM 2009). Backward, each tensor that
    takes a gradient costs as much as the forward pass.

    Args:
        graph: The graph whose nodes are asked for.
        machine: The devices.
    """

    def __init__(self, graph: Graph, machine: Machine) -> None:
        self._graph, self._machine = graph, machine

    def seconds(self, node: Node, part: Box, device: int) -> Seconds:
        """Forward and backward time of a part on a device, seconds."""
        on = self._machine.devices[device]
        work = work_of(self._graph, node, part)
        elements = sum(need.elements for need in node.operator.needs(part))
        elements += node.operator.output(part).elements
        moving = elements * FLOAT_BYTES / on.memory_bytes_per_second
        forward = max(flops(node.operator, part) / on.flops, moving, on.launch_seconds)
        # A bias adds nothing that counts.
        takers = min(sum(work.gradients), 2)
        return forward, forward * takers


def flops(operator: Operator, part: Box) -> int:
    """Floating-point operations of a part, forward; a multiplication and an addition are two.

    >>> from models.soap.regions import Box
    >>> flops(Linear((8, 16), 4, bias=True), Box(((0, 8), (0, 4), (0, 16))))
    1024
    """
    if isinstance(operator, Convolution):
        return 2 * part.elements * math.prod(operator.windows.kernel)
    if isinstance(operator, (Linear, MatrixProduct)):
        return 2 * part.elements
    if isinstance(operator, LstmStep):
        inner = operator.inputs[-1] + (operator.channels if operator.follows else 0)
        _, samples, channels = part.shape
        return 2 * samples * channels * GATES * inner
    if isinstance(operator, AveragePool):
        return 2 * operator.needs(part)[0].elements
    return part.elements


def _read(path: Path) -> dict[str, Seconds]:
    with path.open("rb") as file:
        data = file.read(MOST_COST_BYTES + 1)
    if len(data) > MOST_COST_BYTES:
        raise RecordError(f"a file of costs must have at most {MOST_COST_BYTES} bytes: '{path}'")
    try:
        found = {key: (float(f), float(b)) for key, (f, b) in json.loads(data).items()}
    except (AttributeError, OverflowError, RecursionError, TypeError, ValueError) as error:
        raise RecordError(
            f"a file of costs must be one that was saved here, got '{path}': {error}. Delete it"
        ) from error
    wrong = [key for key, both in found.items() if not all(0 <= t < math.inf for t in both)]
    if wrong:
        raise RecordError(f"costs must be at least 0 and finite, those of {wrong} are not")
    return found
