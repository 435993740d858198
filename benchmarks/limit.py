"""Limit queries: how many reference calls each order needs to find ten frames.

Recorded counts of cars stand for the reference. Ten frames with at least k cars are wanted, at
least 300 frames apart. Proxies are made from the counts, with a stated correlation and mistakes
that last for seconds; they, and all orders that draw, are drawn anew in each repeat. The orders
``random`` and ``sequential`` use no proxy, and ``blazeit`` is nothing without one.

Left out are thresholds at which a trace holds no ten such frames: there every order must verify
nearly all frames to say so.

Run: ``python -m benchmarks.limit FOLDER`` with a folder that holds ``traces/``. Writes
benchmarks/results/limit.json and limit.png.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np

from benchmarks.hardware import hardware
from flows.evaluate.limit import ORDERS, LimitStudy, evaluate_limit
from flows.evaluate.proxies import make_proxy
from flows.evaluate.traces import read_trace

mpl.use("agg")
from matplotlib import pyplot as plt
from matplotlib.ticker import FuncFormatter, NullFormatter

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

CASES = (("taipei-car", 4), ("taipei-car", 5), ("taipei-car", 6), ("archie-car", 3),
         ("archie-car", 4))  # fmt: skip
"""Traces, and the least number of cars in a frame that is wanted."""

LIMIT, GAP = 10, 300
"""How many frames are wanted, and how far apart they must be, frames (10 seconds)."""

PROXIES = {
    "none": None,
    "good": "synthetic:rho2=.55,ar=.999",
    "poor": "synthetic:rho2=.05,ar=.999",
    "useless": "noise",
}
"""The proxies by name."""

REPEATS = 9
"""Runs of each search; the median and the range are reported."""

RESULTS = Path(__file__).parent / "results"


def searched(values: NDArray[np.float64], at_least: int, text: str | None) -> dict[str, Any]:
    """The calls of every order with one kind of proxy, and the frames that were found."""
    calls: dict[str, list[int]] = {}
    for repeat in range(REPEATS):
        rng = np.random.default_rng(repeat)
        proxies = None if text is None else make_proxy(text, values, rng)
        study = LimitStudy(at_least, LIMIT, GAP, seed=repeat)
        report = evaluate_limit(values, proxies, study)
        assert set(report["found"].values()) == {LIMIT}, "every order finds all frames"
        for name, one in report["orders"].items():
            calls.setdefault(name, []).append(one)
    return {
        name: {"calls": int(np.median(found)), "range": [min(found), max(found)]}
        for name, found in calls.items()
    }


def measure(folder: Path, name: str, at_least: int) -> dict[str, Any]:
    """Every figure of one case."""
    values = read_trace(folder / "traces" / f"{name}.csv.gz")
    return {
        "trace": name,
        "at_least": at_least,
        "frames": len(values),
        "matching_frames": int(np.count_nonzero(values >= at_least)),
        "proxies": {key: searched(values, at_least, text) for key, text in PROXIES.items()},
    }


COLOURS = {"random": "tab:gray", "sequential": "tab:brown", "blazeit": "tab:orange",
           "sightflow": "tab:blue"}  # fmt: skip
"""The colour of each order."""

BAR = 0.2
"""The width of a bar, as a share of the distance between two proxies."""


def draw(results: list[dict[str, Any]], path: Path) -> None:
    """Draw calls as bars, one panel a case, one group a proxy; whiskers tell the range."""
    figure, axes = plt.subplots(2, 3, figsize=(15, 8.4), sharey=True)
    panels = axes.ravel()
    for axis, result in zip(panels, results, strict=False):
        draw_case(axis, result)
    handles, labels = panels[0].get_legend_handles_labels()
    panels[-1].axis("off")
    panels[-1].legend(handles, labels, loc="center", fontsize=11, title="order")
    for row in axes:
        row[0].set_ylabel("reference calls until 10 frames are found")
    figure.tight_layout(h_pad=2)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def draw_case(axis: Axes, result: dict[str, Any]) -> None:
    """Draw one case."""
    for number, order in enumerate(ORDERS):
        places: list[float] = []
        calls: list[int] = []
        reach: list[tuple[int, int]] = []
        for group, found in enumerate(result["proxies"].values()):
            if order in found:
                one = found[order]
                low, high = one["range"]
                places.append(group + (number - (len(ORDERS) - 1) / 2) * BAR)
                calls.append(one["calls"])
                reach.append((one["calls"] - low, high - one["calls"]))
        axis.bar(places, calls, BAR, label=order, color=COLOURS[order])
        axis.errorbar(places, calls, np.array(reach).T, fmt="none", ecolor="k", elinewidth=0.8)
        for place, count, (_, above) in zip(places, calls, reach, strict=True):
            axis.text(place, (count + above) * 1.15, str(count), rotation=90, fontsize=7.5,
                      ha="center", va="bottom")  # fmt: skip
    axis.set_yscale("log")
    axis.set_ylim(5, 3e6)
    axis.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:,.0f}"))
    axis.yaxis.set_minor_formatter(NullFormatter())
    axis.set_xticks(range(len(PROXIES)), [f"{name} proxy".replace("none", "no")
                                          for name in PROXIES])  # fmt: skip
    axis.tick_params(labelleft=True)
    axis.set_title(f"{result['trace']}: at least {result['at_least']} cars, in "
                   f"{result['matching_frames']:,} of {result['frames']:,} frames",
                   fontsize=10)  # fmt: skip
    axis.grid(visible=True, axis="y", alpha=0.25)
    axis.set_axisbelow(True)


def main() -> None:
    """Measure, print, write and draw."""
    folder, begun = Path(sys.argv[1]), time.perf_counter()
    results = [measure(folder, *case) for case in CASES]
    value = {
        "date": datetime.now(UTC).date().isoformat(),
        "hardware": hardware(),
        "seconds": round(time.perf_counter() - begun, 1),
        "limit": LIMIT,
        "gap_frames": GAP,
        "repeats": REPEATS,
        "proxies": PROXIES,
        "results": results,
    }
    (RESULTS / "limit.json").write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    draw(results, RESULTS / "limit.png")
    for result in results:
        sys.stdout.write(f"{result['trace']}, at least {result['at_least']}\n")
        for key, found in result["proxies"].items():
            row = "  ".join(f"{name} {one['calls']}" for name, one in found.items())
            sys.stdout.write(f"  {key:>8}: {row}\n")


if __name__ == "__main__":
    main()
