"""The picture of a run of the loop: accuracy over time, with what happened marked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import matplotlib as mpl
import matplotlib.pyplot as plt

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from benchmarks.loop.judge import Course

mpl.use("Agg")

COLOURS = {
    "drift": "#595959",
    "alarm": "#b3261e",
    "trained": "#7b4ea3",
    "shadow": "#9a6b00",
    "swap": "#1b7a43",
}
"""The colour of each kind of mark; each has a shape of its own, too."""

SHAPES = {"drift": "s", "alarm": "X", "trained": "D", "shadow": "o", "swap": "^"}
"""The shape of each kind of mark."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened.

    Attributes:
        seconds: When, event time from the first frame on.
        kind: Which kind; see `COLOURS`.
        text: What.
    """

    seconds: float
    kind: str
    text: str


def draw(path: Path, course: Course, marks: Sequence[Mark], length: float, title: str) -> None:
    """Draw a run.

    Args:
        path: The PNG file.
        course: What was decided and what was right.
        marks: What happened.
        length: The length of the stretches that recall and precision are told of, seconds.
        title: The picture's title.
    """
    figure, (upper, middle, lower) = plt.subplots(
        3, 1, figsize=(12, 8.5), sharex=True, height_ratios=[3, 1.2, 1.8], layout="constrained"
    )
    rows = course.windows(length)
    minutes = [row["seconds"] / 60 for row in rows]
    upper.set_title(title, loc="left")
    upper.plot(minutes, [row["recall"] for row in rows], color="#0b5cad", label="recall")
    upper.plot(
        minutes, [row["precision"] for row in rows], color="#c4651a", ls="--", label="precision"
    )
    upper.set_ylabel(f"over {length:g} s, against\nthe reference on every frame")
    upper.set_ylim(-0.03, 1.05)
    upper.legend(loc="lower left", frameon=False)
    middle.fill_between(
        minutes, [100 * row["asked"] for row in rows], step="mid", color="#8aa4c0", lw=0
    )
    middle.set_ylabel("% of frames the\nreference decided")
    middle.set_ylim(0, 105)
    _marks(lower, marks)
    lower.set_xlabel("event time, minutes")
    for axes in (upper, middle, lower):
        axes.spines[["top", "right"]].set_visible(False)
        for mark in marks:
            axes.axvline(mark.seconds / 60, color=COLOURS[mark.kind], lw=0.8, alpha=0.5)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _marks(axes: Axes, marks: Sequence[Mark]) -> None:
    """One row for each kind, so that no texts lie on each other."""
    kinds = list(COLOURS)
    last: dict[str, float] = {}
    for mark in sorted(marks, key=lambda one: one.seconds):
        row, at = len(kinds) - kinds.index(mark.kind), mark.seconds / 60
        axes.plot(at, row, SHAPES[mark.kind], color=COLOURS[mark.kind], ms=7)
        if at - last.get(mark.kind, -1e9) > _ROOM:
            axes.annotate(
                mark.text, (at, row), (6, 6), textcoords="offset points", fontsize=8,
                color=COLOURS[mark.kind],
            )  # fmt: skip
            last[mark.kind] = at
    axes.set_yticks(range(1, len(kinds) + 1), list(reversed(kinds)))
    axes.set_ylim(0.4, len(kinds) + 0.9)
    axes.grid(axis="y", color="#dddddd", lw=0.6)
    axes.set_axisbelow(True)


_ROOM = 1.6
"""Minutes between two marks of a kind that both have room for their text."""
