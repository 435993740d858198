"""Observations: what windows are estimated from, as arrays over consecutive frames.

A frame has a cheap number for each group (the *proxy*, if there is one), and those frames that were
drawn have the reference's number (the *value*). Groups are what a query groups by: one class, one
zone, or both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from operators.draws import check_times
from records import UNTRACKED, RecordError
from records.checks import check_count, check_name

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from operators.predicate import Predicate
    from records import Detections


@dataclass(frozen=True, slots=True, eq=False)
class Observations:
    """Consecutive frames of one stream; n may be 0.

    Attributes:
        stream: The stream's name.
        sequence: int64 (n,), the frames' numbers in the stream.
        time_ns: int64 (n,), their event times, nanoseconds since 1970 UTC.
        proxy: float64 (n, groups), the cheap number; NaN where there is none. It must not depend
            on whether the frame was drawn, or estimates are no longer unbiased.
        weight: float64 (n,), how many frames a drawn frame stands for, the inverse of the
            probability with which it was drawn; 0 where it was not drawn.
        value: float64 (n, groups), the reference's number; NaN where it was not asked, or gave no
            answer.
        sightings: int64 (m, 3), rows of frame (its place in the arrays), group and track: the
            tracked objects of every frame; None where frames are not tracked.
        ended: Whether the stream has ended behind these frames.
        shared: How many neighbouring draws share the offset in their cells; 1 for none.

    Raises:
        RecordError: a shape, dtype or range is wrong; the message names the field.

    >>> Observations.of("gate", [0, 10, 20], [1, np.nan, 4], weight=[2, 0, 2]).drawn.tolist()
    [True, False, True]
    """

    stream: str
    sequence: NDArray[np.int64]
    time_ns: NDArray[np.int64]
    proxy: NDArray[np.float64]
    weight: NDArray[np.float64]
    value: NDArray[np.float64]
    sightings: NDArray[np.int64] | None = None
    ended: bool = False
    shared: int = 1

    def __post_init__(self) -> None:
        check_name("stream", self.stream)
        check_times(self.time_ns)
        check_count("shared", self.shared)
        n = len(self.time_ns)
        groups = self.value.shape[1] if getattr(self.value, "ndim", 0) == 2 else 0
        _check_array("sequence", self.sequence, np.int64, (n,))
        _check_array("weight", self.weight, np.float64, (n,))
        _check_array("value", self.value, np.float64, (n, max(groups, 1)))
        _check_array("proxy", self.proxy, np.float64, (n, groups))
        if n and not ((self.weight == 0) | (np.isfinite(self.weight) & (self.weight >= 1))).all():
            raise RecordError("weight must be 0 (not drawn) or at least 1")
        if np.isinf(self.value).any() or np.isinf(self.proxy).any():
            raise RecordError("value and proxy must be finite, or NaN where there is none")
        if self.sightings is not None:
            _check_array("sightings", self.sightings, np.int64, (len(self.sightings), 3))
            frame, group = self.sightings[:, 0], self.sightings[:, 1]
            if ((frame < 0) | (frame >= n) | (group < 0) | (group >= groups)).any():
                raise RecordError("sightings must name frames and groups of the observations")

    @classmethod
    def of(
        cls,
        stream: str,
        time_ns: Any,  # noqa: ANN401 - anything numpy makes an (n,) array of
        value: Any,  # noqa: ANN401
        *,
        weight: Any = None,  # noqa: ANN401
        proxy: Any = None,  # noqa: ANN401
        start: int = 0,
        shared: int = 1,
    ) -> Observations:
        """Build from anything array-like.

        Args:
            stream: The stream's name.
            time_ns: Event times, nanoseconds.
            value: One column, or one for each group.
            weight: As the field; by default each frame was asked about for sure, weight 1.
            proxy: Like `value`; by default there is none.
            start: The number of the first frame.
            shared: As the field.
        """
        times = np.asarray(time_ns, dtype=np.int64)
        values = np.asarray(value, dtype=np.float64)
        values = values.reshape(len(times), -1) if len(times) else values.reshape(0, 1)
        if proxy is None:
            proxies = np.full(values.shape, np.nan)
        else:
            proxies = np.asarray(proxy, dtype=np.float64).reshape(values.shape)
        weights = np.ones(len(times)) if weight is None else np.asarray(weight, dtype=np.float64)
        sequence = np.arange(start, start + len(times))
        return cls(stream, sequence, times, proxies, weights, values, shared=shared)

    def __len__(self) -> int:
        return len(self.time_ns)

    @property
    def drawn(self) -> NDArray[np.bool_]:
        """Whether each frame was drawn for the reference, bool (n,)."""
        return self.weight > 0

    @property
    def groups(self) -> int:
        """How many groups there are."""
        return int(self.value.shape[1])


class Group(Protocol):
    """One group of a query: what is counted in an answer."""

    @property
    def name(self) -> str:
        """The group's name, a part of the estimate's."""

    def count(self, answer: Detections) -> float:
        """The number that an answer has for the group."""

    def tracks(self, answer: Detections) -> list[int]:
        """The tracks of the objects that count."""


@dataclass(frozen=True, slots=True)
class PredicateGroup:
    """The objects that predicates count, together: class x zone.

    Attributes:
        name: The group's name.
        predicates: What is counted; no object should be counted by two of them.

    Raises:
        RecordError: there is no predicate, or the name is none.

    >>> from operators.predicate import Predicate
    >>> from records import Detections
    >>> vehicles = PredicateGroup("vehicles", (Predicate("car"), Predicate("bus")))
    >>> boxes, classes = [[0, 0, 9, 9]] * 3, ["car", "bus", "dog"]
    >>> found = Detections.of(boxes, [1, 1, 1], classes, tracks=[7, 8, 9])
    >>> vehicles.count(found), vehicles.tracks(found)
    (2.0, [7, 8])
    """

    name: str
    predicates: tuple[Predicate, ...]

    def __post_init__(self) -> None:
        check_name("name", self.name)
        if not self.predicates:
            raise RecordError(f"the group {self.name} must have at least one predicate")

    def count(self, answer: Detections) -> float:
        """How many objects count."""
        return float(sum(predicate.count(answer) for predicate in self.predicates))

    def tracks(self, answer: Detections) -> list[int]:
        """The tracks of the objects that count; a box that no track holds has none."""
        found = []
        for place in np.flatnonzero(answer.tracks != UNTRACKED):
            box = answer.select(np.array([place]))
            if any(predicate.count(box) for predicate in self.predicates):
                found.append(int(answer.tracks[place]))
        return found


def held(
    proxy: NDArray[np.float64], last: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fill each NaN with the number before it.

    A number that is held is a proxy like any other, so that means over all frames stay exact where
    only every k-th frame was scored.

    Args:
        proxy: float64 (n, groups).
        last: float64 (groups,), the last numbers before; NaN where there is none yet.

    Returns:
        The filled numbers, and the last of them.

    >>> filled, last = held(np.array([[np.nan], [2.0], [np.nan]]), np.array([1.0]))
    >>> filled.T.tolist(), last.tolist()
    ([[1.0, 2.0, 2.0]], [2.0])
    """
    if not len(proxy):
        return proxy, last
    gaps = np.isnan(proxy)
    if not gaps.any():
        return proxy, proxy[-1]
    padded = np.concatenate([last[None], proxy])
    known = np.where(np.isnan(padded), 0, np.arange(len(padded))[:, None])
    filled = np.take_along_axis(padded, np.maximum.accumulate(known, axis=0), axis=0)
    return filled[1:], filled[-1]


def _check_array(field: str, value: object, dtype: type, shape: tuple[int, ...]) -> None:
    if not isinstance(value, np.ndarray) or value.dtype != dtype or value.shape != shape:
        got = (
            f"{value.dtype} {value.shape}"
            if isinstance(value, np.ndarray)
            else type(value).__name__
        )
        raise RecordError(f"{field} must be a {np.dtype(dtype)} array of shape {shape}, got {got}")
