from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.selection import (
    Choice,
    FlaggedItems,
    Reason,
    select_random,
    select_uncertain,
    select_uniform,
)
from operators.selection_bal import BalSettings, marginal_reductions, select_bal
from operators.selection_valuable import ValuableSettings, select_valuable
from records import Flag, Origin, RecordError, RetrainingItem
from tests.support.queues import item
from tests.support.records import repeatable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from operators.selection import Selector

RANDOM = (Origin.RANDOM,)


def flagged(number: int, severity: float, *assertions: str, **changes: Any) -> RetrainingItem:
    return item(
        number, flags=tuple(Flag(name, severity, f"e{number}") for name in assertions), **changes
    )


def plain(number: int, **changes: Any) -> RetrainingItem:
    return item(number, flags=(), origins=RANDOM, **changes)


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


SELECTORS: list[Selector] = [
    select_random, select_uncertain, select_uniform, select_bal, select_valuable,
]  # fmt: skip
POOL = [
    *(flagged(k, 1.0 + k, "flicker") for k in range(20)),
    *(flagged(k, 1.0 + k, "appear", "flicker") for k in range(20, 25)),
    *(plain(k, fingerprint=k, uncertainty=k / 100) for k in range(25, 60)),
]
FIRES = [{"flicker": 100, "appear": 50}, {"flicker": 90, "appear": 20}]


@pytest.mark.parametrize("selector", SELECTORS)
def test_the_seed_decides_and_the_order_of_the_items_does_not(selector: Selector) -> None:
    one = selector(POOL, 12, generator(3), FIRES)
    assert selector(POOL[::-1], 12, generator(3), FIRES) == one
    assert len({choice.item.id for choice in one}) == 12
    assert selector(POOL, 0, generator(), FIRES) == ()
    assert selector([], 5, generator(), FIRES) == ()


@pytest.mark.parametrize("selector", SELECTORS)
def test_what_is_wrong_is_said(selector: Selector) -> None:
    with pytest.raises(RecordError) as caught:
        selector(POOL, -1, generator(), FIRES)
    assert str(caught.value) == "count must be at least 0, got -1"
    with pytest.raises(RecordError) as caught:
        selector([POOL[0], POOL[0]], 1, generator(), FIRES)
    assert str(caught.value) == "items must each be there once"


@pytest.mark.parametrize("selector", [select_random, select_uncertain, select_bal, select_valuable])
def test_all_items_are_chosen_when_the_budget_allows(selector: Selector) -> None:
    assert len(selector(POOL, 1000, generator(), FIRES)) == len(POOL)


def test_random_chooses_all_alike_and_tells_the_probability() -> None:
    counts: Counter[int] = Counter()
    for seed in range(400):
        chosen = select_random(POOL, 15, generator(seed))
        assert {choice.probability for choice in chosen} == {0.25}
        counts.update(choice.item.sequence for choice in chosen)
    # 400 draws of 1/4: 100, with a standard deviation of 8.7.
    assert all(60 < counts[k] < 140 for k in range(60))


def test_uncertainty_chooses_the_most_uncertain() -> None:
    chosen = select_uncertain(POOL, 3, generator())
    assert [choice.item.sequence for choice in chosen] == [59, 58, 57]
    equals = {select_uncertain(POOL[:5], 1, generator(seed))[0].item.id for seed in range(30)}
    assert len(equals) == 5


def test_uniform_gives_each_assertion_its_share_until_it_is_used_up() -> None:
    chosen = select_uniform(POOL, 25, generator(1))
    assert {choice.reason for choice in chosen} == {Reason.ASSERTION}
    assert len(chosen) == 25
    early: Counter[str] = Counter()
    for seed in range(200):
        early.update(choice.assertion for choice in select_uniform(POOL, 4, generator(seed)))
    assert 320 < early["appear"] < 480
    # No more than what is flagged.
    assert len(select_uniform(POOL, 60, generator())) == 25


def test_items_are_drawn_in_proportion_to_the_rank_of_their_severity() -> None:
    pool = [flagged(k, severity, "flicker") for k, severity in enumerate((0.1, 5, 5, 1e6))]
    counts: Counter[int] = Counter()
    for seed in range(1000):
        (one,) = FlaggedItems(pool, generator(seed)).draw(1, by_severity=True)
        counts[one.item.sequence] += 1
    # Ranks 1, 3, 3, 4 of 11.
    for k, share in enumerate((1 / 11, 3 / 11, 3 / 11, 4 / 11)):
        assert abs(counts[k] / 1000 - share) < 0.05


def test_the_worst_flag_of_an_assertion_counts() -> None:
    twice = item(0, flags=(Flag("flicker", 9.0, "a"), Flag("flicker", 1.0, "b")))
    mild = flagged(1, 5.0, "flicker")
    counts = Counter(
        FlaggedItems([twice, mild], generator(seed)).draw(1, by_severity=True)[0].item.sequence
        for seed in range(300)
    )
    assert counts[0] > counts[1] * 1.4


def test_reductions() -> None:
    before = {"a": 100, "b": 0, "c": 10, "d": 4}
    assert marginal_reductions(before, {"a": 75, "b": 3, "c": 15}) == {
        "a": 0.25,
        "b": 0.0,
        "c": -0.5,
        "d": 1.0,
    }
    with pytest.raises(RecordError) as caught:
        marginal_reductions({"a": -1}, {})
    assert str(caught.value) == "fires of a must be a whole number of at least 0, got -1"


