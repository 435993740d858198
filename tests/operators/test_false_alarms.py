from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import poisson

from operators.false_alarms import (
    DAY_SECONDS,
    FalseAlarmControl,
    FalseAlarmSettings,
    alarms_per_day,
    discount,
    odds_e_value,
    rank_e_value,
)
from records import RecordError
from records.units import NANOSECONDS

DAY_NS = DAY_SECONDS * NANOSECONDS
RUNS = 400
"""Seeded runs behind each statistic; bounds below leave three standard errors."""


def alarms(
    settings: FalseAlarmSettings, e_values: list[list[float]], stream: str = "gate"
) -> list[list[bool]]:
    """Which episodes are told, by day."""
    control = FalseAlarmControl(settings, stream)
    return [
        [control.tell(e, control.begin(day * DAY_NS + place)) for place, e in enumerate(row)]
        for day, row in enumerate(e_values)
    ]


def worst_case(rng: np.random.Generator, days: int, episodes: int, bet: float) -> list[list[float]]:
    """Null e-values that gain most from a fixed threshold: all or nothing, mean 1."""
    hits = rng.random((days, episodes)) < 1 / bet
    return [[bet * hit for hit in row] for row in hits.tolist()]


def test_the_worst_evidence_keeps_the_promised_rate() -> None:
    control = FalseAlarmControl(FalseAlarmSettings(per_day=0.5, expected_per_day=10), "gate")
    rng, told = np.random.default_rng(1), 0
    for day, _ in itertools.product(range(RUNS), range(40)):
        needed = control.begin(day * DAY_NS)
        # All or nothing at just what is needed, mean 1: no e-value gains more.
        told += control.tell(needed * (rng.random() < 1 / needed), needed)
    assert told / RUNS == pytest.approx(0.5 * 40 / 50, abs=3 * np.sqrt(0.4 / RUNS))


def test_randomised_alarms_keep_the_promised_rate() -> None:
    settings = FalseAlarmSettings(per_day=0.5, expected_per_day=10, randomised=True, seed=3)
    told = alarms(settings, worst_case(np.random.default_rng(1), RUNS, 40, bet=5.0))
    rate = np.mean([sum(day) for day in told])
    assert rate == pytest.approx(0.5 * 40 / 50, abs=3 * np.sqrt(0.4 / RUNS))


def test_episodes_that_depend_on_each_other_keep_the_rate() -> None:
    settings = FalseAlarmSettings(per_day=0.5, expected_per_day=10)
    rng = np.random.default_rng(2)
    same = [[e] * 40 for (e,) in worst_case(rng, RUNS, 1, bet=30.0)]
    counts = [sum(day) for day in alarms(settings, same)]
    assert np.mean(counts) <= 0.5 + 3 * np.std(counts) / np.sqrt(RUNS)


@pytest.mark.parametrize(
    ("settings", "power"),
    [
        (FalseAlarmSettings(per_day=None, share=0.2, expected=60), 0.5),
        (FalseAlarmSettings(per_day=None, share=0.2, expected=60, randomised=True, seed=5), 0.6),
    ],
)
def test_the_share_of_false_alarms_is_kept(settings: FalseAlarmSettings, power: float) -> None:
    rng = np.random.default_rng(4)
    shares, found = [], []
    for run in range(RUNS):
        wrong = rng.random(120) < 0.3
        null = (rng.random(120) < 1 / 100) * 100.0
        evidence = np.where(wrong, rng.lognormal(6.0, 2.0, 120), null)
        (told,) = alarms(settings, [evidence.tolist()], stream=f"run {run}")
        shares.append(sum(~wrong[told]) / max(sum(told), 1))
        found.append(sum(wrong[told]) / sum(wrong))
    assert np.mean(shares) <= 0.2 + 3 * np.std(shares) / np.sqrt(RUNS)
    assert np.mean(found) > power


def test_randomised_tells_at_least_as_many() -> None:
    rng = np.random.default_rng(6)
    evidence = rng.lognormal(1.0, 1.5, (50, 20)).tolist()
    plain, softened = (
        sum(itertools.chain(*alarms(FalseAlarmSettings(randomised=randomised), evidence)))
        for randomised in (False, True)
    )
    assert softened > plain > 0


