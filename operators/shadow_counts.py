"""What a shadow has counted on audited frames, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass, field

from operators.audit_statistics import confidence_sequence
from operators.shadow_statistics import difference_bounds, surely_above

Interval = tuple[float, float]
"""The lower and the upper bound of a share."""


@dataclass(frozen=True, slots=True)
class Reported:
    """What one version said of the audited frames.

    Attributes:
        frames: Frames of which it said yes.
        hits: Those of them that are positive.
    """

    frames: int = 0
    hits: int = 0

    def added(self, *, said: bool, truth: bool) -> Reported:
        """The counts after one more frame."""
        return Reported(self.frames + said, self.hits + (said and truth))


@dataclass(frozen=True, slots=True)
class ShadowCounts:
    """The audited frames so far.

    Attributes:
        both: Frames on which both versions were right.
        candidate: On which only the candidate was.
        incumbent: On which only the incumbent was.
        neither: On which neither was.
        quiet: Those of `both` of which all said no.
        positives: Frames that are positive.
        reported: What the candidate reported.
        reported_before: What the incumbent reported.

    >>> counts = ShadowCounts()
    >>> for _ in range(300):
    ...     counts = counts.added(candidate=True, incumbent=True, truth=True)
    >>> counts.no_worse(0.02, 0.95), counts.reaches(0.9, 0.9, 0.95)
    (True, True)
    """

    both: int = 0
    candidate: int = 0
    incumbent: int = 0
    neither: int = 0
    quiet: int = 0
    positives: int = 0
    reported: Reported = field(default_factory=Reported)
    reported_before: Reported = field(default_factory=Reported)

    @property
    def frames(self) -> int:
        """All audited frames."""
        return self.both + self.candidate + self.incumbent + self.neither

    def added(self, *, candidate: bool, incumbent: bool, truth: bool) -> ShadowCounts:
        """The counts after one more frame: what each said, and what is true."""
        right = candidate == truth, incumbent == truth
        return ShadowCounts(
            both=self.both + all(right),
            candidate=self.candidate + (right == (True, False)),
            incumbent=self.incumbent + (right == (False, True)),
            neither=self.neither + (not any(right)),
            quiet=self.quiet + (not (candidate or incumbent or truth)),
            positives=self.positives + truth,
            reported=self.reported.added(said=candidate, truth=truth),
            reported_before=self.reported_before.added(said=incumbent, truth=truth),
        )

    def difference(self, confidence: float) -> Interval:
        """Bounds of the difference in rightness on the frames that count."""
        alike = self.both + self.neither - self.quiet
        return difference_bounds(self.candidate, self.incumbent, alike, confidence)

    def shares(self, reported: Reported, confidence: float) -> tuple[Interval, Interval]:
        """Bounds of the recall and the precision of one version."""
        return (
            confidence_sequence(reported.hits, self.positives, confidence),
            confidence_sequence(reported.hits, reported.frames, confidence),
        )

    def no_worse(self, worse_by: float, confidence: float) -> bool | None:
        """Whether the candidate is right at most `worse_by` less often; None if that is open."""
        alike = self.both + self.neither - self.quiet
        if surely_above(self.candidate, self.incumbent, alike, -worse_by, confidence):
            return True
        if surely_above(self.incumbent, self.candidate, alike, worse_by, confidence):
            return False
        return None

    def reaches(self, recall: float, precision: float, confidence: float) -> bool | None:
        """Whether the candidate's recall and precision reach targets; None if that is open."""
        (recall_low, recall_high), (low, high) = self.shares(self.reported, confidence)
        if recall_low >= recall and low >= precision:
            return True
        return False if recall_high < recall or high < precision else None

    def told(self, candidate: str, incumbent: str, confidence: float) -> str:
        """All figures for people; the versions are the first and the third word."""
        low, high = self.difference(confidence)
        pairs = zip(
            ("recall", "precision"),
            self.shares(self.reported, confidence),
            self.shares(self.reported_before, confidence),
            strict=True,
        )
        shares = ", ".join(
            f"{name} {one[0]:.3f}..{one[1]:.3f} against {other[0]:.3f}..{other[1]:.3f}"
            for name, one, other in pairs
        )
        return (
            f"{candidate} beside {incumbent}: {self.frames} audited frames, both right "
            f"{self.both}, only {candidate} {self.candidate}, only {incumbent} {self.incumbent}, "
            f"neither {self.neither}; difference {low:+.3f}..{high:+.3f}; {shares}"
        )
