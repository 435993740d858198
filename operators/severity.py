"""Severities as probabilities: how likely is it that the model is wrong, and the correction right?

The severity of an assertion has no unit. From labelled samples each assertion gets two monotone
curves over its severity. Samples are sorted by severity and cut into bins of about equal size; each
bin has the Beta posterior of its share under Jeffreys' prior, with mean (k + 1/2) / (n + 1); and
neighbours that are not in rising order are pooled until all are (pool adjacent violators: Ayer et
al., Annals of Mathematical Statistics 1955; as calibration: Zadrozny & Elkan, KDD 2002). Binned
Beta posteriors rather than plain isotonic regression, so that no bin says 0 or 1 from three
samples, and each has an interval. The intervals are nominal: bins are pooled on the data that they
count.

The two curves are fitted apart, since they differ: an assertion may be nearly always right that
something is wrong, and wrong half of the time about what would be right. Where a context (a class,
a size) has too few samples of its own, the curve of the whole assertion speaks; where that has too
few, nothing does, and the finding stays "not calibrated". Of assertions whose contexts are apart,
the whole says nothing of a context: what is known of one model's boxes is not known of another's.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING

from scipy.special import betaincinv

from records import RecordError
from records.checks import check_finite, check_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from records.finding import Finding

WHOLE = ""
"""The context that stands for all samples of an assertion."""

JEFFREYS = 0.5
"""Both parameters of Jeffreys' prior of a share, Beta(1/2, 1/2)."""


@dataclass(frozen=True, slots=True)
class SeveritySample:
    """One finding whose truth is known, from a label or from the reference model.

    Attributes:
        assertion: The assertion's name.
        severity: What it said, above 0.
        model_wrong: Whether the model was wrong.
        correction_right: Whether the proposed correction was right; None when there was none.
        context: The class, size … that it falls under; empty for none.
    """

    assertion: str
    severity: float
    model_wrong: bool
    correction_right: bool | None = None
    context: str = WHOLE

    def __post_init__(self) -> None:
        check_name("assertion", self.assertion)
        check_finite("severity", self.severity)
        if self.severity <= 0:
            raise RecordError(f"severity must be above 0, got {self.severity}")


@dataclass(frozen=True, slots=True)
class SeveritySettings:
    """How curves are fitted.

    Attributes:
        least_samples: A curve needs this many samples.
        most_bins: The most bins of a curve, before pooling.
        least_bin: The least samples of a bin, before pooling.
        confidence: Of the intervals, 0..1 exclusive.

    Raises:
        RecordError: a setting is out of its range.
    """

    least_samples: int = 30
    most_bins: int = 10
    least_bin: int = 10
    confidence: float = 0.95

    def __post_init__(self) -> None:
        for name in ("least_samples", "most_bins", "least_bin"):
            if getattr(self, name) < 1:
                raise RecordError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 < self.confidence < 1:
            raise RecordError(f"confidence must be between 0 and 1, got {self.confidence}")


@dataclass(frozen=True, slots=True)
class CurveBin:
    """One step of a curve.

    Attributes:
        severity: The lowest severity of the step.
        probability: The posterior mean, 0..1.
        low: Lower end of the credible interval.
        high: Upper end of it.
        n: The samples behind it.
    """

    severity: float
    probability: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Curve:
    """A monotone map from severity to a probability.

    Attributes:
        n: All samples there were.
        bins: The steps, rising in severity and in probability; empty while not calibrated.
    """

    n: int = 0
    bins: tuple[CurveBin, ...] = ()

    def __post_init__(self) -> None:
        for left, right in zip(self.bins, self.bins[1:], strict=False):
            if not (left.severity < right.severity and left.probability <= right.probability):
                raise RecordError("bins must rise in severity and not fall in probability")

    def at(self, severity: float) -> CurveBin | None:
        """The step of a severity, the outermost beyond the ends; None while not calibrated."""
        if not self.bins:
            return None
        place = bisect_right(self.bins, severity, key=lambda step: step.severity)
        return self.bins[max(place - 1, 0)]

    def __str__(self) -> str:
        return f"calibrated on {self.n}" if self.bins else f"not calibrated ({self.n} samples)"


@dataclass(frozen=True, slots=True)
class SeverityCurves:
    """What is known of one assertion in one context.

    Attributes:
        model_wrong: Severity to the probability that the model is wrong.
        correction_right: Severity to the probability that the correction is right.
    """

    model_wrong: Curve = field(default_factory=Curve)
    correction_right: Curve = field(default_factory=Curve)


