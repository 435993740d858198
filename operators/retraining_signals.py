"""Signals of nominated windows: the last blocks of each stream wait for what is nominated.

What is put aside of a window is its samples, all channels, as one Reading. Blocks are small, so
they are part of the snapshot. An item whose samples are gone, or not all there, goes on without
them and is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import bytewax.operators as op
import numpy as np
from bytewax.dataflow import operator
from bytewax.operators import KeyedStream
from typing_extensions import override

from operators.keyed import KeyedLogic
from operators.retraining_settings import Candidate, Candidates, Dropped, Nominations
from records import Reading, RecordError, RetrainingItem, StreamEvent
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Iterable

Heard = Reading | StreamEvent | Nominations
"""Blocks of samples, what befell their stream, and what is nominated of them."""

Keep = Callable[[RetrainingItem, Reading], Candidate]
"""Puts the samples of a window beside its item."""


@dataclass(frozen=True, slots=True)
class CutSettings:
    """What is cut out of a signal.

    Attributes:
        samples: The samples of a window.
        tolerance_seconds: A block whose time differs from the end of the one before by more than
            this does not continue it, seconds.
        bytes_at_most: How much the blocks of one stream that wait may take, bytes.

    Raises:
        RecordError: a setting is out of its range.
    """

    samples: int
    tolerance_seconds: float = 0.01
    bytes_at_most: int = 2**24

    def __post_init__(self) -> None:
        for name in ("samples", "bytes_at_most"):
            if getattr(self, name) < 1:
                raise RecordError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.tolerance_seconds < np.inf:
            raise RecordError(f"tolerance_seconds must be at least 0, got {self.tolerance_seconds}")


class RetrainingSignals(KeyedLogic[Heard, Candidates, tuple[Reading, ...]]):
    """The last blocks of one stream, and the windows of those that are nominated.

    Args:
        settings: What is cut out.
        keep: Puts the samples of a window beside its item.
        resume: The blocks that waited; None at a new start.
    """

    def __init__(
        self, settings: CutSettings, keep: Keep, resume: tuple[Reading, ...] | None = None
    ) -> None:
        self._settings, self._keep = settings, keep
        self._blocks = list(resume or ())

    @override
    def on_item(self, item: Heard) -> Candidates | None:
        """Keep a block, or join what is nominated; None when there is nothing to tell."""
        if isinstance(item, Reading):
            if len(item.samples):
                self._blocks.append(item)
                self._let_go(-1)
            return None
        if isinstance(item, StreamEvent):
            return None
        dropped = Counter(item.dropped)
        candidates = []
        for one in item.items:
            window = cut_window(self._blocks, one.sequence, one.time_ns, self._settings)
            dropped[Dropped.NO_PICTURE] += window is None
            candidates.append(Candidate(one) if window is None else self._keep(one, window))
        if item.left is not None:
            self._let_go(item.left[1])
        if not candidates and not item.dropped:
            return None
        return Candidates(item.stream, tuple(candidates), dict(+dropped))

    @override
    def snapshot(self) -> tuple[Reading, ...]:
        """The blocks that wait."""
        return tuple(self._blocks)

    def _let_go(self, time_ns: int) -> None:
        """Let go of blocks that end before a time, and of the oldest while there are too many."""
        size, gone = sum(block.samples.nbytes for block in self._blocks), 0
        for block in self._blocks:
            if _end_ns(block) > time_ns and size <= self._settings.bytes_at_most:
                break
            size -= block.samples.nbytes
            gone += 1
        del self._blocks[:gone]


def cut_window(
    blocks: Iterable[Reading], sequence: int, time_ns: int, settings: CutSettings
) -> Reading | None:
    """The samples from a time on, from as many blocks as it takes; None where not all are there.

    Args:
        blocks: Blocks of one stream, in order.
        sequence: The number of the window.
        time_ns: Event time of its first sample.
        settings: How long it is.
    """
    first: Reading | None = None
    parts: list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]] = []
    end_ns, missing = 0, settings.samples
    for block in blocks:
        if first is None:
            start = round((time_ns - block.time_ns) * block.rate_hz / NANOSECONDS)
            if not 0 <= start < len(block.samples):
                continue
            first, part = block, block.samples[start : start + missing]
        elif _continues(first, block, end_ns, settings.tolerance_seconds):
            part = block.samples[:missing]
        else:
            return None
        parts.append(part)
        missing -= len(part)
        end_ns = _end_ns(block)
        if not missing:
            return replace(first, sequence=sequence, time_ns=time_ns, samples=np.concatenate(parts))
    return None


def _continues(first: Reading, block: Reading, end_ns: int, tolerance_seconds: float) -> bool:
    alike = (block.rate_hz, block.channels, block.units) == (
        first.rate_hz,
        first.channels,
        first.units,
    )
    return alike and abs(block.time_ns - end_ns) <= tolerance_seconds * NANOSECONDS


def _end_ns(block: Reading) -> int:
    return block.time_ns + round(len(block.samples) * NANOSECONDS / block.rate_hz)


@operator
def add_signals(
    step_id: str,
    signals: KeyedStream[Reading | StreamEvent],
    nominated: KeyedStream[Nominations],
    settings: CutSettings,
    keep: Keep,
) -> KeyedStream[Candidates]:
    """Add their samples to the nominations of each stream."""
    both: KeyedStream[Heard] = op.merge("both", signals, nominated)
    return op.stateful_batch(
        "signals", both, lambda resume: RetrainingSignals(settings, keep, resume).as_bytewax()
    )
