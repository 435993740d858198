"""How the operators of torch become operators that can be split."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from models.soap.builder import Builder, LayerStates, Value, arguments_of, is_floating, shape_of
from models.soap.dense import Embedding, Linear, MatrixProduct
from models.soap.graph import RunningStatistic
from models.soap.means import (
    AveragePool,
    Mean,
    Normalise,
    Variance,
    adaptive_windows,
    sliding_windows,
)
from models.soap.pointwise import Call, Linewise, Operand, Pointwise
from models.soap.translate_lstm import translate_lstm
from models.soap.translate_shapes import SHAPE_TRANSLATORS
from models.soap.windows import Convolution, MaxPool, Windows
from records import RecordError

if TYPE_CHECKING:
    from torch._ops import OpOverload
    from torch.fx import Node

    from models.soap.regions import Shape

Translator = Callable[[Builder, "Node"], Value]


def translate(builder: Builder, node: Node, name: str) -> Value:
    """Append what computes the same as a call in the trace.

    Args:
        builder: The graph so far.
        node: The call.
        name: The torch operator without the mark of a change in place: ``aten.relu.default``.

    Raises:
        RecordError: the operator, or a setting of it, is not supported; the message names it.
    """
    if node.target is operator.getitem:
        values = builder.values[node.args[0]]  # type: ignore[index]  # the trace is well formed
        assert isinstance(values, tuple)
        return values[node.args[1]]  # type: ignore[index,no-any-return]  # likewise
    if name in _TRANSLATORS:
        return _TRANSLATORS[name](builder, node)
    packet, _, overload = name.removeprefix("aten.").partition(".")
    called = getattr(getattr(torch.ops.aten, packet, None), overload, None)
    if called is not None and _is_pointwise(called, name):
        return _pointwise(builder, node, f"{packet}.{overload}")
    raise RecordError(
        f"'{node.name}' must be an operator that can be split, got {node.target}. "
        "Supported are convolutions, pooling, dense layers, batch normalisation, LSTM, embedding, "
        "softmax, dropout, operators on single elements and on shapes"
    )


_POINTWISE = frozenset({"aten.hardswish.default"})
"""Operators on single elements that torch does not tag as such."""


def _is_pointwise(called: OpOverload, name: str) -> bool:
    tagged = torch.Tag.pointwise in called.tags or name in _POINTWISE
    return tagged and torch.Tag.nondeterministic_seeded not in called.tags


def _pointwise(builder: Builder, node: Node, overload: str) -> Value:
    if overload.startswith("add.") and builder.is_buffer(node.args[0]):
        builder.counters.append(builder.buffer(node.args[0]))
        return None
    inputs: list[str] = []
    shapes: list[Shape] = []
    arguments: list[object] = []
    for argument in node.args:
        if isinstance(argument, torch.fx.Node):
            arguments.append(Operand(len(inputs)))
            inputs.append(builder.tensor(argument))
            shapes.append(shape_of(argument))
        else:
            arguments.append(argument)
    if any(isinstance(value, torch.fx.Node) for value in node.kwargs.values()):
        raise RecordError(f"'{node.name}' must get its tensors by place, got {node.kwargs}")
    call = Call(overload, tuple(arguments), tuple(node.kwargs.items()))
    return builder.add(
        node.name,
        Pointwise(call, tuple(shapes), shape_of(node)),
        inputs,
        floating=is_floating(node),
    )


def _convolution(builder: Builder, node: Node) -> Value:
    given = arguments_of(node)
    inputs, weight = shape_of(given["input"]), shape_of(given["weight"])
    axes = len(weight) - 2
    if len(inputs) != len(weight):
        raise RecordError(f"'{node.name}' must convolve a batch, got shape {inputs}")
    stride, dilation = _each(given["stride"], axes), _each(given["dilation"], axes)
    padding = given["padding"]
    if isinstance(padding, str):
        around = [
            d * (k - 1) * (padding == "same") for d, k in zip(dilation, weight[2:], strict=True)
        ]
        if any(both % 2 for both in around):
            raise RecordError(
                f"'{node.name}' must pad both sides alike, got kernel {weight[2:]} and 'same'"
            )
        padding = [both // 2 for both in around]
    windows = Windows(weight[2:], stride, _each(padding, axes), dilation)
    bias = given["bias"] is not None
    parameters = [builder.parameter(given["weight"])]
    parameters += [builder.parameter(given["bias"])] if bias else []
    convolution = Convolution(inputs, weight[0], windows, given["groups"], bias)
    return builder.add(node.name, convolution, [builder.tensor(given["input"])], parameters)


def _max_pool(builder: Builder, node: Node) -> Value:
    given = arguments_of(node)
    inputs = shape_of(given["input"])
    axes = len(inputs) - 2
    windows = Windows(
        _each(given["kernel_size"], axes),
        _each(given["stride"] or given["kernel_size"], axes),
        _each(given["padding"], axes),
        _each(given["dilation"], axes),
    )
    pool = MaxPool(inputs, windows, given["ceil_mode"])
    return builder.add(node.name, pool, [builder.tensor(given["input"])])


def _average_pool(builder: Builder, node: Node) -> Value:
    given = arguments_of(node)
    if given.get("divisor_override") is not None:
        raise RecordError(f"'{node.name}' must divide by the size of its windows")
    inputs, outputs = shape_of(given["input"]), shape_of(node)
    axes = len(inputs) - 2
    settings = zip(
        inputs[2:],
        outputs[2:],
        _each(given["kernel_size"], axes),
        _each(given["stride"] or given["kernel_size"], axes),
        _each(given["padding"], axes),
        strict=True,
    )
    count = given["count_include_pad"]
    windows = tuple(sliding_windows(*axis, count_padding=count) for axis in settings)
    return builder.add(node.name, AveragePool(inputs, windows), [builder.tensor(given["input"])])


def _adaptive_pool(builder: Builder, node: Node) -> Value:
    given = arguments_of(node)
    inputs, outputs = shape_of(given["input"]), shape_of(node)
    windows = tuple(map(adaptive_windows, inputs[2:], outputs[2:]))
    return builder.add(node.name, AveragePool(inputs, windows), [builder.tensor(given["input"])])


def _mean(builder: Builder, node: Node) -> Value:
    given = arguments_of(node)
    inputs = shape_of(given["input"])
    axes = tuple(sorted(axis % len(inputs) for axis in given["dim"] or range(len(inputs))))
    mean = Mean(inputs, axes, given["keepdim"])
    return builder.add(node.name, mean, [builder.tensor(given["input"])])


def _linear(builder: Builder, node: Node) -> Value:
    given = arguments_of(node)
    bias = given["bias"] is not None
    parameters = [builder.parameter(given["weight"])]
    parameters += [builder.parameter(given["bias"])] if bias else []
    linear = Linear(shape_of(given["input"]), shape_of(given["weight"])[0], bias)
    return builder.add(node.name, linear, [builder.tensor(given["input"])], parameters)


def _matrix_product(builder: Builder, node: Node) -> Value:
    left, right = node.args[:2]
    first, second = shape_of(left), shape_of(right)
    if len(first) < 3 or first[:-2] != second[:-2]:
        raise RecordError(
            f"'{node.name}' must multiply batches of as many matrices, got {first} and {second}"
        )
    product = MatrixProduct(first[:-2], first[-2], second[-1], first[-1])
    return builder.add(node.name, product, [builder.tensor(left), builder.tensor(right)])


def _embedding(builder: Builder, node: Node) -> Value:
    given = arguments_of(node)
    if given["padding_idx"] >= 0 or given["scale_grad_by_freq"] or given["sparse"]:
        raise RecordError(f"'{node.name}' must be an embedding without padding_idx, dense")
    rows, columns = shape_of(given["weight"])
    embedding = Embedding(shape_of(given["indices"]), rows, columns)
    inputs = [builder.tensor(given["indices"])]
    return builder.add(node.name, embedding, inputs, [builder.parameter(given["weight"])])


def _batch_norm(builder: Builder, node: Node) -> Value:
    given = arguments_of(node)
    inputs = shape_of(given["input"])
    if not given["training"]:
        raise RecordError(f"'{node.name}' must normalise by the batch: trace the model in train()")
    if not isinstance(given["momentum"], float):
        raise RecordError(f"'{node.name}' must have a momentum, got {given['momentum']!r}")
    source = builder.tensor(given["input"])
    axes = (0, *range(2, len(inputs)))
    mean, variance = f"{node.name}.mean", f"{node.name}.variance"
    builder.add(mean, Mean(inputs, axes), [source], group=node.name)
    builder.add(variance, Variance(inputs), [source, mean], group=node.name)
    if given["running_mean"] is not None:
        count = math.prod(inputs[axis] for axis in axes)
        scales = {"running_mean": (mean, 1.0), "running_var": (variance, count / (count - 1))}
        builder.running += [
            RunningStatistic(builder.buffer(given[name]), of, given["momentum"], scale)
            for name, (of, scale) in scales.items()
        ]
    affine = given["weight"] is not None
    parameters = [builder.parameter(given[name]) for name in ("weight", "bias") if affine]
    normalise = Normalise(inputs, given["eps"], affine)
    return builder.add(node.name, normalise, [source, mean, variance], parameters)


def _dropout(builder: Builder, node: Node) -> Value:
    given = arguments_of(node)
    source = builder.tensor(given["input"])
    if not given["train"] or given["p"] == 0:
        return source
    shape = shape_of(node)
    strides = given["input"].meta["val"].stride()
    noise = builder.noise(f"{node.name}.noise", shape, strides, given["p"])
    product = Pointwise(Call("mul.Tensor", (Operand(0), Operand(1))), (shape, shape), shape)
    return builder.add(node.name, product, [source, noise])


def _linewise(builder: Builder, node: Node) -> Value:
    given = arguments_of(node)
    inputs = shape_of(node.args[0])
    dims = given["dim"]
    axes = tuple(sorted(a % len(inputs) for a in ([dims] if isinstance(dims, int) else dims)))
    collapse = given.get("keepdim", False)
    if "keepdim" in given and not collapse:
        raise RecordError(f"'{node.name}' must keep the axes that it sums over, with size 1")
    name = str(node.target).removeprefix("aten.")
    call = Call(name, (Operand(0), *node.args[1:]), tuple(node.kwargs.items()))
    return builder.add(
        node.name, Linewise(call, inputs, axes, collapse), [builder.tensor(node.args[0])]
    )


def _zeros(builder: Builder, node: Node) -> Value:
    return LayerStates()


def _each(value: Any, axes: int) -> tuple[int, ...]:  # noqa: ANN401  # a number or a list of them
    values = [value] if isinstance(value, int) else list(value)
    return tuple(values * axes if len(values) == 1 else values)


_TRANSLATORS: dict[str, Translator] = {
    **SHAPE_TRANSLATORS,
    **{f"aten.conv{axes}d.default": _convolution for axes in (1, 2, 3)},
    **{f"aten.conv{axes}d.padding": _convolution for axes in (1, 2, 3)},
    **{f"aten.max_pool{axes}d.default": _max_pool for axes in (1, 2)},
    **{f"aten.avg_pool{axes}d.default": _average_pool for axes in (1, 2)},
    **{f"aten.adaptive_avg_pool{axes}d.default": _adaptive_pool for axes in (1, 2)},
    "aten.mean.dim": _mean,
    "aten.linear.default": _linear,
    "aten.bmm.default": _matrix_product,
    "aten.matmul.default": _matrix_product,
    "aten.embedding.default": _embedding,
    "aten.batch_norm.default": _batch_norm,
    "aten.dropout.default": _dropout,
    "aten.softmax.int": _linewise,
    "aten.log_softmax.int": _linewise,
    "aten.linalg_vector_norm.default": _linewise,
    "aten.zeros.default": _zeros,
    "aten.lstm.input": translate_lstm,
}
