from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from operators.severity import (
    Curve,
    CurveBin,
    SeverityCalibration,
    SeverityCurves,
    SeveritySample,
    SeveritySettings,
    fit_curve,
    fit_severities,
)
from records import Correction, CorrectionKind, Finding, Place, RecordError

SETTINGS = SeveritySettings()


def step(severity: float, hits: int, n: int, confidence: float = 0.95) -> CurveBin:
    posterior = beta(hits + 0.5, n - hits + 0.5)
    low, high = posterior.interval(confidence)
    return CurveBin(severity, posterior.mean(), low, high, n)


def same(got: Curve, n: int, *want: CurveBin) -> bool:
    assert got.n == n
    assert [(b.severity, b.probability, b.low, b.high, b.n) for b in got.bins] == [
        pytest.approx((b.severity, b.probability, b.low, b.high, b.n)) for b in want
    ]
    return True


def test_bins_out_of_order_are_pooled() -> None:
    hits = {1.0: 1, 2.0: 6, 3.0: 4, 4.0: 9}
    severities = [s for s in hits for _ in range(10)]
    outcomes = [k < n for n in hits.values() for k in range(10)]
    got = fit_curve(severities, outcomes, SETTINGS)
    assert same(got, 40, step(1.0, 1, 10), step(2.0, 10, 20), step(4.0, 9, 10))
    assert [got.at(s) for s in (0.1, 1.0, 1.9, 3.5, 99.0)] == [got.bins[k] for k in (0, 0, 0, 1, 2)]


def test_equal_severities_are_never_parted_and_a_short_tail_joins() -> None:
    severities = [1.0] * 25 + [2.0] * 11 + [3.0] * 4
    outcomes = [False] * 25 + [True] * 15
    got = fit_curve(severities, outcomes, SETTINGS)
    assert same(got, 40, step(1.0, 0, 25), step(2.0, 15, 15))


def test_too_few_samples_are_not_calibrated() -> None:
    got = fit_curve([1.0] * 29, [True] * 29, SETTINGS)
    assert got == Curve(29)
    assert got.at(1.0) is None
    assert str(got) == "not calibrated (29 samples)"
    assert str(fit_curve([1.0] * 30, [True] * 30, SETTINGS)) == "calibrated on 30"


pairs = st.lists(st.tuples(st.floats(0.01, 1e3), st.booleans()), min_size=30, max_size=120)


@given(pairs)
def test_curves_are_monotone_and_keep_every_sample(samples: list[tuple[float, bool]]) -> None:
    severities, outcomes = zip(*samples, strict=True)
    curve = fit_curve(severities, outcomes, SETTINGS)
    said = [b.probability for b in curve.bins]
    assert said == sorted(said)
    assert sum(b.n for b in curve.bins) == len(samples)
    assert all(0 <= b.low < b.probability < b.high <= 1 for b in curve.bins)


@given(pairs, st.integers(0, 100))
def test_the_order_of_the_samples_is_nothing(samples: list[tuple[float, bool]], seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(samples))
    severities, outcomes = zip(*samples, strict=True)
    shuffled = [severities[k] for k in order], [outcomes[k] for k in order]
    assert fit_curve(*shuffled, SETTINGS) == fit_curve(severities, outcomes, SETTINGS)


def test_curves_find_the_true_probabilities() -> None:
    rng = np.random.default_rng(0)
    severities = rng.uniform(0.1, 10.0, 20_000)
    outcomes = rng.random(20_000) < severities / 10
    curve = fit_curve(severities.tolist(), outcomes.tolist(), SETTINGS)
    assert len(curve.bins) == 10
    middles = [b.severity + 0.495 for b in curve.bins]
    assert [b.probability for b in curve.bins] == pytest.approx([m / 10 for m in middles], abs=0.03)


def samples(
    assertion: str, context: str, n: int, *, wrong: int, right: int
) -> list[SeveritySample]:
    return [SeveritySample(assertion, 1.0, k < wrong, k < right, context) for k in range(n)]


