"""The picture of benchmarks/assertions.py: every figure at a glance, and one correction at work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from scipy.special import betaincinv

from connectors.video import read_video
from records import Frame

mpl.use("agg")
from matplotlib import pyplot as plt
from matplotlib.patches import Rectangle

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from connectors.video import VideoSettings
    from flows.evaluate.assertions import Findings
    from flows.evaluate.assertions_report import Fired
    from records.finding import Box

OURS, THEIRS, BAR = "tab:blue", "tab:orange", "tab:red"
"""Colours."""

MARGIN = 0.6
"""How much is shown around a box, shares of its height."""

JEFFREYS = 0.5
"""Both parameters of the prior of a share."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One frame of an example.

    Attributes:
        rgb: The picture, uint8 (height, width, 3).
        box: The box that is concerned.
        title: What is to be seen.
        added: Whether the box was added.
    """

    rgb: NDArray[np.uint8]
    box: Box
    title: str
    added: bool


Example = list[Shown]
"""Before, within and after a gap."""


def find_example(found: Findings, video: VideoSettings) -> Example:
    """The right correction of "flicker" whose gap is longest."""
    right = [
        one
        for one in found.fired
        if one.finding.assertion == "flicker" and one.judgement.correction_right
    ]
    best = max(right, key=_length)
    correction = best.finding.correction
    assert correction is not None
    places = correction.places
    middle = places[len(places) // 2]
    assert middle.box is not None
    wanted = {middle.sequence: (middle.box, "missed, added", True)}
    verdicts = found.recordings[best.recording].verdicts
    for sequence, title in ((places[0].sequence - 1, "found"), (places[-1].sequence + 1, "again")):
        answer = verdicts[sequence].answer
        row = answer.boxes[answer.tracks == correction.track][0].tolist()
        wanted[sequence] = ((row[0], row[1], row[2], row[3]), title, False)
    return [
        Shown(item.pixels.rgb(), box, f"frame {item.sequence}, {title}", added)
        for item in read_video("video", video)
        if isinstance(item, Frame) and item.sequence in wanted
        for box, title, added in [wanted[item.sequence]]
    ]


def _length(fired: Fired) -> int:
    correction = fired.finding.correction
    return 0 if correction is None else len(correction.places)


def draw(value: dict[str, Any], example: Example, path: Path) -> None:
    """Draw everything."""
    figure = plt.figure(figsize=(17, 10.5), layout="constrained")
    grid = figure.add_gridspec(2, 1, height_ratios=(1, 0.9))
    above, below = figure.add_subfigure(grid[0]), figure.add_subfigure(grid[1])
    figures = above.subplots(1, 3)
    draw_precision(figures[0], value)
    draw_gains(figures[1], value)
    draw_delays(figures[2], value["health"])
    cost, *frames = below.subplots(1, 1 + len(example), width_ratios=[2] + [1] * len(example))
    draw_cost(cost, value["cost"])
    for axis, shown in zip(frames, example, strict=True):
        draw_frame(axis, shown)
    figure.savefig(path, dpi=90)
    plt.close(figure)


def draw_precision(axis: Axes, value: dict[str, Any]) -> None:
    """Draw how often findings are right, beside the paper."""
    vtest, lidar = value["vtest"]["all_frames"], value["lidar"]["all_frames"]
    changes = value["ecg"]["class_change"]
    ours = [
        *((f"{name}, vtest", name, one) for name, one in vtest.items() if one["judged"]),
        *((f"{name}, KITTI", name, one) for name, one in lidar.items() if one["judged"]),
    ]
    rows = [(label, name, one["model_wrong"], one["judged"]) for label, name, one in ours]
    fires = changes["fires"]
    rows.append(("class_change, CinC", "class_change", round(changes["precision"] * fires), fires))
    published = value["published"]["precision"]
    for place, (_, name, right, n) in enumerate(rows):
        posterior = right + JEFFREYS, n - right + JEFFREYS
        low, high = (100 * betaincinv(*posterior, share) for share in (0.025, 0.975))
        axis.plot([low, high], [place, place], color=OURS, lw=2)
        axis.plot(100 * right / n, place, "o", color=OURS, label="ours" if not place else None)
        if name in published:
            theirs = 100 * np.array(published[name])
            axis.plot(theirs, [place + 0.25] * 2, "D-", color=THEIRS, ms=5)
    axis.plot([], [], "D-", color=THEIRS, ms=5, label="Kang et al., other data")
    labels = [f"{label} ({right}/{n})" for label, _, right, n in rows]
    axis.set_yticks(range(len(rows)), labels)
    axis.invert_yaxis()
    axis.set_xlim(-2, 102)
    axis.set_xlabel("findings with a model wrong, %, and interval of 95 %")
    axis.set_title("Precision")
    axis.legend(loc="upper left")
    axis.grid(visible=True, alpha=0.25)


def draw_gains(axis: Axes, value: dict[str, Any]) -> None:
    """Draw accuracy before and after corrections."""
    lidar, ecg = value["lidar"]["each_after_the_others"], value["ecg"]
    pairs = {
        **{f"KITTI {name}": one for name, one in lidar["recordings"].items()},
        "KITTI, camera alone": lidar["outputs"]["detections"],
        "vtest": value["vtest"]["second_half"],
        "CinC, windows": {
            "accuracy_before": ecg["accuracy"],
            "accuracy_after": ecg["accuracy_corrected"],
        },
    }
    for place, one in enumerate(pairs.values()):
        before, after = 100 * one["accuracy_before"], 100 * one["accuracy_after"]
        axis.plot([before, after], [place, place], color="tab:gray", zorder=1)
        first = not place
        axis.scatter(before, place, c=THEIRS, zorder=2, label="before" if first else None)
        axis.scatter(after, place, c=OURS, zorder=3, label="after" if first else None)
    axis.set_yticks(range(len(pairs)), list(pairs))
    axis.invert_yaxis()
    axis.set_xlabel("F1 of boxes, accuracy of ECG windows, %")
    axis.set_title("Calibrated corrections, where they were not learned")
    axis.legend()
    axis.grid(visible=True, alpha=0.25)


def draw_delays(axis: Axes, health: dict[str, Any]) -> None:
    """Draw how soon planted faults are found."""
    planted = health["planted"]
    for place, one in enumerate(planted.values()):
        low, median, high = one["seconds"]
        axis.plot([low, high], [place, place], color=OURS, lw=2)
        axis.plot(median, place, "o", color=OURS)
    axis.axvline(health["deadline_seconds"], color=BAR, ls="--")
    labels = [
        f"{name} ({one['found_in_time']:.0%} of {one['planted']})" for name, one in planted.items()
    ]
    axis.set_yticks(range(len(planted)), labels)
    axis.invert_yaxis()
    axis.set_xlim(left=0)
    axis.set_xlabel("seconds until it is told: median and range")
    alarms = sum(one["alarms"] for one in health["clean"].values())
    hours = sum(one["hours"] for one in health["clean"].values())
    axis.set_title(f"Planted faults found in time;\nfalse alarms: {alarms} in {hours:.0f} h")
    axis.grid(visible=True, alpha=0.25)


def draw_cost(axis: Axes, cost: dict[str, Any]) -> None:
    """Draw what assertions cost."""
    taken = cost["microseconds_per_frame"]
    bars = axis.barh(range(len(taken)), list(taken.values()), color=OURS)
    axis.bar_label(bars, fmt="%.1f", padding=3)
    axis.axvline(50, color=BAR, ls="--", label="50 µs")
    axis.set_yticks(range(len(taken)), list(taken))
    axis.invert_yaxis()
    axis.set_xlabel(f"µs a frame, {cost['objects']} objects at {cost['rate_hz']} Hz")
    axis.set_xlim(right=1.1 * max(taken.values()))
    axis.set_title("Cost")
    axis.legend(loc="lower right")


def draw_frame(axis: Axes, shown: Shown) -> None:
    """Draw one frame of the example, cut out around the box."""
    x1, y1, x2, y2 = shown.box
    margin = MARGIN * (y2 - y1)
    left, top = max(round(x1 - margin), 0), max(round(y1 - margin), 0)
    axis.imshow(shown.rgb[top : round(y2 + margin), left : round(x2 + margin)])
    colour, line = (BAR, "--") if shown.added else ("lime", "-")
    corner = x1 - left, y1 - top
    axis.add_patch(Rectangle(corner, x2 - x1, y2 - y1, fill=False, lw=2.5, ec=colour, ls=line))
    axis.set_title(shown.title)
    axis.axis("off")
