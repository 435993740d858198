"""The picture of benchmarks/weak_video.py: every figure, and one frame before and after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from PIL import Image

mpl.use("agg")
from matplotlib import pyplot as plt
from matplotlib.patches import Rectangle

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from records import Detections

COLOURS = ("tab:gray", "tab:orange", "tab:blue", "tab:green")
"""Of the models."""

COLOURS_KEPT = 64
"""The colours of the file."""

LEAST_SHOWN = 0.4
"""The least score of boxes that are drawn."""

BRIGHTEST = 220
"""The picture is brightened until its brightest hundredth has this grey level."""


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """One frame.

    Attributes:
        condition: The condition's name.
        number: The frame's number.
        picture: RGB, uint8 (height, width, 3).
        before: What the published detector finds.
        after: What it finds after training.
    """

    condition: str
    number: int
    picture: NDArray[np.uint8]
    before: Detections
    after: Detections


def draw(values: dict[str, Any], shown: Shown, path: Path) -> None:
    """Draw everything."""
    figure = plt.figure(figsize=(14, 10), layout="constrained")
    axes = figure.subplots(2, 2)
    draw_precision(axes[0, 0], values)
    draw_gains(axes[0, 1], values)
    where = f"{shown.condition}, frame {shown.number}, brightened"
    draw_boxes(axes[1, 0], shown.picture, shown.before, f"before: {where}")
    draw_boxes(axes[1, 1], shown.picture, shown.after, f"trained on weak labels: {where}")
    figure.savefig(path, dpi=80)
    plt.close(figure)
    shrink(path)


def shrink(path: Path) -> None:
    """Write a picture anew with few colours: noise is hard to compress."""
    with Image.open(path) as picture:
        few = picture.convert("RGB").quantize(COLOURS_KEPT)
    few.save(path, optimize=True)


def draw_precision(axis: Axes, values: dict[str, Any]) -> None:
    """Draw AP50 by condition and model."""
    models = list(next(iter(values.values()))["average_precision"])
    width = 0.8 / len(models)
    for k, (model, colour) in enumerate(zip(models, COLOURS, strict=True)):
        heights = [value["average_precision"][model]["ap50"] for value in values.values()]
        bars = axis.bar(np.arange(len(values)) + k * width, heights, width, color=colour)
        bars.set_label(model)
        axis.bar_label(bars, fmt="%.2f", fontsize=8)
    axis.set_xticks(np.arange(len(values)) + 0.4 - width / 2, list(values))
    axis.set_ylim(0, 1.15)
    axis.set_ylabel("AP50 of people, later part of the clip")
    axis.set_title("No person labelled anything, but for the true boxes")
    axis.legend(ncols=len(models), loc="upper right")


def draw_gains(axis: Axes, values: dict[str, Any]) -> None:
    """Draw the gain of each training with its interval."""
    models = list(next(iter(values.values()))["gain"])
    for place, value in enumerate(values.values()):
        for k, (model, colour) in enumerate(zip(models, COLOURS[1:], strict=True)):
            gain, y = value["gain"][model]["ap50"], place + 0.2 * (k - 1)
            axis.plot([gain["low"], gain["high"]], [y, y], color=colour, lw=2)
            axis.plot(gain["value"], y, "o", color=colour, label=None if place else model)
        axis.axhline(place + 0.5, color="0.9", lw=1)
    axis.set_yticks(range(len(values)), list(values))
    axis.invert_yaxis()
    axis.axvline(0, color="black", lw=1)
    axis.set_xlabel("gain in AP50, and interval of 95 % (blocks of time, paired)")
    axis.set_title("Gain over the published detector")
    axis.legend()
    axis.grid(visible=True, axis="x", alpha=0.25)


def draw_boxes(axis: Axes, picture: NDArray[np.uint8], found: Detections, title: str) -> None:
    """Draw a frame, brightened, with its boxes and their scores."""
    factor = BRIGHTEST / max(float(np.percentile(picture, 99)), 1.0)
    axis.imshow(np.clip(picture * factor, 0, 255).astype(np.uint8))
    sure = found.select(found.scores >= LEAST_SHOWN)
    for (x1, y1, x2, y2), score in zip(sure.boxes.tolist(), sure.scores.tolist(), strict=True):
        axis.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, ec="lime", lw=2))
        axis.text(x1, y1 - 4, f"{score:.2f}", color="lime", fontsize=8)
    axis.set_title(f"{title}; {len(sure)} boxes from {LEAST_SHOWN} on", fontsize=9)
    axis.axis("off")
