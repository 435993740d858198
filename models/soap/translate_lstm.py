"""How torch's LSTM becomes one operator for each layer and step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from models.soap.builder import Builder, LayerStates, Value, arguments_of, shape_of
from models.soap.recurrent import GATES, LstmStep, StackedSteps
from records import RecordError

if TYPE_CHECKING:
    from torch.fx import Node


def translate_lstm(builder: Builder, node: Node) -> Value:
    """Append the steps of an LSTM; gives its output, its last hidden and its last cell states.

    Raises:
        RecordError: it has two directions, a projection, dropout between its layers, or first
            states that are neither zeros nor the last states of another LSTM.
    """
    given = arguments_of(node)
    inputs = shape_of(given["input"])
    layers, biases = given["num_layers"], given["has_biases"]
    each = 4 if biases else 2
    weights = given["params"]
    if given["bidirectional"] or given["dropout"] or len(weights) != each * layers:
        raise RecordError(
            f"'{node.name}' must be an LSTM in one direction, without projection, and without "
            "dropout between its layers. Use a module for each layer or direction"
        )
    firsts = _first_states(builder, node, given["hx"], layers)
    batch_axis = 0 if given["batch_first"] else 1
    samples, steps = inputs[batch_axis], inputs[1 - batch_axis]
    channels = shape_of(weights[1])[1]
    below: list[str] = [builder.tensor(given["input"])] * steps
    shape, axis = inputs, batch_axis
    lasts = []
    for layer in range(layers):
        parameters = [
            builder.parameter(weight, (GATES, channels, *shape_of(weight)[1:]))
            for weight in weights[each * layer : each * (layer + 1)]
        ]
        before = firsts[layer] if firsts else None
        made: list[str] = []
        for place in range(steps):
            index = 0 if layer else place
            step = LstmStep(
                shape, None if layer else axis, index, channels, before is not None, biases
            )
            past = [before, before] if before is not None else []
            read = [name for place_, name in enumerate(parameters) if place_ != 1 or past]
            name = f"{node.name}.layer{layer}.step{place}"
            before = builder.add(name, step, [below[place], *past], read)
            made.append(before)
        below, shape = made, (2, samples, channels)
        lasts.append(made[-1])
    stacked = StackedSteps(steps, samples, channels, batch_axis)
    output = builder.add(node.name, stacked, below)
    return (output, LayerStates(tuple(lasts)), LayerStates(tuple(lasts)))


def _first_states(builder: Builder, node: Node, states: list[Any], layers: int) -> tuple[str, ...]:
    found = [
        builder.values.get(state) if isinstance(state, torch.fx.Node) else None for state in states
    ]
    hidden, cell = found
    if not isinstance(hidden, LayerStates) or hidden != cell:
        raise RecordError(
            f"'{node.name}' must start from zeros or from the last states of another LSTM"
        )
    if hidden.steps and len(hidden.steps) != layers:
        raise RecordError(
            f"'{node.name}' must start from states of as many layers as it has, {layers}, "
            f"got {len(hidden.steps)}"
        )
    return hidden.steps
