"""The report of a comparison of two replays: one HTML file with everything in it."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

from connectors.codec import iso_time
from flows.evaluate.replay_pictures import (
    A_COLOUR,
    B_COLOUR,
    GAINED_COLOUR,
    LOST_COLOUR,
    accuracy_picture,
    alerts_picture,
    counts_picture,
    frame_pictures,
)
from flows.evaluate.replay_score import METRICS
from records import SourceError
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from connectors.video import VideoSettings
    from flows.evaluate.replay import Comparison, Side
    from flows.evaluate.replay_alerts import Episode
    from flows.evaluate.replay_bootstrap import Difference
    from flows.evaluate.replay_pictures import Picture

MOST_LISTED = 50
"""The most alerts that are listed by name."""

PLAIN = frozenset({"count_error"})
"""Scores that are numbers; all others are shares."""

MINUS, NONE = "&minus;", "&ndash;"
"""A minus sign, and what stands where there is no value."""

_TO_MILLISECONDS = len("1970-01-01T00:00:00.000")

_STYLE = f"""
:root {{ color-scheme: light; }}
body {{ margin: 0 auto; padding: 1.5rem 1rem 3rem; max-width: 46rem; background: #fff;
  color: #2b3138; font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }}
h1 {{ font-size: 1.5rem; line-height: 1.25; margin: 0 0 .5rem; }}
h2 {{ font-size: 1.1rem; margin: 2rem 0 .5rem; }}
p {{ margin: .4rem 0; }}
.quiet {{ color: #66717c; font-size: .9rem; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .4rem; border-bottom: 1px solid #e8ecef; text-align: right;
  white-space: nowrap; }}
th:first-child, td:first-child {{ text-align: left; white-space: normal; min-width: 6rem;
  overflow-wrap: normal; }}
th {{ font-weight: 600; font-size: .9rem; }}
td small {{ display: block; color: #66717c; font-weight: 400; white-space: normal; }}
@media (max-width: 30rem) {{ table {{ font-size: .85rem; }} }}
img {{ display: block; width: 100%; height: auto; }}
figure {{ margin: 0; }}
figcaption {{ font-size: .9rem; color: #66717c; padding: .2rem 0 .6rem; }}
.pair {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)); gap: .5rem; }}
.a {{ color: {A_COLOUR}; }} .b {{ color: {B_COLOUR}; }}
.lost {{ color: {LOST_COLOUR}; }} .gained {{ color: {GAINED_COLOUR}; }}
.sure {{ font-weight: 600; }}
"""


def write_report(path: Path, comparison: Comparison, videos: Mapping[str, VideoSettings]) -> None:
    """Write the report.

    Args:
        path: The file.
        comparison: What is reported.
        videos: The videos that frames are taken from, by stream; empty where there are none.

    Raises:
        SourceError: it cannot be written.
    """
    text = report_html(comparison, videos)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SourceError(f"the report {path} cannot be written: {error.strerror}") from error


def report_html(comparison: Comparison, videos: Mapping[str, VideoSettings]) -> str:
    """The report as one HTML document; the same comparison gives the same bytes but for speeds."""
    parts = [
        _head(comparison),
        _table(comparison),
        _figure(accuracy_picture(comparison)),
        _figure(counts_picture(comparison)),
        _alerts(comparison),
        _frames(comparison, videos),
        _footer(comparison),
    ]
    title = f"{comparison.a.file.name} and {comparison.b.file.name}"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def _head(comparison: Comparison) -> str:
    question, n = comparison.question, len(comparison.frames)
    seconds = 0.0
    if n:
        seconds = (comparison.time_ns[-1] - comparison.time_ns[0]) / NANOSECONDS
    return (
        f'<h1><span class="a">A</span> {escape(comparison.a.file.name)} against '
        f'<span class="b">B</span> {escape(comparison.b.file.name)}</h1>\n'
        f"<p>{escape(comparison.study.recording)}: {n:,} frames, {seconds:,.1f} s of event time. "
        f"Asked of each: {question.at_least} or more of class {escape(question.class_name)}?</p>\n"
        f"<p>{_sentence(comparison)}</p>"
    )


def _sentence(comparison: Comparison) -> str:
    """What came of it, in words."""
    told = []
    for name, one in comparison.differences.items():
        if one.is_sure and name in {"frame_accuracy", "f1", "calls"}:
            word = "more" if one.difference > 0 else "fewer"
            told.append(f"B has {word} {METRICS[name]} ({_signed(name, one.difference)} points)")
    if not told:
        told.append("No difference of accuracy or calls is sure")
    changes = comparison.alerts
    told.append(
        f"{len(changes.kept)} alerts kept, {len(changes.lost)} lost, {len(changes.gained)} gained"
    )
    return "; ".join(told) + "."


def _table(comparison: Comparison) -> str:
    head = f'<tr><th>Score</th><th class="a">A</th><th class="b">B</th><th>B {MINUS} A</th></tr>'
    rows = [head]
    known = comparison.differences
    rows += [_row(name, known[name]) for name in METRICS if name in known]
    rows += [
        _plain_row("calls of the reference", _calls(comparison.a), _calls(comparison.b)),
        _plain_row("frames a second", _rate(comparison.a), _rate(comparison.b)),
    ]
    note = (
        f"Truth: {escape(comparison.truth_from)}. Intervals at "
        f"{comparison.study.bootstrap.confidence:.4g} confidence, from {comparison.blocks.count} "
        f"blocks of {comparison.blocks.seconds:.4g} s."
    )
    if all(one.low is None for one in comparison.differences.values()):
        note += " These are too few for intervals."
    table = "<table>" + "".join(rows) + "</table>"
    return f'<div class="wide">{table}</div><p class="quiet">{note}</p>'


def _row(name: str, one: Difference) -> str:
    interval = ""
    if one.low is not None and one.high is not None:
        interval = f"<small>{_signed(name, one.low)} to {_signed(name, one.high)}</small>"
    sure = ' class="sure"' if one.is_sure else ""
    return (
        f"<tr><td>{escape(METRICS[name])}</td><td>{_shown(name, one.a)}</td>"
        f"<td>{_shown(name, one.b)}</td>"
        f"<td{sure}>{_signed(name, one.difference)}{interval}</td></tr>"
    )


def _plain_row(title: str, a: str, b: str) -> str:
    return f"<tr><td>{escape(title)}</td><td>{a}</td><td>{b}</td><td></td></tr>"


def _rate(side: Side) -> str:
    run = side.summary.run
    return f"{run.frames / run.seconds:,.0f}" if run.seconds else NONE


def _calls(side: Side) -> str:
    return f"{side.summary.run.decided.get('reference', 0):,}"


def _shown(name: str, value: float) -> str:
    if math.isnan(value):
        return NONE
    return f"{value:.3f}" if name in PLAIN else f"{value:.2%}"


def _signed(name: str, value: float) -> str:
    if math.isnan(value):
        return NONE
    text = f"{value:+.3f}" if name in PLAIN else f"{value * 100:+.2f}"
    return text.replace("-", MINUS)


def _figure(picture: Picture) -> str:
    return (
        f"<h2>{escape(picture.title)}</h2>\n<figure>"
        f'<img src="{picture.uri}" alt="{escape(picture.text)}"></figure>'
    )


def _alerts(comparison: Comparison) -> str:
    picture, changes = alerts_picture(comparison), comparison.alerts
    if picture is None:
        return "<h2>Alerts</h2><p>Neither raises any.</p>"
    later = changes.later_seconds
    words = ""
    if later is not None:
        when = "later" if later >= 0 else "earlier"
        words = f" B opens those that both have {abs(later):.1f} s {when}."
    key = (
        '<p class="quiet">Above: <span class="a">A</span>, or <span class="lost">lost</span> in B. '
        'Below: <span class="b">B</span>, or <span class="gained">gained</span> in it.'
        f"{words}</p>"
    )
    lists = [_listed("lost", changes.lost), _listed("gained", changes.gained)]
    return _figure(picture) + key + "".join(lists)


def _listed(what: str, episodes: Sequence[Episode]) -> str:
    if not episodes:
        return ""
    rows = [
        (
            f"<tr><td>{escape(f'{one.rule} · {one.stream}')}</td>"
            f"<td>{iso_time(one.opened_ns)[:_TO_MILLISECONDS]}Z</td>"
            f"<td>{(one.closed_ns - one.opened_ns) / NANOSECONDS:.1f} s</td>"
            f"<td>peak {one.peak:g}</td></tr>"
        )
        for one in episodes[:MOST_LISTED]
    ]
    more = len(episodes) - MOST_LISTED
    rest = f'<p class="quiet">and {more} more</p>' if more > 0 else ""
    head = f'<p class="{what}">{what.capitalize()}</p>'
    return f'{head}<div class="wide"><table>{"".join(rows)}</table></div>{rest}'


def _frames(comparison: Comparison, videos: Mapping[str, VideoSettings]) -> str:
    if not videos:
        return ""
    try:
        pairs = frame_pictures(comparison, videos)
    except SourceError as error:
        return f'<h2>Frames</h2><p class="quiet">No frame can be shown: {escape(str(error))}.</p>'
    if not pairs:
        return ""
    shown = "".join(
        f'<figure><div class="pair">{"".join(_image(one) for one in pair)}</div>'
        f"<figcaption>{escape(pair[0].title)}</figcaption></figure>"
        for pair in pairs
    )
    return f"<h2>Frames that they count most differently</h2>{shown}"


def _image(picture: Picture) -> str:
    return f'<img src="{picture.uri}" alt="{escape(picture.text)}">'


def _footer(comparison: Comparison) -> str:
    lines = [
        f"{name}: {escape(str(side.file))}, detector {escape(side.summary.run.model)}, "
        f"SHA-256 of its decisions {side.summary.sha256}"
        for name, side in (("A", comparison.a), ("B", comparison.b))
    ]
    lines.append(
        "Intervals: paired bootstrap over blocks of time, "
        f"{comparison.study.bootstrap.resamples:,} resamples, seed "
        f"{comparison.study.bootstrap.seed}. Each holds by itself. Speeds are those of two runs "
        "one after the other."
    )
    return "<h2>Details</h2>" + "".join(f'<p class="quiet">{line}</p>' for line in lines)
