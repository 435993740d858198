"""How a stream of ECG is classified, and what survives a restart of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from records import RecordError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class EcgStreamSettings:
    """How a stream is classified.

    Attributes:
        channel: The channel that is classified; empty for the first.
        new_windows: How many windows must be ready before the model is run, at least 1. The
            signal's end, or a gap in it, does not wait.
        tolerance_seconds: A block whose time differs from the end of the one before by more than
            this does not continue it, seconds, at least 0.

    Raises:
        RecordError: a setting is out of its range.
    """

    channel: str = ""
    new_windows: int = 8
    tolerance_seconds: float = 0.01

    def __post_init__(self) -> None:
        if self.new_windows < 1:
            raise RecordError(f"new_windows must be at least 1, got {self.new_windows}")
        if not 0 <= self.tolerance_seconds < np.inf:
            raise RecordError(f"tolerance_seconds must be at least 0, got {self.tolerance_seconds}")


@dataclass(frozen=True, slots=True)
class EcgStreamState:
    """What survives a restart. A run is a stretch of signal without a gap.

    Attributes:
        signal: float32 (n,), the samples of the run that are still needed.
        first: The window of the run at which `signal` begins.
        done: The windows of the run that are classified.
        start_ns: Event time of the run's first sample; None between runs.
        end_ns: Event time at which the last block ended; None before the first.
        sequence: The next window's number in the stream.
        event_ns: Event time of the last event of our own.
        stream: The stream's name; empty before the first item.
    """

    signal: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    first: int = 0
    done: int = 0
    start_ns: int | None = None
    end_ns: int | None = None
    sequence: int = 0
    event_ns: int = -1
    stream: str = ""
