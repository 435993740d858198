"""Reports of windows: estimates, and events for what could not be estimated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from operators.panes import distinct
from operators.window_estimate import interval, window_sample
from operators.window_settings import Aggregate
from records import Estimate, EventKind, StreamEvent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from operators.observations import Observations
    from operators.panes import Pane
    from operators.window_estimate import WindowSample
    from operators.window_settings import WindowSettings

FEWEST_ANSWERS = 2
"""With fewer answers, and no bound on the values, nothing is known of a window of more frames."""


@dataclass(frozen=True, slots=True)
class WindowReport:
    """What a batch of observations brought.

    Attributes:
        estimates: In order of their windows.
        events: Windows without frames or answers, and frames that came too late.
    """

    estimates: tuple[Estimate, ...]
    events: tuple[StreamEvent, ...]


def estimates(
    stream: str,
    settings: WindowSettings,
    end: int,
    panes: Sequence[Pane],
    learned: Sequence[NDArray[np.float64]],
    late: int,
    revision: int,
) -> list[Estimate]:
    """The estimates of a window; fewer than asked for where too little was answered.

    Args:
        stream: The stream's name.
        settings: What is asked.
        end: The window, by the pane after it.
        panes: Its panes that have frames, in order, one at least.
        learned: The coefficients of each.
        late: Frames that came after it was first reported.
        revision: How often it was reported before.
    """
    sample = window_sample(panes, learned)
    tracks = distinct(np.concatenate([pane.tracks for pane in panes]))
    found = []
    for group, name in enumerate(settings.groups):
        for aggregate in settings.aggregates:
            if aggregate is Aggregate.TRACKS:
                count = float(np.count_nonzero(tracks[:, 0] == group))
                ends: tuple[float, float, float] | None = (count, count, count)
            else:
                ends = _mean(settings, aggregate, group, sample)
            if ends is None:
                continue
            value, low, high = ends
            found.append(
                Estimate(
                    stream=stream,
                    name=settings.estimate_name(aggregate, name),
                    start_ns=(end - settings.panes) * settings.slide_ns,
                    end_ns=end * settings.slide_ns,
                    value=value,
                    low=low,
                    high=high,
                    confidence=settings.confidence,
                    reference_calls=sample.calls,
                    frames=sample.frames,
                    late=late,
                    revision=revision,
                )
            )
    return found


def _mean(
    settings: WindowSettings, aggregate: Aggregate, group: int, sample: WindowSample
) -> tuple[float, float, float] | None:
    """A mean or a sum with the ends of its interval; None where nothing is known."""
    most = 1.0 if aggregate is Aggregate.PRESENCE else settings.most
    scale = float(sample.frames) if aggregate is Aggregate.SUM else 1.0
    if most is not None and not sample.calls:
        return scale * most / 2, 0.0, scale * most
    if sample.calls < min(FEWEST_ANSWERS, sample.frames) and most is None:
        return None
    told = interval(sample, settings.column(aggregate, group), settings.confidence, most)
    return scale * told.value, scale * told.low, scale * told.high


def no_frames(stream: str, settings: WindowSettings, first: int, windows: int) -> StreamEvent:
    """Tells of windows without frames, from the window `first` on."""
    start_ns = (first - settings.panes) * settings.slide_ns
    return StreamEvent(
        stream,
        start_ns,
        EventKind.WINDOW,
        reason="no_frames",
        detail=f"{windows} windows of {settings.name} have no frames",
    )


def no_answers(
    stream: str, settings: WindowSettings, end: int, panes: Sequence[Pane]
) -> StreamEvent:
    """Tells of a window whose frames the reference answered too rarely."""
    return StreamEvent(
        stream,
        (end - settings.panes) * settings.slide_ns,
        EventKind.WINDOW,
        sum(pane.frames for pane in panes),
        "no_answers",
        f"a window of {settings.name} has fewer than {FEWEST_ANSWERS} answers of the reference",
    )


def unanswered(item: Observations) -> Iterator[StreamEvent]:
    """Tells of drawn frames for which the reference gave no answer, if there are any."""
    missing = np.flatnonzero(item.drawn & np.isnan(item.value.sum(axis=1)))
    if len(missing):
        time_ns = int(item.time_ns[missing[0]])
        yield StreamEvent(item.stream, time_ns, EventKind.WINDOW, len(missing), "no_answer")


def too_late(stream: str, time_ns: int, frames: int) -> StreamEvent:
    """Tells of frames that came when their windows were final."""
    return StreamEvent(stream, time_ns, EventKind.WINDOW, frames, "too_late")
