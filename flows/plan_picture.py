"""A predicted step as a Gantt chart: what each device and link does, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from records import SourceError

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from models.soap.machine import Machine
    from models.soap.simulate_timeline import Timeline

WIDTH_INCHES, ROW_INCHES, FRAME_INCHES = 11.0, 0.34, 1.5
"""Width of the picture, height of a row, and of everything around the rows, inches."""

MOST_ROWS = 40
"""Rows of a picture; the busiest are shown."""

DOTS_PER_INCH = 120
"""Resolution of the written picture."""

COLOURS = {
    "forward": "#4477aa",
    "backward": "#ee6677",
    "transfer": "#ccbb44",
    "update": "#228833",
    "overhead": "#bbbbbb",
}
"""The colour of each kind of task (Paul Tol's bright scheme, distinct for the colour-blind)."""

MILLISECONDS = 1e3
"""Of a second."""


def gantt(timeline: Timeline, machine: Machine, title: str) -> Figure:
    """Draw a step: devices above, then links; time from left to right."""
    rows = _rows(timeline)
    figure = Figure(
        figsize=(WIDTH_INCHES, FRAME_INCHES + ROW_INCHES * len(rows)), layout="constrained"
    )
    axes = figure.add_subplot()
    for kind, colour in COLOURS.items():
        for row, place in enumerate(rows):
            bars = [
                (task.start * MILLISECONDS, (task.end - task.start) * MILLISECONDS)
                for task in timeline.tasks
                if task.kind == kind and task.place == place
            ]
            axes.broken_barh(bars, (row - 0.4, 0.8), facecolors=colour, linewidth=0)
    _dress(axes, [_label(place, machine) for place in rows], timeline, title)
    kinds = {task.kind for task in timeline.tasks}
    figure.legend(
        handles=[Patch(color=c, label=kind) for kind, c in COLOURS.items() if kind in kinds],
        loc="outside lower center",
        ncols=len(COLOURS),
        frameon=False,
        fontsize="small",
    )
    return figure


def write_gantt(path: Path, timeline: Timeline, machine: Machine, title: str) -> None:
    """Write the picture; the name's ending says the format.

    Raises:
        SourceError: it cannot be written.
    """
    try:
        gantt(timeline, machine, title).savefig(path, dpi=DOTS_PER_INCH)
    except (OSError, ValueError) as error:
        raise SourceError(f"picture {path} cannot be written: {error}") from error


def _rows(timeline: Timeline) -> list[object]:
    """The places to show: devices, then links; the busiest where there are many."""
    busy: dict[object, float] = {}
    for task in timeline.tasks:
        busy[task.place] = busy.get(task.place, 0.0) + task.end - task.start
    shown = sorted(busy, key=lambda place: -busy[place])[:MOST_ROWS]
    return sorted(shown, key=lambda place: (not isinstance(place, int), place))


def _label(place: object, machine: Machine) -> str:
    if isinstance(place, int):
        return f"{machine.devices[place].kind} {machine.devices[place].name}"
    assert isinstance(place, tuple)
    level, first, second = place
    if not machine.links[level].shared:
        return f"{level} {first} → {second}"
    return f"{level} of {first}.{second}" if level == "switch" else f"{level} of node {first}"


def _dress(axes: Axes, labels: list[str], timeline: Timeline, title: str) -> None:
    axes.set_yticks(range(len(labels)), labels, fontsize="small")
    axes.set(
        xlim=(0, timeline.seconds * MILLISECONDS),
        ylim=(len(labels) - 0.4, -0.6),
        xlabel="milliseconds",
        title=title,
    )
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
