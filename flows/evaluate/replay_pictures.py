"""The pictures of a comparison of two replays: charts as SVG, frames as JPEG, all as data."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import cv2
import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from connectors.video import decode_frames
from flows.evaluate.replay_score import truth_counts
from flows.picture import annotate
from records import SourceError
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from connectors.video import VideoSettings
    from flows.evaluate.replay import Comparison
    from flows.evaluate.replay_alerts import Episode

Both = TypeVar("Both")

A_COLOUR, B_COLOUR = "#c2701c", "#1c6fb5"
"""The colours of the first and the second replay."""

TRUTH_COLOUR, GRID_COLOUR, TEXT_COLOUR = "#d8dee4", "#e8ecef", "#2b3138"
"""The colours of what is known, of the grid and of text."""

LOST_COLOUR, GAINED_COLOUR = "#c9352b", "#24924f"
"""The colours of alerts that only the first, and only the second has."""

WIDTH_INCHES = 6.0
"""The width of a chart; its text stays readable on a telephone."""

MOST_BINS = 80
"""The most points of a line."""

MOST_STREAMS = 4
"""The most streams whose counts are drawn."""

MOST_ROWS = 12
"""The most rules whose alerts are drawn."""

MOST_FRAMES = 4
"""The most frames that are shown."""

FRAME_PIXELS = 480
"""The width of a frame that is shown, pixels."""

JPEG_QUALITY = 80
"""Of frames that are shown."""

_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "sightflow",
    "svg.fonttype": "none",
    "font.size": 11.0,
    "axes.edgecolor": "#9aa4ae",
    "axes.labelcolor": TEXT_COLOUR,
    "text.color": TEXT_COLOUR,
    "xtick.color": TEXT_COLOUR,
    "ytick.color": TEXT_COLOUR,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": GRID_COLOUR,
}


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture of a report.

    Attributes:
        title: What it shows.
        uri: The picture itself, as a ``data:`` address.
        text: What is to be seen, for those who cannot see it.
    """

    title: str
    uri: str
    text: str


def accuracy_picture(comparison: Comparison) -> Picture:
    """How right both are over time; without truth, how often they agree."""
    a, b = comparison.a.scores.ratios, comparison.b.scores.ratios
    name = next((one for one in ("f1", "frame_accuracy") if one in a), None)
    figure, axes = _figure(2.6)
    if name is None:
        alike = (comparison.a.scores.yes == comparison.b.scores.yes) * 1.0
        _line(axes, comparison, alike, np.ones(len(alike)), TEXT_COLOUR, "both alike")
        title = "Frames answered alike over time"
    else:
        for label, ratios, colour in _both(a, b):
            _line(axes, comparison, ratios[name].part, ratios[name].whole, colour, label)
        title = "F1 of boxes over time" if name == "f1" else "Frames answered right over time"
    axes.set_ylim(-0.02, 1.04)
    _finish(axes, comparison)
    return Picture(title, _svg(figure), "A line for each configuration over event time.")


def counts_picture(comparison: Comparison) -> Picture:
    """How many objects both count over time, beside the truth."""
    streams = sorted({stream for stream, _ in comparison.frames})
    figure, every = _figures(2.2, len(streams[:MOST_STREAMS]))
    true = truth_counts(comparison.frames, comparison.truth)
    for axes, stream in zip(every, streams, strict=False):
        mine = np.array([one == stream for one, _ in comparison.frames], np.bool_)
        known = mine & np.isfinite(true)
        if known.any():
            x, y = _binned(comparison, np.nan_to_num(true), known.astype(np.float64))
            axes.fill_between(x, 0, y, color=TRUTH_COLOUR, label="truth", linewidth=0)
        for label, side, colour in _both(comparison.a, comparison.b):
            told = mine & np.isfinite(side.scores.counts)
            counts = np.nan_to_num(side.scores.counts)
            _line(axes, comparison, counts, told.astype(np.float64), colour, label)
        axes.set_ylim(bottom=0)
        axes.set_ylabel(_short(stream))
        _finish(axes, comparison)
    more = f", the first {MOST_STREAMS} streams" if len(streams) > MOST_STREAMS else ""
    title = f"Count of {comparison.question.class_name} over time{more}"
    return Picture(title, _svg(figure), "Counts of both configurations, and the true ones.")


