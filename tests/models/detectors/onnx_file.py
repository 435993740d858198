"""Writes small ONNX files, by hand, in the format's protocol buffers (onnx.proto3).

The network takes the mean of each colour plane and gives ``mean @ weight + bias``, shaped
(batch, anchors, fields): enough to say exactly what a detector must make of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

FLOAT, INT64 = 1, 7
"""TensorProto.DataType."""

INT, INTS = 2, 7
"""AttributeProto.AttributeType."""

OPSET = 13
"""The version of the operators."""


def write_linear_model(
    path: Path,
    weight: NDArray[np.float32],
    bias: NDArray[np.float32],
    shape: tuple[int | str, ...],
) -> None:
    """Write the network.

    Args:
        path: Where.
        weight: float32 (planes, anchors, fields).
        bias: float32 (anchors, fields).
        shape: The input's shape; text names a dimension that is free.
    """
    planes, anchors, fields = weight.shape
    nodes = [
        _node("ReduceMean", ["images"], "mean", _ints("axes", [2, 3]), _int("keepdims", 0)),
        _node("MatMul", ["mean", "weight"], "product"),
        _node("Add", ["product", "bias"], "flat"),
        _node("Reshape", ["flat", "shape"], "output"),
    ]
    tensors = [
        _tensor("weight", weight.reshape(planes, -1), FLOAT),
        _tensor("bias", bias.reshape(-1), FLOAT),
        _tensor("shape", np.array([-1, anchors, fields], np.int64), INT64),
    ]
    graph = b"".join(_field(1, node) for node in nodes) + _field(2, b"linear")
    graph += b"".join(_field(5, tensor) for tensor in tensors)
    graph += _field(11, _value("images", shape))
    graph += _field(12, _value("output", (shape[0], anchors, fields)))
    path.write_bytes(_number(1, 8) + _field(7, graph) + _field(8, _number(2, OPSET)))


def _varint(value: int) -> bytes:
    out = bytearray()
    value &= 2**64 - 1
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _field(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _node(kind: str, inputs: list[str], output: str, *attributes: bytes) -> bytes:
    names = b"".join(_field(1, name.encode()) for name in inputs)
    tail = b"".join(_field(5, attribute) for attribute in attributes)
    return names + _field(2, output.encode()) + _field(4, kind.encode()) + tail


def _int(name: str, value: int) -> bytes:
    return _field(1, name.encode()) + _number(3, value) + _number(20, INT)


def _ints(name: str, values: list[int]) -> bytes:
    return _field(1, name.encode()) + b"".join(_number(8, v) for v in values) + _number(20, INTS)


def _tensor(name: str, values: NDArray[np.float32] | NDArray[np.int64], kind: int) -> bytes:
    dims = b"".join(_number(1, size) for size in values.shape)
    return dims + _number(2, kind) + _field(8, name.encode()) + _field(9, values.tobytes())


def _value(name: str, shape: tuple[int | str, ...]) -> bytes:
    dims = b"".join(
        _field(1, _number(1, size) if isinstance(size, int) else _field(2, size.encode()))
        for size in shape
    )
    kind = _field(1, _number(1, FLOAT) + _field(2, dims))
    return _field(1, name.encode()) + _field(2, kind)
