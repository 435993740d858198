"""Estimates: a windowed aggregate with its confidence interval and what it cost."""

from __future__ import annotations

from dataclasses import dataclass

from records.checks import check_count, check_finite, check_name, check_time
from records.errors import RecordError


@dataclass(frozen=True, slots=True)
class Estimate:
    """The value of one aggregate over one event-time window.

    Attributes:
        stream: The stream's name.
        name: The aggregate's name.
        start_ns: Start of the window, nanoseconds since 1970 UTC, included.
        end_ns: End of the window, excluded.
        value: The estimate.
        low: Lower end of the confidence interval.
        high: Upper end of the confidence interval.
        confidence: Probability that the interval covers the true value, in 0..1 exclusive.
        reference_calls: Frames that the reference detector saw for it.
        frames: Frames in the window.
        late: Frames that came after the window was first reported.
        revision: 0 when first reported, one more for each correction by late frames.
    """

    stream: str
    name: str
    start_ns: int
    end_ns: int
    value: float
    low: float
    high: float
    confidence: float
    reference_calls: int
    frames: int
    late: int = 0
    revision: int = 0

    def __post_init__(self) -> None:
        check_name("stream", self.stream)
        check_name("name", self.name)
        check_time("start_ns", self.start_ns)
        check_time("end_ns", self.end_ns)
        for field in ("value", "low", "high", "confidence"):
            check_finite(field, getattr(self, field))
        for field in ("reference_calls", "frames", "late", "revision"):
            check_count(field, getattr(self, field))
        if self.start_ns >= self.end_ns:
            raise RecordError(
                f"start_ns must be before end_ns, got {self.start_ns} and {self.end_ns}"
            )
        if not self.low <= self.value <= self.high:
            raise RecordError(
                f"low <= value <= high must hold, got {self.low}, {self.value}, {self.high}"
            )
        if not 0 < self.confidence < 1:
            raise RecordError(f"confidence must be between 0 and 1, got {self.confidence}")

    @property
    def id(self) -> str:
        """The deterministic identity, ``stream:name:start_ns:revision``."""
        return f"{self.stream}:{self.name}:{self.start_ns}:{self.revision}"
