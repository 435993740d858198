from __future__ import annotations

import numpy as np
import pytest

from models.bounds import clopper_pearson
from models.calibration import Reliability, ReliabilityBin, reliability
from records import RecordError


def test_a_diagram_counts_each_bin() -> None:
    said = [0.1, 0.2, 0.3, 0.75, 0.85, 1.0]
    came = [False, False, True, True, True, True]
    got = reliability(said, came, bins=2, confidence=0.9)
    want = (
        ReliabilityBin(0.2, 1 / 3, *clopper_pearson(1, 3, 0.9), 3),
        ReliabilityBin(2.6 / 3, 1.0, *clopper_pearson(3, 3, 0.9), 3),
    )
    error = (3 * (1 / 3 - 0.2) + 3 * (1 - 2.6 / 3)) / 6
    brier = (0.01 + 0.04 + 0.49 + 0.0625 + 0.0225 + 0) / 6
    assert got.n == 6
    assert got.confidence == 0.9
    for each, expected in zip(got.bins, want, strict=True):
        assert (each.said, each.share, each.low, each.high, each.n) == pytest.approx(
            (expected.said, expected.share, expected.low, expected.high, expected.n)
        )
    assert (got.expected_error, got.brier) == pytest.approx((error, brier))


def test_no_samples_give_an_empty_diagram() -> None:
    assert reliability([], []) == Reliability((), 0, 0.0, 0.0, 0.95)


def test_right_and_wrong_probabilities_are_told_apart() -> None:
    rng = np.random.default_rng(0)
    said = rng.random(4000)
    true = rng.random(4000) < said
    assert reliability(said, true, confidence=0.999).consistent
    assert reliability(said, true).expected_error < 0.03
    assert not reliability(said**3, true, confidence=0.999).consistent


@pytest.mark.parametrize(
    ("said", "came", "bins", "confidence", "text"),
    [
        ([1.5], [True], 10, 0.95, "probabilities must be in 0..1"),
        ([float("nan")], [True], 10, 0.95, "probabilities must be in 0..1"),
        ([0.5], [True, False], 10, 0.95, r"probabilities and outcomes must be \(n,\), got \(1,\)"),
        ([0.5], [True], 0, 0.95, "bins must be in 1..1000, got 0"),
        ([0.5], [True], 10, 1.0, "confidence must be between 0 and 1, got 1.0"),
    ],
)
def test_faults_say_what_must_be(
    said: list[float], came: list[bool], bins: int, confidence: float, text: str
) -> None:
    with pytest.raises(RecordError, match=text):
        reliability(said, came, bins=bins, confidence=confidence)
