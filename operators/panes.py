"""Panes: what is kept of the frames in a piece of time, for all windows that share it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Pane:
    """Some frames of one pane: their number, and what the drawn ones told. Never changed.

    Attributes:
        frames: How many frames there were.
        proxy_sum: float64 (columns,), the sum of their proxies.
        proxy_low: float64 (columns,), the least of their proxies.
        proxy_high: float64 (columns,), the largest.
        time_ns: int64 (d,), the event times of drawn frames, in order.
        weight: float64 (d,), how many frames each stands for.
        value: float64 (d, columns), the reference's numbers; rows of NaN where it gave no answer.
        proxy: float64 (d, columns), their proxies.
        tracks: int64 (k, 2), the distinct pairs of group and track that were seen, in order.
        shared: How many neighbouring draws share the offset in their cells, at least.
    """

    frames: int
    proxy_sum: NDArray[np.float64]
    proxy_low: NDArray[np.float64]
    proxy_high: NDArray[np.float64]
    time_ns: NDArray[np.int64]
    weight: NDArray[np.float64]
    value: NDArray[np.float64]
    proxy: NDArray[np.float64]
    tracks: NDArray[np.int64]
    shared: int

    @property
    def answered(self) -> NDArray[np.bool_]:
        """Whether the reference answered, bool (d,)."""
        answered: NDArray[np.bool_] = np.isfinite(self.value.sum(axis=1))
        return answered

    @property
    def proxy_mean(self) -> NDArray[np.float64]:
        """The mean proxy over all frames, float64 (columns,)."""
        return self.proxy_sum / max(self.frames, 1)


def pane_of(
    time_ns: NDArray[np.int64],
    weight: NDArray[np.float64],
    value: NDArray[np.float64],
    proxy: NDArray[np.float64],
    tracks: NDArray[np.int64],
    shared: int,
) -> Pane:
    """What is kept of frames, all in one pane.

    Args:
        time_ns: int64 (n,), nanoseconds, n at least 1.
        weight: float64 (n,), 0 for frames that are not drawn.
        value: float64 (n, columns).
        proxy: float64 (n, columns), without NaN.
        tracks: int64 (m, 2), pairs of group and track.
        shared: How many neighbouring draws share the offset in their cells.
    """
    drawn = np.flatnonzero(weight)
    order = drawn[np.argsort(time_ns[drawn], kind="stable")]
    return Pane(
        frames=len(time_ns),
        proxy_sum=proxy.sum(axis=0),
        proxy_low=proxy.min(axis=0),
        proxy_high=proxy.max(axis=0),
        time_ns=time_ns[order],
        weight=weight[order],
        value=value[order],
        proxy=proxy[order],
        tracks=distinct(tracks),
        shared=shared,
    )


def joined(panes: Sequence[Pane]) -> Pane:
    """All frames of several panes together; one at least."""
    if len(panes) == 1:
        return panes[0]
    drawn = [pane for pane in panes if len(pane.time_ns)] or panes[:1]
    time_ns = np.concatenate([pane.time_ns for pane in drawn])
    order = np.argsort(time_ns, kind="stable")
    return Pane(
        frames=sum(pane.frames for pane in panes),
        proxy_sum=reduce(np.add, [pane.proxy_sum for pane in panes]),
        proxy_low=reduce(np.minimum, [pane.proxy_low for pane in panes]),
        proxy_high=reduce(np.maximum, [pane.proxy_high for pane in panes]),
        time_ns=time_ns[order],
        weight=np.concatenate([pane.weight for pane in drawn])[order],
        value=np.concatenate([pane.value for pane in drawn])[order],
        proxy=np.concatenate([pane.proxy for pane in drawn])[order],
        tracks=distinct(np.concatenate([pane.tracks for pane in panes])),
        shared=min(pane.shared for pane in panes),
    )


def distinct(tracks: NDArray[np.int64]) -> NDArray[np.int64]:
    """The distinct rows of int64 (m, 2), in order."""
    return np.unique(tracks, axis=0) if len(tracks) else tracks