def test_both_promises_take_the_lower_level() -> None:
    rate = FalseAlarmControl(FalseAlarmSettings(per_day=1.0), "gate").begin(0)
    share = FalseAlarmControl(FalseAlarmSettings(per_day=None, share=0.1), "gate").begin(0)
    both = FalseAlarmControl(FalseAlarmSettings(per_day=1.0, share=0.1), "gate").begin(0)
    assert [rate, share, both] == pytest.approx([21, 10010, 10010])


def test_a_day_has_its_own_budget_and_time_may_step_back() -> None:
    control = FalseAlarmControl(FalseAlarmSettings(expected_per_day=2), "gate")
    times = [0, DAY_NS - 1, DAY_NS, 5, DAY_NS + 7]
    assert [round(control.begin(t), 6) for t in times] == [3, 6, 3, 6, 10]


def test_a_discovery_raises_the_next_level() -> None:
    control = FalseAlarmControl(FalseAlarmSettings(per_day=None, share=0.5, expected=1), "gate")
    assert control.begin(0) == pytest.approx(4)
    assert control.tell(4.0, 4.0)
    assert control.begin(0) == pytest.approx(12 / 2)


def test_a_restart_changes_nothing() -> None:
    settings = FalseAlarmSettings(share=0.5, randomised=True)
    whole = FalseAlarmControl(settings, "gate")
    want = [whole.begin(k * DAY_NS // 3) for k in range(9)]
    control, got = FalseAlarmControl(settings, "gate"), []
    for k in range(9):
        control = FalseAlarmControl(settings, "gate", control.snapshot())
        got.append(control.begin(k * DAY_NS // 3))
    assert got == want
    assert FalseAlarmControl(settings, "yard").begin(0) != want[0]


@given(st.integers(1, 10_000), st.integers(1, 10_000))
def test_discounts_never_spend_more_than_everything(number: int, expected: int) -> None:
    spent = 1 - expected / (expected + number)
    assert sum(discount(k, expected) for k in range(1, number + 1)) == pytest.approx(spent)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=30))
def test_the_mean_of_rank_e_values_is_one_over_all_orders(severities: list[float]) -> None:
    every = [
        rank_e_value(severities[k], severities[:k] + severities[k + 1 :])
        for k in range(len(severities))
    ]
    assert np.mean(every) == pytest.approx(1.0 if any(severities) else 0.0)


def test_odds_are_an_e_value_when_calibrated() -> None:
    base, probabilities = 0.25, np.array([0.05, 0.2, 0.5, 0.9])
    shares = np.array([0.5, 0.3, 0.15, 0.0])
    shares[3] = (base - (probabilities[:3] * shares[:3]).sum()) / probabilities[3]
    scale = shares.sum()
    shares, base = shares / scale, base / scale
    right = shares * (1 - probabilities) / (1 - base)
    mean = sum(share * odds_e_value(p, base) for share, p in zip(right, probabilities, strict=True))
    assert mean == pytest.approx(1.0)


def test_the_measured_rate_covers_the_true_one() -> None:
    bounds = [alarms_per_day(k, DAY_SECONDS) for k in range(60)]
    covered = [k for k, (_, low, high) in enumerate(bounds) if low <= 10.0 <= high]
    assert poisson.pmf(covered, 10.0).sum() >= 0.95
    assert alarms_per_day(2, 43_200)[0] == 4.0


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: FalseAlarmSettings(per_day=None), "per_day or share must be given, got neither"),
        (lambda: FalseAlarmSettings(per_day=0.0), "per_day must be above 0, got 0.0"),
        (lambda: FalseAlarmSettings(share=1.0), "share must be between 0 and 1, got 1.0"),
        (lambda: FalseAlarmSettings(expected=0), "expected must be at least 1, got 0"),
        (lambda: rank_e_value(1.0, [-1.0]), "severities must be finite and at least 0"),
        (lambda: odds_e_value(1.0, 0.5), "probabilities must be in 0..1 and below 1, got 1.0"),
        (lambda: alarms_per_day(1, 0.0), "stream_seconds must be above 0, got 0.0"),
        (lambda: alarms_per_day(1, 1.0, 1.0), "confidence must be between 0 and 1, got 1.0"),
        (
            lambda: FalseAlarmControl(FalseAlarmSettings(), "gate").tell(float("nan"), 1.0),
            "e_value must be at least 0, got nan",
        ),
    ],
)
def test_faults_say_what_must_be(make: object, text: str) -> None:
    assert callable(make)
    with pytest.raises(RecordError, match=f"^{text}"):
        make()