def alerts_picture(comparison: Comparison) -> Picture | None:
    """When both alert; None when neither does."""
    changes = comparison.alerts
    pairs: list[tuple[Episode, bool, str]] = []
    for a, b in changes.kept:
        pairs += [(a, True, A_COLOUR), (b, False, B_COLOUR)]
    pairs += [(one, True, LOST_COLOUR) for one in changes.lost]
    pairs += [(one, False, GAINED_COLOUR) for one in changes.gained]
    if not pairs:
        return None
    rows = sorted({(one.stream, one.rule) for one, _, _ in pairs})[:MOST_ROWS]
    figure, axes = _figure(0.9 + 0.55 * len(rows))
    begin, unit, _ = _times(comparison)
    for one, is_a, colour in pairs:
        if (one.stream, one.rule) not in rows:
            continue
        y = rows.index((one.stream, one.rule)) + (-0.2 if is_a else 0.2)
        start = (one.opened_ns - begin) / NANOSECONDS / unit
        length = (one.closed_ns - one.opened_ns) / NANOSECONDS / unit
        axes.barh(y, length, left=start, height=0.32, color=colour)
    axes.set_yticks(range(len(rows)), [_short(f"{rule} · {stream}") for stream, rule in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    _finish(axes, comparison, legend=False)
    return Picture("Alerts", _svg(figure), "A bar for each episode: A above, B below.")


def frame_pictures(
    comparison: Comparison, videos: Mapping[str, VideoSettings]
) -> list[tuple[Picture, Picture]]:
    """Frames that both count most differently, apart from each other, as A and as B sees them.

    Raises:
        SourceError: a video cannot be read any more.
    """
    shown = []
    for place in disagreements(comparison):
        stream, sequence = comparison.frames[place]
        if stream not in videos:
            continue
        _, rgb = next(iter(decode_frames(videos[stream], [sequence], kind="full")))
        seconds = (comparison.time_ns[place] - comparison.time_ns[0]) / NANOSECONDS
        title = f"{stream}, frame {sequence}, at {seconds:.1f} s"
        pair = []
        for label, side in (("A", comparison.a), ("B", comparison.b)):
            verdict = side.found.verdicts[stream, sequence]
            text = f"{label}: {len(comparison.question.boxes(verdict.answer))} counted"
            pair.append(Picture(title, _jpeg(annotate(rgb, verdict.answer, text)), text))
        shown.append((pair[0], pair[1]))
    return shown


def disagreements(comparison: Comparison) -> list[int]:
    """Frames with the largest differences of counts, no two within a block; in order."""
    a, b = comparison.a.scores, comparison.b.scores
    apart = np.abs(np.nan_to_num(a.counts) - np.nan_to_num(b.counts)) + (a.yes != b.yes)
    chosen: list[int] = []
    blocks = comparison.blocks.of_frame
    for place in np.argsort(-apart, kind="stable").tolist():
        if apart[place] == 0 or len(chosen) == MOST_FRAMES:
            break
        if blocks[place] not in blocks[chosen]:
            chosen.append(place)
    return sorted(chosen)


def _both(a: Both, b: Both) -> list[tuple[str, Both, str]]:
    """What both have, with the names and colours of both."""
    return [("A", a, A_COLOUR), ("B", b, B_COLOUR)]


def _figure(height: float) -> tuple[Figure, Axes]:
    figure, (axes,) = _figures(height, 1)
    return figure, axes


def _figures(height: float, rows: int) -> tuple[Figure, Sequence[Axes]]:
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(WIDTH_INCHES, height * max(rows, 1)), layout="constrained")
        axes = figure.subplots(max(rows, 1), 1, sharex=True, squeeze=False)
    return figure, axes[:, 0].tolist()


def _times(comparison: Comparison) -> tuple[int, float, str]:
    """The first event time, the unit of the axis in seconds, and its name."""
    times = comparison.time_ns
    begin, span = (int(times[0]), int(times[-1] - times[0])) if len(times) else (0, 0)
    seconds = span / NANOSECONDS
    for unit, name, most in ((1.0, "seconds", 600.0), (60.0, "minutes", 36_000.0)):
        if seconds <= most:
            return begin, unit, name
    return begin, 3600.0, "hours"


def _binned(
    comparison: Comparison, part: NDArray[np.float64], whole: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The ratio of sums in stretches of equal length; their middles in the axis's unit."""
    begin, unit, _ = _times(comparison)
    x = (comparison.time_ns - begin) / NANOSECONDS / unit
    bins = max(min(MOST_BINS, len(x) // 4), 1)
    edges = np.linspace(0.0, float(x[-1]) if len(x) and x[-1] > 0 else 1.0, bins + 1)
    above = np.histogram(x, edges, weights=part)[0]
    below = np.histogram(x, edges, weights=whole)[0]
    y = np.divide(above, below, out=np.full(bins, np.nan), where=below > 0)
    return (edges[:-1] + edges[1:]) / 2, y


def _line(
    axes: Axes,
    comparison: Comparison,
    part: NDArray[np.float64],
    whole: NDArray[np.float64],
    colour: str,
    label: str,
) -> None:
    x, y = _binned(comparison, part, whole)
    axes.plot(x, y, color=colour, label=label, linewidth=1.8)


def _finish(axes: Axes, comparison: Comparison, *, legend: bool = True) -> None:
    axes.set_axisbelow(True)
    begin, unit, name = _times(comparison)
    span = (int(comparison.time_ns[-1]) - begin) / NANOSECONDS / unit if comparison.frames else 1.0
    axes.set_xlim(0, max(span, 1e-9))
    axes.set_xlabel(f"{name} of event time")
    axes.label_outer()
    if legend:
        axes.legend(
            loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0, frameon=False
        )


def _short(text: str) -> str:
    return text if len(text) <= 24 else f"{text[:23]}…"


def _svg(figure: Figure) -> str:
    target = io.BytesIO()
    with mpl.rc_context(_STYLE):
        figure.savefig(target, format="svg", metadata={"Date": None, "Creator": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(target.getvalue()).decode()}"


def _jpeg(rgb: NDArray[np.uint8]) -> str:
    height = round(rgb.shape[0] * FRAME_PIXELS / rgb.shape[1])
    small = cv2.resize(rgb, (FRAME_PIXELS, max(height, 1)), interpolation=cv2.INTER_AREA)
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    done, data = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), options)
    if not done:
        raise SourceError("a frame must be a picture that JPEG can hold")
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}"
