"""From a torch module to a graph, through ``torch.export``."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING

import torch
from torch.export.graph_signature import InputKind

from models.soap.builder import (
    BufferReference,
    Builder,
    ParameterReference,
    shape_of,
)
from models.soap.graph import Graph, Source
from models.soap.translate import translate
from records import RecordError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn
    from torch.export import ExportedProgram

_VIEWS = frozenset(
    {"alias", "detach", "expand", "expand_as", "flatten", "permute", "reshape", "select", "slice"}
    | {"squeeze", "transpose", "unflatten", "unsqueeze", "view"}
)
"""Torch operators whose results may share memory with their input."""


def trace(model: nn.Module, example: Sequence[Tensor]) -> Graph:
    """The operators of one training step of a model, for inputs of the example's shapes.

    Args:
        model: The model, in ``train()``; it is not changed.
        example: Its inputs. Only their shapes and dtypes matter.

    Returns:
        The graph; its sources are named like the arguments of the model's ``forward``. It has no
        loss yet.

    Raises:
        RecordError: the model cannot be traced, or uses an operator that cannot be split.
    """
    try:
        program = torch.export.export(model, tuple(example))
    except (RuntimeError, TypeError, ValueError) as error:
        raise RecordError(f"the model must be one that torch.export traces: {error}") from error
    shapes = {name: tuple(value.shape) for name, value in model.named_parameters()}
    placeholders = [node for node in program.graph.nodes if node.op == "placeholder"]
    given = zip(placeholders, program.graph_signature.input_specs, strict=True)
    # Torch does not update a parameter that no operator reads, not even by weight decay.
    used = {s.target for node, s in given if s.kind is InputKind.PARAMETER and node.users}
    builder = Builder({name: shape for name, shape in shapes.items() if name in used})
    _read_placeholders(builder, program)
    outputs: tuple[str, ...] = ()
    for node in program.graph.nodes:
        if node.op == "call_function":
            _read_call(builder, node)
        elif node.op == "output":
            # Buffers that the model changed come before the values that it returns.
            specs = program.graph_signature.output_specs
            returned = [
                n for n, s in zip(node.args[0], specs, strict=True) if s.kind.name == "USER_OUTPUT"
            ]
            outputs = tuple(builder.tensor(value) for value in returned)
    return Graph(
        sources=tuple(builder.sources),
        parameters=builder.parameters(),
        nodes=tuple(builder.nodes),
        outputs=outputs,
        running=tuple(builder.running),
        counters=tuple(builder.counters),
    )


def _read_placeholders(builder: Builder, program: ExportedProgram) -> None:
    placeholders = [node for node in program.graph.nodes if node.op == "placeholder"]
    for node, spec in zip(placeholders, program.graph_signature.input_specs, strict=True):
        if spec.kind is InputKind.PARAMETER:
            builder.values[node] = ParameterReference(str(spec.target))
        elif spec.kind is InputKind.BUFFER:
            builder.values[node] = BufferReference(str(spec.target))
        elif spec.kind is InputKind.USER_INPUT:
            builder.sources.append(Source(node.name, shape_of(node)))
            builder.values[node] = node.name
        else:
            raise RecordError(
                f"the model must hold its tensors as parameters and buffers, got '{node.name}'"
            )


def _read_call(builder: Builder, node: torch.fx.Node) -> None:
    target = node.target
    if target is operator.getitem:
        builder.values[node] = translate(builder, node, "getitem")
        return
    namespace, packet, overload = str(target).split(".")
    in_place = packet.endswith("_")
    if in_place:
        _check_in_place(node)
    name = f"{namespace}.{packet.removesuffix('_')}.{overload}"
    builder.values[node] = translate(builder, node, name)
    changed = node.args[0] if in_place else None
    if isinstance(changed, torch.fx.Node) and not builder.is_buffer(changed):
        # Whoever reads the changed tensor later reads the result.
        builder.values[changed] = builder.values[node]


def _check_in_place(node: torch.fx.Node) -> None:
    """Refuse a change in place that other names of the same memory would show."""
    changed = node.args[0]
    assert isinstance(changed, torch.fx.Node)
    shared = [user for user in changed.users if _is_view(user)]
    if _is_view(changed):
        shared += [user for user in changed.args[0].users if user is not changed]  # type: ignore[union-attr]  # a view's first argument is a node
    if shared:
        raise RecordError(
            f"'{node.name}' must not change a tensor in place of which there are views, "
            f"got {[user.name for user in shared]}. Use inplace=False"
        )


def _is_view(node: torch.fx.Node) -> bool:
    parts = str(node.target).split(".")
    return len(parts) == 3 and parts[1] in _VIEWS