@dataclass(frozen=True, slots=True)
class SeverityCalibration:
    """The curves of every assertion.

    Attributes:
        curves: By (assertion, context); the context `WHOLE` stands for all of an assertion.
        apart: The assertions of which only the curves of a finding's own context speak.
    """

    curves: Mapping[tuple[str, str], SeverityCurves] = field(default_factory=dict)
    apart: frozenset[str] = frozenset()

    def model_wrong(self, assertion: str, severity: float, context: str = WHOLE) -> CurveBin | None:
        """How likely the model is wrong; None when not calibrated."""
        steps = [curves.model_wrong.at(severity) for curves in self._known(assertion, context)]
        return next((step for step in steps if step is not None), None)

    def correction_right(
        self, assertion: str, severity: float, context: str = WHOLE
    ) -> CurveBin | None:
        """How likely the correction is right; None when not calibrated."""
        steps = [curves.correction_right.at(severity) for curves in self._known(assertion, context)]
        return next((step for step in steps if step is not None), None)

    def surely_right(self, finding: Finding, least: float, context: str = WHOLE) -> bool:
        """Whether a finding's correction is right with a probability that surely reaches `least`.

        The lower end of the interval counts, so few samples prove little; at 0 all are.
        """
        if finding.correction is None:
            return False
        step = self.correction_right(finding.assertion, finding.severity, context)
        return least == 0 or (step is not None and step.low >= least)

    def apply(self, finding: Finding, context: str = WHOLE) -> Finding:
        """The finding with its probabilities; None stands where nothing is calibrated."""
        wrong = self.model_wrong(finding.assertion, finding.severity, context)
        right = None
        if finding.correction is not None:
            right = self.correction_right(finding.assertion, finding.severity, context)
        return replace(
            finding,
            model_wrong=None if wrong is None else wrong.probability,
            correction_right=None if right is None else right.probability,
        )

    def _known(self, assertion: str, context: str) -> list[SeverityCurves]:
        """The curves that may speak, the most particular first."""
        names = (context,) if assertion in self.apart else dict.fromkeys((context, WHOLE))
        found = (self.curves.get((assertion, name)) for name in names)
        return [curves for curves in found if curves is not None]


def fit_curve(
    severities: Sequence[float], outcomes: Sequence[bool], settings: SeveritySettings
) -> Curve:
    """Fit one curve; see the module.

    Args:
        severities: (n,), one a sample, finite.
        outcomes: (n,), whether it was so.
        settings: How it is fitted.

    Raises:
        RecordError: the lengths differ.

    >>> curve = fit_curve([1.0] * 20 + [2.0] * 20, [False] * 20 + [True] * 20, SeveritySettings())
    >>> [(step.severity, round(step.probability, 3), step.n) for step in curve.bins]
    [(1.0, 0.024, 20), (2.0, 0.976, 20)]
    """
    if len(severities) != len(outcomes):
        raise RecordError(
            f"severities and outcomes must be as many, got {len(severities)} and {len(outcomes)}"
        )
    n = len(severities)
    if n < settings.least_samples:
        return Curve(n)
    pools: list[tuple[float, int, int]] = []
    for low, hits, count in _cut(severities, outcomes, settings):
        pools.append((low, hits, count))
        while len(pools) > 1 and _mean(*pools[-2][1:]) >= _mean(*pools[-1][1:]):
            _, late_hits, late_count = pools.pop()
            low_before, hits_before, count_before = pools.pop()
            pools.append((low_before, hits_before + late_hits, count_before + late_count))
    return Curve(n, tuple(_bin(low, k, count, settings.confidence) for low, k, count in pools))


def fit_severities(
    samples: Iterable[SeveritySample],
    settings: SeveritySettings | None = None,
    apart: frozenset[str] = frozenset(),
) -> SeverityCalibration:
    """Fit the curves of every assertion, and of each of its contexts.

    Args:
        samples: What is known.
        settings: How curves are fitted.
        apart: The assertions whose contexts are apart.
    """
    settings = settings or SeveritySettings()
    groups: dict[tuple[str, str], list[SeveritySample]] = defaultdict(list)
    for sample in samples:
        for context in dict.fromkeys((WHOLE, sample.context)):
            groups[sample.assertion, context].append(sample)
    curves = {key: _curves(group, settings) for key, group in groups.items()}
    return SeverityCalibration(curves, apart)


def _curves(samples: list[SeveritySample], settings: SeveritySettings) -> SeverityCurves:
    rights = [(s.severity, s.correction_right) for s in samples if s.correction_right is not None]
    return SeverityCurves(
        fit_curve([s.severity for s in samples], [s.model_wrong for s in samples], settings),
        fit_curve([severity for severity, _ in rights], [right for _, right in rights], settings),
    )


def _cut(
    severities: Sequence[float], outcomes: Sequence[bool], settings: SeveritySettings
) -> list[tuple[float, int, int]]:
    """Bins of (lowest severity, hits, samples); equal severities are never parted."""
    ordered = sorted(zip(severities, outcomes, strict=True), key=lambda pair: pair[0])
    size = max(settings.least_bin, -(-len(ordered) // settings.most_bins))
    bins: list[tuple[float, int, int]] = []
    for severity, ties in groupby(ordered, key=lambda pair: pair[0]):
        hits = [outcome for _, outcome in ties]
        low, k, n = severity, sum(hits), len(hits)
        if bins and bins[-1][2] < size:
            low, k, n = bins[-1][0], bins[-1][1] + k, bins.pop()[2] + n
        bins.append((low, k, n))
    if len(bins) > 1 and bins[-1][2] < settings.least_bin:
        _, k, n = bins.pop()
        bins[-1] = (bins[-1][0], bins[-1][1] + k, bins[-1][2] + n)
    return bins


def _mean(hits: int, count: int) -> float:
    return (hits + JEFFREYS) / (count + 2 * JEFFREYS)


def _bin(severity: float, hits: int, count: int, confidence: float) -> CurveBin:
    posterior, tail = (hits + JEFFREYS, count - hits + JEFFREYS), (1 - confidence) / 2
    low, high = (float(betaincinv(*posterior, share)) for share in (tail, 1 - tail))
    return CurveBin(severity, _mean(hits, count), low, high, count)
