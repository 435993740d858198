"""The report of a study of retraining: its learning curves as a picture, its figures as a page."""

from __future__ import annotations

import base64
import io
import json
from html import escape
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

from flows.evaluate.retraining_figures import gain_words
from records import SourceError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

PANEL_INCHES = (5.2, 4.2)
"""Width and height of one panel, inches."""

DOTS_PER_INCH = 110
"""Resolution of the picture."""

NAME = "retraining"
"""The name of the files, before the ending."""

COLOURS = {
    "random": "tab:gray",
    "uncertainty": "tab:orange",
    "uniform": "tab:green",
    "bal": "tab:blue",
    "valuable": "tab:red",
}
"""The colour of each selection."""

ARMS = {
    "before": "as first trained",
    "labelled_again": "its labels again",
    "self_training": "its own answers",
    "committee": "a committee's answers",
    "weak": "weak labels",
}
"""How the arms of the study of weak labels are called."""

POINTS = 100
"""Shares are drawn and written in percent, differences in points."""

_STYLE = """
body { margin: 0 auto; padding: 1.5rem 1rem 3rem; max-width: 60rem; color: #2b3138;
  font: 16px/1.5 system-ui, sans-serif; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid #e8ecef; text-align: right; }
th:first-child, td:first-child { text-align: left; }
img { width: 100%; height: auto; }
.quiet { color: #66717c; font-size: .9rem; }
"""


def write_report(folder: Path, result: Mapping[str, Any]) -> tuple[Path, ...]:
    """Write the figures as JSON, the picture as PNG, and both as one HTML page.

    Args:
        folder: Where; made where it is missing.
        result: As `flows.evaluate.retraining.evaluate_retraining` gives it.

    Returns:
        The files.

    Raises:
        SourceError: a file cannot be written.
    """
    picture = picture_bytes(result)
    contents = {
        ".json": (json.dumps(result, indent=1) + "\n").encode(),
        ".png": picture,
        ".html": report_html(result, picture).encode(),
    }
    paths = tuple(folder / f"{NAME}{ending}" for ending in contents)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, content in zip(paths, contents.values(), strict=True):
            path.write_bytes(content)
    except OSError as error:
        raise SourceError(
            f"the report in {folder} cannot be written: {error.strerror}. Say another --save"
        ) from error
    return paths


def picture_bytes(result: Mapping[str, Any]) -> bytes:
    """The picture of a study, PNG."""
    data = io.BytesIO()
    figure(result).savefig(data, format="png", dpi=DOTS_PER_INCH)
    return data.getvalue()


def figure(result: Mapping[str, Any]) -> Figure:
    """Learning curves with intervals, differences to random, and weak labels where studied."""
    panels = 3 if result["weak"] else 2
    width, height = PANEL_INCHES
    drawn = Figure(figsize=(panels * width, height), layout="constrained")
    axes = drawn.subplots(1, panels)
    _draw_curves(axes[0], result)
    _draw_differences(axes[1], result)
    if result["weak"]:
        _draw_weak(axes[2], result["weak"])
    for each in axes:
        each.grid(visible=True, color="#e8ecef")
        each.set_axisbelow(True)
        each.spines[["top", "right"]].set_visible(False)
    return drawn


def _draw_curves(axes: Axes, result: Mapping[str, Any]) -> None:
    first, budget = result["records"]["first"], result["budget"]
    labelled = [first + budget * number for number in range(result["rounds"] + 1)]
    for name, one in result["selectors"].items():
        mean, low, high = _columns(one["accuracy"])
        axes.plot(labelled, mean, marker="o", markersize=4, color=COLOURS[name], label=name)
        axes.fill_between(labelled, low, high, color=COLOURS[name], alpha=0.1, linewidth=0)
    axes.set(
        title=f"Learning curves, {result['trials']} trials",
        xlabel="labelled records",
        ylabel="windows that are right, %",
        xticks=labelled,
    )
    axes.legend(frameon=False)


def _draw_differences(axes: Axes, result: Mapping[str, Any]) -> None:
    others = [name for name in result["selectors"] if name != "random"]
    for shift, field, words in (
        (-0.12, "difference_over_rounds", "mean of all rounds"),
        (0.12, "difference_last", "after the last round"),
    ):
        points = [result["selectors"][name][field] for name in others]
        places = [place + shift for place in range(len(others))]
        marker = "o" if field == "difference_over_rounds" else "s"
        _error_bars(axes, places, points, words, marker)
    axes.axhline(0, color="black", linewidth=1)
    axes.set_xticks(range(len(others)), others)
    axes.set(title="Paired differences to random", ylabel="points of accuracy")
    axes.legend(frameon=False)


