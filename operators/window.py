"""Windows: aggregates over event time, from observations, with honest intervals.

Windows are made of panes (Li et al., SIGMOD Record 2005), so overlapping ones share their answers.
The watermark is the greatest event time seen, less the out-of-orderness. A window is reported when
the watermark passes its end. A frame that comes later, within the lateness, corrects it: the
estimate is told again with the next revision. Frames that come later still are counted as dropped.

An estimate is unbiased whatever the proxy is worth, since how much of it is taken was learned from
panes before. Each interval holds by itself: of many intervals at 95 % one in twenty may miss.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import bytewax.operators as op
import numpy as np
from bytewax.dataflow import operator
from bytewax.operators import KeyedStream
from typing_extensions import override

from operators.keyed import KeyedLogic
from operators.observations import Observations, held
from operators.panes import Pane, joined, pane_of
from operators.window_estimate import coefficients
from operators.window_report import (
    WindowReport,
    estimates,
    no_answers,
    no_frames,
    too_late,
    unanswered,
)
from operators.window_settings import WindowSettings
from records import Estimate, RecordError, StreamEvent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class WindowState:
    """All that survives a restart. Panes are numbered from 1970; a window by the pane after it.

    Attributes:
        latest_ns: The greatest event time seen, nanoseconds; None before the first.
        closed: Every window up to this one was reported.
        first: The first pane that had frames.
        panes: The panes that windows may still need.
        learned: The coefficients of those panes that a window needed so far.
        reported: How often a window that may yet be corrected was reported, and its late frames.
        proxy: The last proxy, float64 (groups,).
    """

    latest_ns: int | None = None
    closed: int = 0
    first: int = 0
    panes: dict[int, Pane] = field(default_factory=dict)
    learned: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    reported: dict[int, tuple[int, int]] = field(default_factory=dict)
    proxy: NDArray[np.float64] | None = None


class Windows(KeyedLogic[Observations, WindowReport, WindowState]):
    """The windows of one stream.

    Args:
        settings: What they are asked.
        resume: The state to go on from; None at a new start.

    >>> from operators.window_settings import Aggregate
    >>> second = 10**9
    >>> windows = Windows(WindowSettings("traffic", ("car",), (Aggregate.AVERAGE,), 10, most=9))
    >>> times = np.arange(11) * second
    >>> report = windows.on_item(Observations.of("gate", times, np.full(11, 3.0)))
    >>> [(one.name, one.value, one.frames) for one in report.estimates]
    [('traffic/average/car', 3.0, 10)]
    """

    def __init__(self, settings: WindowSettings, resume: WindowState | None = None) -> None:
        state = resume or WindowState()
        self._settings = settings
        self._latest_ns = state.latest_ns
        self._closed, self._first = state.closed, state.first
        self._panes = dict(state.panes)
        self._learned = dict(state.learned)
        self._reported = dict(state.reported)
        self._proxy = np.full(len(settings.groups), np.nan) if state.proxy is None else state.proxy

    @override
    def on_item(self, item: Observations) -> WindowReport | None:
        """Take the next observations; the windows that are done with them.

        Raises:
            RecordError: the observations have other groups, or no tracks where they are needed.
        """
        self._check(item)
        told: list[Estimate] = []
        events = list(unanswered(item))
        closed = self._closed
        revised: set[int] = set()
        for part in self._runs(item.time_ns):
            revised |= self._take(item, part, events)
            self._latest_ns = max(int(item.time_ns[part].max()), self._latest_ns or 0)
            self._close(item.stream, self._passed(self._latest_ns), told, events)
        for end in sorted(revised):
            self._report(item.stream, end, told, events)
        if item.ended and self._panes:
            last = max(max(self._panes) + self._settings.panes, self._closed)
            self._close(item.stream, last, told, events)
        if self._closed > closed:
            self._forget()
        return WindowReport(tuple(told), tuple(events)) if told or events else None

    @override
    def snapshot(self) -> WindowState:
        """The state to go on from; never changed afterwards."""
        return WindowState(
            self._latest_ns,
            self._closed,
            self._first,
            dict(self._panes),
            dict(self._learned),
            dict(self._reported),
            self._proxy,
        )

    def _check(self, item: Observations) -> None:
        settings = self._settings
        if item.groups != len(settings.groups):
            raise RecordError(
                f"the query {settings.name} has {len(settings.groups)} groups, but the "
                f"observations of {item.stream} have {item.groups}"
            )
        if settings.tracked and item.sightings is None:
            raise RecordError(
                f"the query {settings.name} needs tracks, but the observations of {item.stream} "
                "have none; track every frame before"
            )

    def _passed(self, latest_ns: int) -> int:
        """The last window whose end the watermark has passed."""
        return max((latest_ns - self._settings.bound_ns) // self._settings.slide_ns, self._closed)

    def _runs(self, time_ns: NDArray[np.int64]) -> Iterator[slice]:
        """Cut frames where the watermark passes the end of a window, or of its lateness.

        So what is late does not depend on how frames are cut into batches.
        """
        if not len(time_ns):
            return
        if self._latest_ns is None:
            first = int(time_ns[0]) // self._settings.slide_ns
            self._latest_ns = int(time_ns[0])
            self._first = first
            self._closed = max(self._passed(self._latest_ns), self._settings.panes - 1)
        latest = np.maximum.accumulate(np.concatenate([[self._latest_ns], time_ns[:-1]]))
        settings = self._settings
        ends = [
            (latest - bound) // settings.slide_ns for bound in (settings.bound_ns, settings.late_ns)
        ]
        cuts = np.flatnonzero(np.diff(ends).any(axis=0)) + 1
        start = 0
        for end in [*cuts.tolist(), len(time_ns)]:
            yield slice(start, end)
            start = end

    def _take(self, item: Observations, part: slice, events: list[StreamEvent]) -> set[int]:
        """Put frames into their panes; the reported windows that are wrong now."""
        settings = self._settings
        time_ns = item.time_ns[part]
        assert self._latest_ns is not None
        passed = self._passed(self._latest_ns)
        final = self._final(self._latest_ns)
        pane = time_ns // settings.slide_ns
        proxy, self._proxy = held(item.proxy[part], self._proxy)
        value = settings.columns(item.value[part], proxy=False)
        proxies = settings.columns(np.nan_to_num(proxy), proxy=True)
        revised: set[int] = set()
        for number in np.unique(pane).tolist():
            chosen = np.flatnonzero(pane == number)
            if number + settings.panes <= final:
                events.append(too_late(item.stream, int(time_ns[chosen[0]]), len(chosen)))
                continue
            tracks = self._tracks(item, part, chosen)
            weight = item.weight[part][chosen]
            fresh = pane_of(
                time_ns[chosen], weight, value[chosen], proxies[chosen], tracks, item.shared
            )
            known = self._panes.get(number)
            self._panes[number] = fresh if known is None else joined([known, fresh])
            self._first = min(self._first, number)
            first_window = max(number + 1, final + 1, settings.panes)
            for end in range(first_window, min(number + settings.panes, passed) + 1):
                revision, late = self._reported.get(end, (0, 0))
                self._reported[end] = revision, late + len(chosen)
                revised.add(end)
        return revised

    def _tracks(
        self, item: Observations, part: slice, chosen: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """The pairs of group and track in chosen frames of a part."""
        if not self._settings.tracked or item.sightings is None:
            return np.empty((0, 2), np.int64)
        seen = np.isin(item.sightings[:, 0], chosen + part.start)
        return item.sightings[seen, 1:]

    def _final(self, latest_ns: int) -> int:
        """The last window that is corrected no more."""
        return min((latest_ns - self._settings.late_ns) // self._settings.slide_ns, self._closed)

    def _close(
        self, stream: str, until: int, told: list[Estimate], events: list[StreamEvent]
    ) -> None:
        """Report the windows up to `until` that were not reported yet."""
        if until <= self._closed:
            return
        size = self._settings.panes
        begun = max(self._closed, self._first, size - 1) + 1
        full = {
            end
            for pane in self._panes
            for end in range(max(pane + 1, begun), min(pane + size, until) + 1)
        }
        for end in sorted(full):
            self._report(stream, end, told, events)
        missing = until - begun + 1 - len(full)
        if missing > 0:
            first = begun
            while first in full:
                first += 1
            events.append(no_frames(stream, self._settings, first, missing))
        self._closed = until

    def _report(
        self, stream: str, end: int, told: list[Estimate], events: list[StreamEvent]
    ) -> None:
        """Report a window, or tell that it has no answers."""
        size = self._settings.panes
        numbers = [number for number in range(end - size, end) if number in self._panes]
        panes = [self._panes[number] for number in numbers]
        revision, late = self._reported.get(end, (0, 0))
        learned = [self._coefficients(number) for number in numbers]
        found = estimates(stream, self._settings, end, panes, learned, late, revision)
        if found:
            told.extend(found)
            self._reported[end] = revision + 1, late
        if len(found) < len(self._settings.groups) * len(self._settings.aggregates):
            events.append(no_answers(stream, self._settings, end, panes))

    def _coefficients(self, number: int) -> NDArray[np.float64]:
        """What was learned for a pane, from as many panes before it as a window has."""
        if number not in self._learned:
            size, pane = self._settings.panes, self._panes[number]
            earlier = range(number - size, number)
            self._learned[number] = coefficients(
                [self._panes[k] for k in earlier if k in self._panes], len(pane.proxy_sum)
            )
        return self._learned[number]

    def _forget(self) -> None:
        """Drop what no window will need."""
        if self._latest_ns is None:
            return
        final, size = self._final(self._latest_ns), self._settings.panes
        self._reported = {end: told for end, told in self._reported.items() if end > final}
        self._learned = {k: one for k, one in self._learned.items() if k + size > final}
        self._panes = {k: pane for k, pane in self._panes.items() if k + 2 * size > final}


@dataclass(frozen=True, slots=True)
class WindowOut:
    """What comes of windows, keyed by stream.

    Attributes:
        estimates: The estimates, in order of their windows.
        events: Windows without frames or answers, and frames that came too late.
    """

    estimates: KeyedStream[Estimate]
    events: KeyedStream[StreamEvent]


@operator
def window(step_id: str, up: KeyedStream[Observations], settings: WindowSettings) -> WindowOut:
    """Estimate aggregates over the windows of each stream."""
    reports = op.stateful_batch("window", up, lambda resume: Windows(settings, resume).as_bytewax())
    return WindowOut(
        op.flat_map_value("estimates", reports, lambda report: report.estimates),
        op.flat_map_value("events", reports, lambda report: report.events),
    )
