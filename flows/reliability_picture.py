"""The reliability diagram as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from records import SourceError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from models.calibration import Reliability

SIDE_INCHES = 5.0
"""Width and height of the picture, inches."""

DOTS_PER_INCH = 120
"""Resolution of the written picture."""


def reliability_figure(diagrams: Mapping[str, Reliability]) -> Figure:
    """Draw what came true over what was said, with intervals, and the diagonal of a perfect match.

    Args:
        diagrams: The diagrams by their name in the legend.
    """
    figure = Figure(figsize=(SIDE_INCHES, SIDE_INCHES), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="grey", linestyle="dashed", linewidth=1)
    for name, diagram in diagrams.items():
        below = [each.share - each.low for each in diagram.bins]
        above = [each.high - each.share for each in diagram.bins]
        axes.errorbar(
            [each.said for each in diagram.bins],
            [each.share for each in diagram.bins],
            yerr=(below, above),
            marker="o",
            markersize=4,
            linewidth=1,
            capsize=2,
            label=f"{name}: error {diagram.expected_error:.3f}, n = {diagram.n}",
        )
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="probability said", ylabel="share that came true")
    if diagrams:
        axes.legend(loc="upper left", fontsize="small")
    return figure


def write_reliability_picture(path: Path, diagrams: Mapping[str, Reliability]) -> None:
    """Write the picture; the name's ending says the format.

    Raises:
        SourceError: it cannot be written.
    """
    try:
        reliability_figure(diagrams).savefig(path, dpi=DOTS_PER_INCH)
    except (OSError, ValueError) as error:
        raise SourceError(f"picture {path} cannot be written: {error}") from error