def _draw_weak(axes: Axes, weak: Mapping[str, Any]) -> None:
    points = [weak["accuracy"][arm] for arm in ARMS]
    _error_bars(axes, list(range(len(ARMS))), points, "", "o")
    words = [name.replace(" ", "\n", 1) for name in ARMS.values()]
    axes.set_xticks(range(len(ARMS)), words)
    axes.set(
        title=f"No human labels: {gain_words(weak['relative_gain'])}",
        ylabel="windows that are right, %",
        xlim=(-0.5, len(ARMS) - 0.5),
    )


def _error_bars(
    axes: Axes,
    places: Sequence[float],
    points: Sequence[Mapping[str, Any]],
    label: str,
    marker: str,
) -> None:
    mean, low, high = _columns(points)
    below = [one - end for one, end in zip(mean, low, strict=True)]
    above = [end - one for one, end in zip(mean, high, strict=True)]
    axes.errorbar(
        places, mean, yerr=(below, above), fmt=marker, capsize=3, markersize=5, label=label
    )


def _columns(points: Sequence[Mapping[str, Any]]) -> list[list[float]]:
    return [[POINTS * one[field] for one in points] for field in ("mean", "low", "high")]


def report_html(result: Mapping[str, Any], picture: bytes) -> str:
    """The report as one HTML document."""
    records = result["records"]
    winner = result["winner"]
    what = (
        f"{result['trials']} trials of {result['rounds']} rounds of {result['budget']} records; "
        f"{records['first']} records with labels at first, {records['pool']} in the pool, "
        f"{records['test']} test records that nothing else saw. Best over all rounds: "
        f"<b>{escape(winner['selector'])}</b>, against random: {winner['verdict']}."
    )
    source = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
    parts = [
        "<h1>Which records to label next</h1>",
        f"<p>{what}</p>",
        f'<img alt="Learning curves" src="{source}">',
        _selector_table(result),
    ]
    if result["weak"]:
        parts.append(_weak_table(result["weak"]))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f"<title>Retraining</title>\n<style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def _selector_table(result: Mapping[str, Any]) -> str:
    rounds = range(result["rounds"] + 1)
    fields = {
        "difference_over_rounds": "all rounds, to random",
        "difference_last": "last, to random",
    }
    rows = [["selection", *(f"round {number}" for number in rounds), *fields.values()]]
    for name, one in result["selectors"].items():
        means = (f"{each['mean']:.2%}" for each in one["accuracy"])
        rows.append([name, *means, *(_difference(one[field]) for field in fields)])
    words = (
        "Accuracy of windows. Differences are in points, with intervals that hold together at "
        f"{result['confidence']:.4g}."
    )
    return _table(rows, words)


def _weak_table(weak: Mapping[str, Any]) -> str:
    rows = [["model", "windows", "records", "weak labels against it"]]
    for arm, words in ARMS.items():
        against = weak["differences"].get(arm)
        rows.append(
            [
                words,
                f"{weak['accuracy'][arm]['mean']:.2%}",
                f"{weak['record_accuracy'][arm]['mean']:.2%}",
                "" if against is None else _difference(against),
            ]
        )
    words = (
        f"{weak['weak_labels']:.0f} records a trial got a weak label; {weak['label_right']:.1%} of "
        f"those labels are right, of the model's own answers {weak['own_answer_right']:.1%}."
    )
    return "<h2>Without human labels</h2>" + _table(rows, words)


def _table(rows: Sequence[Sequence[str]], words: str) -> str:
    head, *body = rows
    lines = ["".join(f"<th>{escape(cell)}</th>" for cell in head)]
    lines += ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in body]
    inner = "\n".join(f"<tr>{line}</tr>" for line in lines)
    return f'<table>\n{inner}\n</table>\n<p class="quiet">{escape(words)}</p>'


def _difference(one: Mapping[str, Any]) -> str:
    mean, low, high = (POINTS * one[field] for field in ("mean", "low", "high"))
    return f"{mean:+.2f} ({low:+.2f} to {high:+.2f}), {one['verdict']}"
