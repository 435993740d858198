"""Hypothesis strategies for records, and small records with round numbers for examples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import hypothesis.extra.numpy as arrays
import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from records import (
    Alert,
    AlertState,
    Classification,
    Correction,
    CorrectionKind,
    Detections,
    Estimate,
    EventKind,
    Finding,
    Place,
    Reading,
    Record,
    Stage,
    StreamEvent,
    Verdict,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

START_NS = 1_700_000_000_000_000_000
"""The event time at which the example streams start, 2023-11-14T22:13:20Z."""

FRAME_NS = 100_000_000
"""One frame at 10 Hz."""

repeatable = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
"""Decorates property tests: the same examples in every run, and no clock decides."""

_LATEST = 2**63 - 1

counts = st.integers(0, _LATEST)
numbers = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(max_size=20)
names = st.text(
    st.characters(exclude_categories=["C", "Z"], exclude_characters=":"), min_size=1, max_size=20
)


def _float32(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, width=32)


@st.composite
def detections(draw: st.DrawFn) -> Detections:
    """Up to 5 boxes of up to 3 classes."""
    n = draw(st.integers(0, 5))
    corners = draw(arrays.arrays(np.float32, (n, 2, 2), elements=_float32(-1e4, 1e4)))
    corners.sort(axis=1)
    return Detections.of(
        corners.reshape(n, 4),
        draw(arrays.arrays(np.float32, n, elements=_float32(0, 1))),
        draw(st.lists(st.sampled_from(["person", "car", "café"]), min_size=n, max_size=n)),
        tracks=draw(arrays.arrays(np.int64, n, elements=st.integers(-1, _LATEST))),
    )


@st.composite
def verdicts(draw: st.DrawFn) -> Verdict:
    sequence = draw(counts)
    copied = st.none() | st.integers(0, sequence - 1) if sequence else st.none()
    audited = draw(st.booleans())
    return Verdict(
        stream=draw(names),
        sequence=sequence,
        time_ns=draw(counts),
        stage=draw(st.sampled_from(Stage)),
        score=draw(numbers),
        answer=draw(detections()),
        copied_from=draw(copied),
        positive=draw(st.sampled_from([None, False, True])),
        audited=audited,
        unaudited=draw(st.sampled_from([None, False, True])) if audited else None,
        corrected=draw(st.sampled_from([(), ("flicker",), ("flicker", "multibox")])),
    )


@st.composite
def estimates(draw: st.DrawFn) -> Estimate:
    start, end = sorted(draw(st.tuples(counts, counts).filter(lambda pair: pair[0] != pair[1])))
    low, value, high = sorted(draw(st.tuples(numbers, numbers, numbers)))
    return Estimate(
        stream=draw(names),
        name=draw(names),
        start_ns=start,
        end_ns=end,
        value=value,
        low=low,
        high=high,
        confidence=draw(st.floats(0, 1, exclude_min=True, exclude_max=True)),
        reference_calls=draw(counts),
        frames=draw(counts),
        late=draw(counts),
        revision=draw(counts),
    )


@st.composite
def readings(draw: st.DrawFn) -> Reading:
    width = draw(st.integers(1, 3))
    shape = (draw(st.integers(0, 5)), width)
    labels = st.lists(texts, min_size=width, max_size=width)
    return Reading(
        stream=draw(names),
        sequence=draw(counts),
        time_ns=draw(counts),
        rate_hz=draw(st.floats(0, 1e9, exclude_min=True)),
        samples=draw(arrays.arrays(np.float32, shape, elements=st.floats(width=32))),
        channels=tuple(draw(labels)),
        units=tuple(draw(labels)),
    )


@st.composite
def corrections(draw: st.DrawFn) -> Correction:
    """Up to 3 places, with boxes or without."""
    kind = draw(st.sampled_from(CorrectionKind))
    boxed = kind is CorrectionKind.INTERPOLATE or draw(st.booleans())
    places = [
        Place(sequence, draw(counts), draw(_boxes) if boxed else None, draw(st.floats(0, 1)))
        for sequence in sorted(draw(st.lists(counts, min_size=1, max_size=3)))
    ]
    track = draw(st.integers(-1, _LATEST))
    return Correction(kind, tuple(places), draw(names), track, draw(names))


@st.composite
def findings(draw: st.DrawFn) -> Finding:
    start, sequence = sorted(draw(st.tuples(counts, counts)))
    correction = draw(st.none() | corrections())
    chances = st.none() | st.floats(0, 1)
    return Finding(
        stream=draw(names),
        assertion=draw(names),
        sequence=sequence,
        time_ns=draw(counts),
        start_sequence=start,
        start_ns=draw(counts),
        severity=draw(st.floats(0, 1e9, exclude_min=True)),
        message=draw(texts),
        object=draw(st.just("") | names),
        model_wrong=draw(chances),
        correction_right=draw(chances) if correction else None,
        correction=correction,
    )


@st.composite
def classifications(draw: st.DrawFn) -> Classification:
    """Up to 4 classes, all of which are about as likely."""
    classes = tuple(draw(st.lists(names, min_size=1, max_size=4, unique=True)))
    share = 1 / len(classes)
    return Classification(
        draw(names), draw(counts), draw(counts), draw(st.integers(1, _LATEST)), classes,
        (share,) * len(classes),
    )  # fmt: skip


_boxes = st.tuples(*[st.floats(-1e6, 1e6)] * 4).map(
    lambda box: (min(box[::2]), min(box[1::2]), max(box[::2]), max(box[1::2]))
)
alerts = st.builds(
    Alert,
    stream=names,
    rule=names,
    state=st.sampled_from(AlertState),
    time_ns=counts,
    sequence=counts,
    opened_ns=counts,
    opened_sequence=counts,
    severity=numbers,
    value=numbers,
    peak=numbers,
    message=texts,
    stage=texts,
    model=texts,
    configuration=texts,
    object=st.just("") | names,
    count=counts,
)
stream_events = st.builds(
    StreamEvent,
    stream=names,
    time_ns=counts,
    kind=st.sampled_from(EventKind),
    count=counts,
    reason=texts,
    detail=texts,
)


def records() -> st.SearchStrategy[Record]:
    """Any record of any kind."""
    return st.one_of(
        verdicts(), alerts, stream_events, estimates(), readings(), findings(), classifications()
    )


def people(*boxes: tuple[float, float, float, float]) -> Detections:
    """Detections of people at these boxes, with the score 0.5 and tracks 1, 2, 3 …"""
    return Detections.of(
        np.array(boxes, np.float32).reshape(-1, 4),
        [0.5] * len(boxes),
        ["person"] * len(boxes),
        tracks=np.arange(1, len(boxes) + 1),
    )


def verdict(stream: str = "gate", sequence: int = 0, stage: Stage = Stage.REFERENCE) -> Verdict:
    """Frame `sequence` of a 10 Hz stream, with one person in it."""
    return Verdict(
        stream, sequence, START_NS + sequence * FRAME_NS, stage, 0.5, people((1, 2, 3, 4))
    )


def alert(stream: str = "gate", sequence: int = 0, state: AlertState = AlertState.OPENED) -> Alert:
    """An alert of the rule ``crowd`` at frame `sequence`, opened there."""
    time_ns = START_NS + sequence * FRAME_NS
    return Alert(
        stream=stream,
        rule="crowd",
        state=state,
        time_ns=time_ns,
        sequence=sequence,
        opened_ns=time_ns,
        opened_sequence=sequence,
        severity=1.5,
        value=6.0,
        peak=6.0,
        message="6 persons, at most 4 allowed",
        stage="reference",
        model="yolox_nano",
        configuration="ab12",
    )


def event(
    stream: str = "gate", kind: EventKind = EventKind.OPENED, count: int = 0, reason: str = ""
) -> StreamEvent:
    """What befell a stream at its start."""
    return StreamEvent(stream, START_NS, kind, count, reason)


def estimate(stream: str = "gate") -> Estimate:
    """The average count of the first minute."""
    return Estimate(
        stream, "people", START_NS, START_NS + 60 * 10**9, 2.5, 2.25, 2.75, 0.95, 60, 600
    )


def reading(stream: str = "ecg") -> Reading:
    """Three samples of one lead; the second is missing."""
    samples: NDArray[np.float32] = np.array([[0.5], [np.nan], [-0.25]], np.float32)
    return Reading(stream, 0, START_NS, 300.0, samples, ("lead I",), ("mV",))


def finding(stream: str = "gate", sequence: int = 2) -> Finding:
    """A person who flickered for one frame, at frame `sequence`."""
    time_ns = START_NS + sequence * FRAME_NS
    place = Place(sequence - 1, time_ns - FRAME_NS, (1.0, 2.0, 3.0, 4.0), 0.5)
    return Finding(
        stream=stream,
        assertion="flicker",
        sequence=sequence,
        time_ns=time_ns,
        start_sequence=sequence - 1,
        start_ns=time_ns - FRAME_NS,
        severity=0.75,
        message="person 7 was gone for 1 frame",
        object="7",
        correction=Correction(CorrectionKind.INTERPOLATE, (place,), "person", 7),
    )
