"""Readings: blocks of samples from a sensor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from records.checks import check_count, check_finite, check_name, check_time
from records.errors import RecordError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_CHANNELS = 4096
"""The most channels that one reading may carry."""


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """A block of evenly spaced samples of one sensor stream.

    Attributes:
        stream: The stream's name.
        sequence: The block's number in the stream: 0, 1, 2 … without a gap.
        time_ns: Event time of the first sample, nanoseconds since 1970 UTC.
        rate_hz: Samples per second.
        samples: float32 (n, channels); NaN marks a sample that is missing.
        channels: The name of each channel.
        units: The unit of each channel, as text.
    """

    stream: str
    sequence: int
    time_ns: int
    rate_hz: float
    samples: NDArray[np.float32]
    channels: tuple[str, ...]
    units: tuple[str, ...]

    def __post_init__(self) -> None:
        check_name("stream", self.stream)
        check_count("sequence", self.sequence)
        check_time("time_ns", self.time_ns)
        check_finite("rate_hz", self.rate_hz)
        if self.rate_hz <= 0:
            raise RecordError(f"rate_hz must be above 0, got {self.rate_hz}")
        if not 0 < len(self.channels) <= MOST_CHANNELS or len(self.units) != len(self.channels):
            raise RecordError("channels and units must have one entry for each channel")
        shape: tuple[int, ...] = getattr(self.samples, "shape", ())
        if (
            not isinstance(self.samples, np.ndarray)
            or self.samples.dtype != np.float32
            or len(shape) != 2
            or shape[1] != len(self.channels)
        ):
            raise RecordError(
                f"samples must be a float32 array of shape (n, {len(self.channels)}), "
                f"got {getattr(self.samples, 'dtype', type(self.samples).__name__)} {shape}"
            )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Reading):
            return NotImplemented
        return (
            (self.stream, self.sequence, self.time_ns, self.rate_hz, self.channels, self.units)
            == (
                other.stream,
                other.sequence,
                other.time_ns,
                other.rate_hz,
                other.channels,
                other.units,
            )
        ) and np.array_equal(self.samples, other.samples, equal_nan=True)

    __hash__ = None  # type: ignore[assignment]  # arrays are not hashable

    @property
    def id(self) -> str:
        """The deterministic identity, ``stream:sequence``."""
        return f"{self.stream}:{self.sequence}"