def test_a_context_speaks_when_it_has_enough_of_its_own() -> None:
    data = [
        *samples("flicker", "car", 40, wrong=39, right=20),
        *samples("flicker", "bus", 10, wrong=0, right=0),
        *samples("appear", "", 10, wrong=10, right=10),
    ]
    fitted = fit_severities(data)
    assert set(fitted.curves) == {
        ("flicker", ""), ("flicker", "car"), ("flicker", "bus"), ("appear", "")
    }  # fmt: skip
    whole, car = step(1.0, 39, 50), step(1.0, 39, 40)
    for context, want in {"car": car, "bus": whole, "dog": whole, "": whole}.items():
        got = fitted.model_wrong("flicker", 7.0, context)
        assert got is not None
        assert got.probability == pytest.approx(want.probability)
        assert got.n == want.n
    right = fitted.correction_right("flicker", 7.0, "car")
    assert right is not None
    assert right.probability == pytest.approx(step(1.0, 20, 40).probability)
    assert fitted.model_wrong("appear", 1.0) is None
    assert fitted.model_wrong("unknown", 1.0) is None


def test_contexts_that_are_apart_say_nothing_of_each_other() -> None:
    data = [
        *samples("agree", "lidar/drop", 60, wrong=60, right=60),
        *samples("agree", "detections/drop", 29, wrong=20, right=10),
    ]
    fitted = fit_severities(data, apart=frozenset({"agree"}))
    assert fitted.correction_right("agree", 1.0, "detections/drop") is None
    assert fitted.model_wrong("agree", 1.0, "lidar/interpolate") is None
    own = fitted.correction_right("agree", 1.0, "lidar/drop")
    assert own is not None
    assert own.n == 60
    assert fit_severities(data).correction_right("agree", 1.0, "detections/drop") is not None


def test_a_correction_is_surely_right_by_the_lower_end_of_its_interval() -> None:
    fitted = fit_severities(samples("appear", "car", 40, wrong=39, right=32))
    correction = Correction(CorrectionKind.DROP, (Place(3, 30, (0.0, 0.0, 1.0, 1.0)),))
    finding = Finding("gate", "appear", 3, 30, 1, 10, 2.0, "", correction=correction)
    low = step(1.0, 32, 40).low
    assert [fitted.surely_right(finding, low + k, "car") for k in (-1e-6, 1e-6)] == [True, False]
    assert not fitted.surely_right(replace(finding, correction=None), 0.0)
    unknown = replace(finding, assertion="flicker")
    assert [fitted.surely_right(unknown, least) for least in (0.0, 1e-6)] == [True, False]


def test_samples_without_a_correction_only_tell_of_the_model() -> None:
    fitted = fit_severities([SeveritySample("dark", 1.0, model_wrong=True)] * 30)
    (curves,) = fitted.curves.values()
    assert (curves.model_wrong.n, curves.correction_right) == (30, Curve())
    assert SeverityCalibration().model_wrong("dark", 1.0) is None
    assert SeverityCurves() == SeverityCurves(Curve(), Curve())


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: SeveritySample("a:b", 1.0, model_wrong=True), "assertion must be 1 to 200"),
        (lambda: SeveritySample("a", 0.0, model_wrong=True), "severity must be above 0, got 0.0"),
        (lambda: SeveritySettings(least_bin=0), "least_bin must be at least 1, got 0"),
        (lambda: SeveritySettings(confidence=1), "confidence must be between 0 and 1, got 1"),
        (lambda: fit_curve([1.0], [], SETTINGS), "severities and outcomes must be as many, got 1"),
        (
            lambda: Curve(2, (CurveBin(1.0, 0.5, 0, 1, 1), CurveBin(2.0, 0.4, 0, 1, 1))),
            "bins must rise in severity and not fall in probability",
        ),
    ],
)
def test_faults_say_what_must_be(make: object, text: str) -> None:
    assert callable(make)
    with pytest.raises(RecordError, match=f"^{text}"):
        make()


def test_findings_get_their_probabilities() -> None:
    fitted = fit_severities(samples("appear", "car", 40, wrong=39, right=20))
    plain = Finding("gate", "appear", 3, 30, 1, 10, 2.0, "seen for 0.2 s", "12")
    correction = Correction(CorrectionKind.DROP, (Place(3, 30, (0.0, 0.0, 1.0, 1.0)),))
    wrong, right = (step(1.0, hits, 40).probability for hits in (39, 20))
    got = fitted.apply(plain, "car")
    assert got.model_wrong == pytest.approx(wrong)
    assert got.correction_right is None
    got = fitted.apply(replace(plain, correction=correction), "car")
    assert got.model_wrong == pytest.approx(wrong)
    assert got.correction_right == pytest.approx(right)
    unknown = replace(plain, assertion="flicker", correction=correction)
    assert fitted.apply(unknown) == unknown
