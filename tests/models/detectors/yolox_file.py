"""Writes a tiny YOLOX with weights that nobody trained, by the names that YOLOX's export gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import helper, numpy_helper

from models.detectors.head_graph import BOXES, CLASSES, OBJECTNESS, OUTPUTS, head_shapes
from models.detectors.onnx import STRIDES

if TYPE_CHECKING:
    from pathlib import Path

CHANNELS = 6
"""Channels of the features."""

SIDE = 64
"""Side of the input, pixels."""

OPSET = 13
"""The version of the operators."""


def write_tiny_yolox(path: Path, batch: int | str = 1, seed: int = 0, skip: str = "") -> None:
    """Write the network: each stride sees the mean colours of its cells.

    Args:
        path: Where.
        batch: The batch; text for a free one.
        seed: Of the weights.
        skip: The weight that gets another name.
    """
    rng = np.random.default_rng(seed)
    weights = {
        name: rng.normal(0, 0.5, shape).astype(np.float32)
        for name, shape in head_shapes(CHANNELS).items()
    }
    for level in range(len(STRIDES)):
        for part in (OBJECTNESS, CLASSES):
            weights[f"{part}.{level}.bias"] -= 3
        # All classes are much alike, and boxes much like the cells.
        for part in (CLASSES, BOXES):
            weights[f"{part}.{level}.weight"] *= np.float32(0.1)
        weights[f"{BOXES}.{level}.bias"] = np.array([0.5, 0.5, 0, 0], dtype=np.float32)
    nodes, outputs = [], []
    for level, stride in enumerate(STRIDES):
        size = [stride, stride]
        mean = f"mean{level}"
        nodes.append(
            helper.make_node("AveragePool", ["images"], [mean], kernel_shape=size, strides=size)
        )
        for branch in ("classes", "boxes"):
            name = f"{branch}{level}"
            weights[name] = rng.normal(0, 0.01, (CHANNELS, 3, 1, 1)).astype(np.float32)
            nodes.append(helper.make_node("Conv", [mean, name], [f"{name}.conv"]))
            nodes.append(helper.make_node("Tanh", [f"{name}.conv"], [f"{name}.features"]))
        parts = []
        for part, branch in ((BOXES, "boxes"), (OBJECTNESS, "boxes"), (CLASSES, "classes")):
            names = [f"{part}.{level}.{kind}" for kind in ("weight", "bias")]
            out = f"{part}.{level}.out"
            nodes.append(helper.make_node("Conv", [f"{branch}{level}.features", *names], [out]))
            if part != BOXES:
                nodes.append(helper.make_node("Sigmoid", [out], [f"{out}.sigmoid"]))
                out = f"{out}.sigmoid"
            parts.append(out)
        nodes.append(helper.make_node("Concat", parts, [f"level{level}"], axis=1))
        nodes.append(helper.make_node("Reshape", [f"level{level}", "flat"], [f"flat{level}"]))
        outputs.append(f"flat{level}")
    nodes.append(helper.make_node("Concat", outputs, ["all"], axis=2))
    nodes.append(helper.make_node("Transpose", ["all"], ["output"], perm=[0, 2, 1]))
    fields = sum(OUTPUTS.values())
    anchors = sum((SIDE // stride) ** 2 for stride in STRIDES)
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, [batch, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("output", onnx.TensorProto.FLOAT, [batch, anchors, fields])],
        [
            *(numpy_helper.from_array(value, name) for name, value in weights.items()),
            numpy_helper.from_array(np.array([0, fields, -1], dtype=np.int64), "flat"),
        ],
    )
    if skip:
        _rename(graph, skip)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    path.write_bytes(model.SerializeToString())


def _rename(graph: onnx.GraphProto, name: str) -> None:
    for one in graph.initializer:
        if one.name == name:
            one.name = "other"
    for node in graph.node:
        node.input[:] = ["other" if each == name else each for each in node.input]
