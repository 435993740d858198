"""What is told of a plan: as JSON values, as tables, and for each operator."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from flows.plan import finite

if TYPE_CHECKING:
    from flows.plan import PlanResult
    from models.soap.plan import Partition
    from models.soap.simulate_timeline import Timeline
    from models.soap.space import Dimension

MOST_DEVICES_NAMED = 8
"""More devices than this are told as a number."""

OTHER = "parameters and loss"
"""The row of what moves for no single operator."""


@dataclass(frozen=True, slots=True)
class OperatorRow:
    """One operator of a plan.

    Attributes:
        name: Its name.
        kind: What it computes.
        split: The dimensions that are split, each with its degree; ``whole`` where none is.
        devices: The devices of its parts, in order.
        forward_seconds: What its busiest device computes forward, seconds.
        backward_seconds: The same backward.
        communication_bytes: What moves to bring its inputs and parameters, both ways.
    """

    name: str
    kind: str
    split: str
    devices: tuple[int, ...]
    forward_seconds: float
    backward_seconds: float
    communication_bytes: int


def plan_json(name: str, batch: int, result: PlanResult) -> dict[str, Any]:
    """The result as plain JSON values."""
    found, adoption = result.found, result.adoption
    measured: dict[str, Any] = {}
    if adoption is not None:
        steps = {name: asdict(each) for name, each in adoption.measured.items()}
        measured = {"adopted": adoption.name, "steps": steps}
    return {
        "ok": True,
        "model": name,
        "batch": batch,
        "machine": result.machine.name,
        "devices": len(result.machine.devices),
        "plan": json.loads(result.plan.to_json()),
        "predicted_seconds": result.timeline.seconds,
        "baselines": {
            "single": finite(found.single),
            "data_parallel": finite(found.data_parallel),
        },
        "measured": measured,
        "communication_bytes": result.timeline.communication_bytes,
        "memory_bytes": list(result.timeline.memory_bytes),
        "search_seconds": found.elapsed,
        "evaluated": found.evaluated,
        "complete": found.complete,
    }


def operator_rows(result: PlanResult) -> list[OperatorRow]:
    """Each operator, in the order of the graph, and at last what moves for none of them."""
    computed, moved = _by_group(result)
    rows = []
    for name, dimensions in result.graph.groups.items():
        partition = result.plan.partitions[name]
        forward, backward = computed["forward", name], computed["backward", name]
        rows.append(
            OperatorRow(
                name,
                type(result.graph.by_name[name].operator).__name__,
                _split(dimensions, partition),
                partition.devices,
                max(forward.values(), default=0.0),
                max(backward.values(), default=0.0),
                moved[name],
            )
        )
    # A runtime that fetches all parameters at once has no operator to count them with.
    return [*rows, OperatorRow(OTHER, "", "", (), 0.0, 0.0, moved[OTHER])] if moved[OTHER] else rows


def _by_group(
    result: PlanResult,
) -> tuple[dict[tuple[str, str], dict[object, float]], dict[str, int]]:
    """What each place computes by kind and group, seconds; what moves for each group, bytes."""
    groups = {node.name: node.group for node in result.graph.nodes}
    for node in result.graph.nodes:
        groups |= {name: node.group for name in node.parameters if name not in groups}
    computed: dict[tuple[str, str], dict[object, float]] = defaultdict(lambda: defaultdict(float))
    moved: dict[str, int] = defaultdict(int)
    for task in result.timeline.tasks:
        group = groups.get(task.node, OTHER)
        moved[group] += task.bytes
        computed[task.kind, group][task.place] += task.end - task.start
    return computed, moved


def _split(dimensions: tuple[Dimension, ...], partition: Partition) -> str:
    each = zip(dimensions, partition.degrees, strict=True)
    split = [f"{dimension.name} {degree}" for dimension, degree in each if degree > 1]
    return ", ".join(split) or "whole"


def summary_table(name: str, batch: int, result: PlanResult) -> Table:
    """The result for people."""
    found, timeline = result.found, result.timeline
    table = Table(
        title=f"A plan for {escape(name)}, batch {batch}, on {len(result.machine.devices)} "
        f"devices of {escape(result.machine.name)}",
        title_justify="left",
        show_header=False,
    )
    table.add_column("", style="bold")
    table.add_column("")
    table.add_row("predicted step", _ratio(timeline.seconds, found.single, "one device"))
    table.add_row("one device", _milliseconds(found.single))
    table.add_row("data parallel", _milliseconds(found.data_parallel))
    table.add_row("moves", f"{timeline.communication_bytes / 1e6:.2f} MB a step")
    table.add_row("memory", f"at most {max(timeline.memory_bytes) / 1e6:.1f} MB on a device")
    done = "to its end" if found.complete else "until its budget was used"
    table.add_row("search", f"{found.evaluated} plans in {found.elapsed:.1f} s, {done}")
    if result.adoption is not None:
        for name_, each in result.adoption.measured.items():
            mark = "  ← adopted" if name_ == result.adoption.name else ""
            words = f"{each.seconds * 1e3:.2f} ms, {each.ratio:.3f} ± {each.error:.3f} of the best"
            table.add_row(f"measured: {name_}", f"{words}, {each.turns} turns{mark}")
    return table


def operator_table(rows: list[OperatorRow]) -> Table:
    """Each operator for people."""
    table = Table(title="Operators", title_justify="left")
    for title in ("Operator", "Kind", "Split", "Devices"):
        table.add_column(title, overflow="fold")
    for title in ("Forward", "Backward", "Moves"):
        table.add_column(title, justify="right")
    for row in rows:
        table.add_row(
            escape(row.name),
            row.kind,
            row.split,
            _devices(row.devices),
            _milliseconds(row.forward_seconds),
            _milliseconds(row.backward_seconds),
            f"{row.communication_bytes / 1e3:.1f} kB",
        )
    return table


def utilisation(timeline: Timeline, devices: int) -> list[float]:
    """The share of the step that each device computes.

    >>> from models.soap.simulate_timeline import Task, Timeline
    >>> step = Timeline(2.0, (Task("forward", "a", 0, 1, 0.0, 0.5),), 0, (0, 0))
    >>> utilisation(step, 2)
    [0.0, 0.25]
    """
    busy = [0.0] * devices
    for task in timeline.tasks:
        if isinstance(task.place, int) and task.kind in {"forward", "backward"}:
            busy[task.place] += task.end - task.start
    return [each / timeline.seconds for each in busy]


def _devices(devices: tuple[int, ...]) -> str:
    if len(devices) > MOST_DEVICES_NAMED:
        return f"{len(devices)}, from {devices[0]}"
    return ",".join(map(str, devices))


def _milliseconds(seconds: float) -> str:
    return "does not fit into memory" if finite(seconds) is None else f"{seconds * 1e3:.3f} ms"


def _ratio(seconds: float, other: float, name: str) -> str:
    times = "" if finite(other) is None else f", {other / seconds:.2f} times as fast as {name}"
    return f"{_milliseconds(seconds)}{times}"