def bal_shares(fires: list[dict[str, int]], count: int, **settings: Any) -> Counter[str]:
    """Whom BAL draws for, in 100 selections from large arms a and b."""
    pool = [flagged(k, 1.0 + k % 9, "ab"[k % 2]) for k in range(400)]
    shares: Counter[str] = Counter()
    for seed in range(100):
        chosen = select_bal(pool, count, generator(seed), fires, BalSettings(**settings))
        shares.update(choice.assertion or str(choice.reason) for choice in chosen)
    return shares


def test_the_first_round_of_bal_is_uniform() -> None:
    for fires in ([], [{"a": 9, "b": 9}]):
        assert abs(bal_shares(fires, 20)["a"] / 2000 - 0.5) < 0.05


def test_later_rounds_follow_the_reductions_with_a_quarter_uniform() -> None:
    fires = [{"a": 7, "b": 7}, {"a": 100, "b": 100}, {"a": 70, "b": 90}]
    # r is 0.3 and 0.1: three quarters of the budget go 3 to 1, a quarter 1 to 1.
    assert abs(bal_shares(fires, 20)["a"] / 2000 - (0.75 * 0.75 + 0.25 * 0.5)) < 0.05
    assert abs(bal_shares(fires, 20, uniform_share=0.0)["a"] / 2000 - 0.75) < 0.05
    worse = [{"a": 100, "b": 100}, {"a": 70, "b": 190}]
    assert bal_shares(worse, 20, uniform_share=0.0) == {"a": 2000}


def test_without_a_reduction_of_one_per_cent_a_baseline_chooses() -> None:
    fires = [{"a": 1000, "b": 1000}, {"a": 991, "b": 1000}]
    assert bal_shares(fires, 20) == {"random": 2000}
    assert bal_shares(fires, 20, fallback="uncertainty") == {"uncertainty": 2000}
    assert "random" not in bal_shares([{"a": 1000}, {"a": 990}], 20)


def test_bal_fills_up_what_the_assertions_cannot() -> None:
    reasons = Counter(choice.reason for choice in select_bal(POOL, 40, generator(), FIRES))
    assert reasons == {Reason.ASSERTION: 25, Reason.RANDOM: 15}


@pytest.mark.parametrize(
    ("make", "changes", "message"),
    [
        (BalSettings, {"uniform_share": 1.5}, "uniform_share must be in 0..1, got 1.5"),
        (BalSettings, {"least_reduction": -1}, "least_reduction must be in 0..1, got -1"),
        (
            BalSettings,
            {"fallback": "bal"},
            "fallback must be one of random, uncertainty, got 'bal'",
        ),
        (ValuableSettings, {"audit_share": 2}, "audit_share must be in 0..1, got 2"),
    ],
)
def test_settings_that_are_refused(make: Any, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError) as caught:
        make(**changes)
    assert str(caught.value) == message


def test_valuable_takes_its_audit_share_first_and_tells_the_probability() -> None:
    chosen = select_valuable(POOL, 20, generator())
    audited = [choice for choice in chosen if choice.reason is Reason.AUDIT_SHARE]
    assert [choice.probability for choice in audited] == [2 / 35] * 2
    assert all(Origin.RANDOM in choice.item.origins for choice in audited)
    assert [choice.reason for choice in chosen[2:]] == [Reason.VALUE] * 18
    # A severity that is not calibrated ranks.
    severities = [choice.item.flags[0].severity for choice in chosen[2:]]
    assert severities == sorted(severities, reverse=True)


def test_valuable_passes_over_what_looks_like_what_was_chosen() -> None:
    wrong: dict[str, Any] = {"flags": (Flag("flicker", 1.0, "e", 0.9),)}
    less: dict[str, Any] = {"flags": (Flag("flicker", 1.0, "e", 0.5),)}
    pool = [
        item(0, fingerprint=0, **wrong),
        item(1, fingerprint=1, **wrong),
        item(2, fingerprint=2**40 - 1, **less),
    ]
    chosen = select_valuable(pool, 3, generator(), (), ValuableSettings(audit_share=0))
    assert {choice.item.sequence for choice in chosen[:2]} in ({0, 2}, {1, 2})
    assert chosen[1].item.sequence == 2


def choices(selector: Selector, pool: Sequence[RetrainingItem], count: int) -> tuple[Choice, ...]:
    return selector(pool, count, generator(), FIRES)


@repeatable
@given(
    st.lists(
        st.tuples(st.sampled_from(["", "a", "b", "ab"]), st.floats(0.1, 9)), max_size=12
    ),
    st.integers(0, 15),
    st.sampled_from(SELECTORS),
)  # fmt: skip
def test_no_selection_gives_an_item_twice_or_too_many(
    made: list[tuple[str, float]], count: int, selector: Selector
) -> None:
    pool = [
        flagged(k, severity, *names) if names else plain(k)
        for k, (names, severity) in enumerate(made)
    ]
    chosen = choices(selector, pool, count)
    assert len({choice.item.id for choice in chosen}) == len(chosen) <= count
    if selector is not select_uniform:
        assert len(chosen) == min(count, len(pool))
