"""Streaming classification of ECG: blocks of samples in, class probabilities of each window out.

A window's probabilities depend on the signal around it, so a model is run over new windows with as
much signal before and after them as it looks at: the overlap. What comes out is, to rounding, what
the model says of the whole recording at once. The price is that a window waits for the signal
after it, and that the overlap is computed again. Both are settings: fewer windows a call mean less
waiting and more overlap.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import bytewax.operators as op
import numpy as np
from bytewax.dataflow import operator
from bytewax.operators import KeyedStream
from typing_extensions import override

from operators.ecg_stream_settings import EcgStreamSettings, EcgStreamState
from operators.keyed import KeyedLogic
from records import (
    Classification,
    ClassificationBatch,
    EventKind,
    Reading,
    SignalClassifier,
    StreamEvent,
)
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["EcgStream", "EcgStreamSettings", "EcgStreamState", "ecg_stream"]

MOST_WINDOWS = 2048
"""The most new windows in one call of the model: longer signals are cut, to bound its memory."""

GAP = "gap"
"""The reason of an event that counts samples which never came."""

LATE = "late"
"""The reason of an event that counts samples of a time that is already over."""

NOT_FIT = "not_fit"
"""The reason of an event that counts samples of another rate, or without the channel."""

PART_OF_WINDOW = "part_of_window"
"""The reason of an event that counts the last samples of a run, too few for a window."""

MISSING = "missing"
"""The reason of an event that counts samples which are no number."""

RATE_TOLERANCE = 1e-6
"""How far a block's rate may be from the model's, as a share."""

_ENDS = (EventKind.LOST, EventKind.UNREADABLE, EventKind.TRUNCATED, EventKind.ENDED)


class EcgStream(KeyedLogic[Reading | StreamEvent, ClassificationBatch, EcgStreamState]):
    """Classifies the windows of one stream.

    Readings that do not fit and samples that are lost become DROPPED events, samples that are no
    number a CORRUPT one; each counts samples. A gap ends a run: its last windows are classified as
    at a recording's end, and the next run begins without context. Times within a run count its
    samples. Events of the source pass through; LOST, UNREADABLE, TRUNCATED and ENDED end the run
    too.

    Args:
        settings: How to classify.
        model: The model.
        resume: The state to go on from; None at a new start.
    """

    def __init__(
        self,
        settings: EcgStreamSettings,
        model: SignalClassifier,
        resume: EcgStreamState | None = None,
    ) -> None:
        self._settings = settings
        self._model = model
        self._state = resume or EcgStreamState()
        self._found: list[Classification] = []
        self._events: list[StreamEvent] = []

    @override
    def on_item(self, item: Reading | StreamEvent) -> ClassificationBatch | None:
        """Take a block or an event; None when nothing follows from it."""
        batches = self.on_items([item])
        return batches[0] if batches else None

    @override
    def on_items(self, items: list[Reading | StreamEvent]) -> list[ClassificationBatch]:
        """Take all that is there, and run the model once for all windows that are ready."""
        for item in items:
            if isinstance(item, StreamEvent):
                self._take_event(item)
            else:
                self._take(item)
        if not items:
            return []
        stream = items[-1].stream
        self._state = replace(self._state, stream=stream)
        self._classify(stream, ended=False)
        batch = self._batch(stream)
        return [] if batch is None else [batch]

    @override
    def flush(self) -> ClassificationBatch | None:
        """Classify what is left of the run."""
        stream = self._state.stream
        if not stream:
            return None
        self._end_run(stream)
        return self._batch(stream)

    def _batch(self, stream: str) -> ClassificationBatch | None:
        found, events = tuple(self._found), tuple(self._events)
        self._found, self._events = [], []
        return ClassificationBatch(stream, found, events) if found or events else None

    @override
    def snapshot(self) -> EcgStreamState:
        """The state to go on from after a restart."""
        return replace(self._state, signal=self._state.signal.copy())

    def _take_event(self, event: StreamEvent) -> None:
        if event.kind in _ENDS:
            self._end_run(event.stream)
        self._events.append(event)

    def _take(self, reading: Reading) -> None:
        """Add a block to the run, after what its time asks for."""
        if not len(reading.samples):
            return
        problem = self._misfit(reading)
        if problem:
            self._drop(reading, NOT_FIT, problem)
            return
        state, tolerance_ns = self._state, self._settings.tolerance_seconds * NANOSECONDS
        ahead_ns = 0 if state.end_ns is None else reading.time_ns - state.end_ns
        if ahead_ns < -tolerance_ns:
            self._drop(reading, LATE, f"it begins {-ahead_ns / NANOSECONDS:.3f} s too early")
            return
        if ahead_ns > tolerance_ns:
            self._end_run(reading.stream)
            lost = round(ahead_ns * reading.rate_hz / NANOSECONDS)
            self._tell(reading.stream, reading.time_ns, EventKind.DROPPED, lost, GAP)
        if self._state.start_ns is None:
            self._state = replace(self._state, start_ns=reading.time_ns)
        self._add(reading)

    def _misfit(self, reading: Reading) -> str:
        """Why a block cannot be classified; empty where it can."""
        channel, rate_hz = self._settings.channel, self._model.rate_hz
        if not math.isclose(reading.rate_hz, rate_hz, rel_tol=RATE_TOLERANCE):
            return f"rate_hz must be the model's, {rate_hz:g}, got {reading.rate_hz:g}"
        if channel and channel not in reading.channels:
            return f"channels must hold {channel!r}, got {', '.join(reading.channels)}"
        return ""

    def _add(self, reading: Reading) -> None:
        channel, state = self._settings.channel, self._state
        place = reading.channels.index(channel) if channel else 0
        block = reading.samples[:, place].copy()
        missing = ~np.isfinite(block)
        if missing.any():
            block[missing] = np.nan
            count = int(np.count_nonzero(missing))
            self._tell(reading.stream, reading.time_ns, EventKind.CORRUPT, count, MISSING)
        self._state = replace(
            self._state,
            signal=np.concatenate([state.signal, block]),
            end_ns=reading.time_ns + self._nanoseconds(len(block)),
        )

    def _end_run(self, stream: str) -> None:
        """Classify what is left of the run, as at a recording's end, and be ready for the next."""
        self._classify(stream, ended=True)
        state = self._state
        left = len(state.signal) % self._model.window
        if left:
            assert state.end_ns is not None
            self._tell(stream, state.end_ns, EventKind.DROPPED, left, PART_OF_WINDOW)
        self._state = EcgStreamState(
            sequence=state.sequence,
            end_ns=state.end_ns,
            event_ns=self._state.event_ns,
            stream=stream,
        )

    def _classify(self, stream: str, *, ended: bool) -> None:
        """Classify the windows that are ready: those with context behind them, or all at an end."""
        window, context = self._model.window, self._model.context
        there = self._state.first + len(self._state.signal) // window
        ready = there if ended else there - context
        if not ended and ready - self._state.done < self._settings.new_windows:
            return
        while self._state.done < ready:
            state = self._state
            done = min(ready, state.done + MOST_WINDOWS)
            cut = (min(done + context, there) - state.first) * window
            found = self._model.classify(state.signal[:cut])
            self._emit(stream, found[state.done - state.first : done - state.first])
            first = max(done - context, 0)
            self._state = replace(
                self._state,
                signal=state.signal[(first - state.first) * window :],
                first=first,
                done=done,
            )

    def _emit(self, stream: str, probabilities: NDArray[np.float32]) -> None:
        state, window = self._state, self._model.window
        assert state.start_ns is not None
        duration_ns, classes = self._nanoseconds(window), self._model.classes
        for place, row in enumerate(probabilities.tolist()):
            time_ns = state.start_ns + self._nanoseconds((state.done + place) * window)
            self._found.append(
                Classification(
                    stream, state.sequence + place, time_ns, duration_ns, classes, tuple(row)
                )
            )
        self._state = replace(state, sequence=state.sequence + len(probabilities))

    def _nanoseconds(self, samples: int) -> int:
        return round(samples / self._model.rate_hz * NANOSECONDS)

    def _drop(self, reading: Reading, reason: str, detail: str) -> None:
        count = len(reading.samples)
        self._tell(reading.stream, reading.time_ns, EventKind.DROPPED, count, reason, detail)

    def _tell(
        self,
        stream: str,
        time_ns: int,
        kind: EventKind,
        count: int,
        reason: str,
        detail: str = "",
    ) -> None:
        """Tell an event, later than any before: its id is made of kind and time."""
        time_ns = max(time_ns, self._state.event_ns + 1)
        self._state = replace(self._state, event_ns=time_ns)
        self._events.append(StreamEvent(stream, time_ns, kind, count, reason, detail))


@operator
def ecg_stream(
    step_id: str,
    up: KeyedStream[Reading | StreamEvent],
    settings: EcgStreamSettings,
    model: SignalClassifier,
) -> KeyedStream[ClassificationBatch]:
    """Classify every window of each stream."""
    return op.stateful_batch(
        "ecg_stream", up, lambda resume: EcgStream(settings, model, resume).as_bytewax()
    )
