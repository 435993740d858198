"""How torch's operators on shapes become operators that can be split."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.soap.builder import Builder, Value, arguments_of, is_floating, shape_of
from models.soap.regions import Box
from models.soap.shapes import Concatenation, Crop, Expansion, Permutation, Reshape
from records import RecordError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch.fx import Node


def _same(builder: Builder, node: Node) -> Value:
    return builder.tensor(node.args[0])


def _reshape(builder: Builder, node: Node) -> Value:
    reshape = Reshape(shape_of(node.args[0]), shape_of(node))
    return _moved(builder, node, reshape)


def _concatenation(builder: Builder, node: Node) -> Value:
    given = arguments_of(node)
    shapes = tuple(shape_of(tensor) for tensor in given["tensors"])
    join = Concatenation(shapes, given["dim"] % len(shapes[0]))
    inputs = [builder.tensor(tensor) for tensor in given["tensors"]]
    return builder.add(node.name, join, inputs, floating=is_floating(node))


def _transpose(builder: Builder, node: Node) -> Value:
    given = arguments_of(node)
    inputs = shape_of(node.args[0])
    order = list(range(len(inputs)))
    if "dims" in given:
        order = [axis % len(inputs) for axis in given["dims"]]
    else:
        first, second = given["dim0"] % len(inputs), given["dim1"] % len(inputs)
        order[first], order[second] = second, first
    return _moved(builder, node, Permutation(inputs, tuple(order)))


def _expansion(builder: Builder, node: Node) -> Value:
    return _moved(builder, node, Expansion(shape_of(node.args[0]), shape_of(node)))


def _slice(builder: Builder, node: Node) -> Value:
    given = arguments_of(node)
    if given["step"] != 1:
        raise RecordError(f"'{node.name}' must take neighbours, got a step of {given['step']}")
    inputs = shape_of(node.args[0])
    axis = given["dim"] % len(inputs)
    start, stop, _ = slice(given["start"], given["end"]).indices(inputs[axis])
    if (start, stop) == (0, inputs[axis]):
        return builder.tensor(node.args[0])
    return _moved(builder, node, Crop(Box.whole(inputs).replace(axis, (start, stop))))


def _selection(builder: Builder, node: Node) -> Value:
    given = arguments_of(node)
    inputs = shape_of(node.args[0])
    axis = given["dim"] % len(inputs)
    index = given["index"] % inputs[axis]
    crop = Crop(Box.whole(inputs).replace(axis, (index, index + 1)))
    kept = builder.add(
        f"{node.name}.kept", crop, [builder.tensor(node.args[0])], floating=is_floating(node)
    )
    reshape = Reshape(crop.shape, shape_of(node))
    return builder.add(node.name, reshape, [kept], floating=is_floating(node))


def _moved(builder: Builder, node: Node, moved: Reshape | Permutation | Expansion | Crop) -> Value:
    inputs = [builder.tensor(node.args[0])]
    return builder.add(node.name, moved, inputs, floating=is_floating(node))


SHAPE_TRANSLATORS: dict[str, Callable[[Builder, Node], Value]] = {
    **{f"aten.{name}.default": _same for name in ("alias", "clone", "contiguous")},
    **{
        f"aten.{name}": _reshape
        for name in (
            "flatten.using_ints", "view.default", "reshape.default", "unsqueeze.default",
            "squeeze.dim", "squeeze.dims", "squeeze.default", "unflatten.int",
        )
    },
    "aten.cat.default": _concatenation,
    "aten.transpose.int": _transpose,
    "aten.permute.default": _transpose,
    "aten.expand.default": _expansion,
    "aten.expand_as.default": _expansion,
    "aten.slice.Tensor": _slice,
    "aten.select.int": _selection,
}  # fmt: skip
"""By the name of torch's operator."""
