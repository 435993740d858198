"""The harness with a learner that gets better with each rare item that it is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from operators.selection import select_random, select_uncertain, select_uniform
from operators.selection_trial import (
    Difference,
    Judged,
    TrialSettings,
    compare,
    compare_scores,
    run_rounds,
)
from records import Flag, Origin, RecordError, RetrainingItem
from tests.support.queues import item

if TYPE_CHECKING:
    from collections.abc import Sequence

    from operators.selection import Choice, Fires

RARE = 40
COUNT = 400
SETTINGS = TrialSettings(rounds=3, budget=10, seeds=tuple(range(6)))


def pool() -> list[RetrainingItem]:
    """One item in ten is of a rare kind, and an assertion fires on those."""
    return [
        item(k, flags=(Flag("rare", 1.0, f"e{k}"),)) if k < RARE
        else item(k, flags=(), origins=(Origin.RANDOM,))
        for k in range(COUNT)
    ]  # fmt: skip


def learner(labelled: Sequence[RetrainingItem], seed: int) -> Judged:
    """A model that knows the rare kind the better, the more of it were labelled."""
    noise = np.random.default_rng([seed, len(labelled)]).normal(0, 0.01)
    rare = sum(one.sequence < RARE for one in labelled)
    return Judged(rare / (rare + 5) + noise, {"rare": 100 - rare})


def test_each_seed_gives_a_curve_and_the_same_one_again() -> None:
    curve = run_rounds(select_random, pool(), learner, SETTINGS, 1)
    assert len(curve) == 4
    assert run_rounds(select_random, pool()[::-1], learner, SETTINGS, 1) == curve
    # All start with the same model.
    assert run_rounds(select_uniform, pool(), learner, SETTINGS, 1)[0] == curve[0]


def test_the_items_are_those_that_each_model_sees_anew() -> None:
    seen: list[dict[int, float]] = []

    def unsure(labelled: Sequence[RetrainingItem], seed: int) -> Judged:
        """Unsure of those with a low number at first, and of those with a high one later."""
        sign = -1 if labelled else 1
        items = (
            item(k, flags=(), origins=(Origin.RANDOM,), uncertainty=0.5 - sign * k / 1000)
            for k in range(COUNT)
        )
        return Judged(0.0, items={one.id: one for one in items})

    def most_unsure(
        items: Sequence[RetrainingItem],
        count: int,
        generator: np.random.Generator,
        fires: Sequence[Fires],
    ) -> tuple[Choice, ...]:
        chosen = select_uncertain(items, count, generator, fires)
        seen.append({one.item.sequence: one.item.uncertainty for one in chosen})
        return chosen

    run_rounds(most_unsure, pool(), unsure, TrialSettings(rounds=2, budget=3), 0)
    assert [sorted(one) for one in seen] == [[0, 1, 2], [397, 398, 399]]
    assert max(seen[1].values()) == 0.5 + 399 / 1000


def test_scores_of_runs_elsewhere_are_compared_alike() -> None:
    selectors = {"random": select_random, "uniform": select_uniform}
    found = compare(selectors, "random", pool(), learner, SETTINGS)
    again = compare_scores({name: one.scores for name, one in found.items()}, "random", 0.95)
    assert again["uniform"].last == found["uniform"].last
    with pytest.raises(RecordError) as caught:
        compare_scores({"a": np.zeros((2, 2))}, "b", 0.95)
    assert str(caught.value) == "baseline must be one of a, got 'b'"


def test_a_better_selection_is_called_better_and_an_equal_one_is_not() -> None:
    selectors = {
        "random": select_random,
        "uniform": select_uniform,
        "uncertainty": select_uncertain,
    }
    found = compare(selectors, "random", pool(), learner, SETTINGS)
    assert list(found) == ["random", "uniform", "uncertainty"]
    assert found["random"].last == Difference(0.0, 0.0, 0.0)
    assert found["uniform"].scores.shape == (6, 4)
    claims = {name: (one.last.claim, one.mean.claim) for name, one in found.items()}
    none = "no difference shown"
    assert claims == {
        "random": (none, none),
        "uniform": ("better", "better"),
        # Nothing is uncertain here, so it draws at random.
        "uncertainty": (none, none),
    }
    back = compare(selectors, "uniform", pool(), learner, SETTINGS)
    assert back["random"].last.claim == "worse"
    assert np.isclose(back["random"].last.mean, -found["uniform"].last.mean)


def test_the_interval_is_students_and_corrected_for_the_number_compared() -> None:
    found = compare({"a": select_random, "b": select_uniform}, "a", pool(), learner, SETTINGS)["b"]
    pairs = found.scores[:, -1] - compare(
        {"a": select_random, "b": select_uniform}, "b", pool(), learner, SETTINGS
    )["a"].scores[:, -1]  # fmt: skip
    half = 2.570582 * pairs.std(ddof=1) / np.sqrt(6)
    assert np.isclose(found.last.high - found.last.low, 2 * half)
    three = {"a": select_random, "b": select_uniform, "c": select_uncertain}
    wider = compare(three, "a", pool(), learner, SETTINGS)["b"].last
    assert wider.mean == found.last.mean
    assert wider.low < found.last.low


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rounds": 0}, "rounds must be at least 1, got 0"),
        ({"budget": 0}, "budget must be at least 1, got 0"),
        ({"seeds": (1,)}, "seeds must be at least two different ones, got (1,)"),
        ({"seeds": (1, 2, 1)}, "seeds must be at least two different ones, got (1, 2, 1)"),
        ({"confidence": 1.0}, "confidence must be between 0 and 1, got 1.0"),
    ],
)
def test_settings_that_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError) as caught:
        TrialSettings(**changes)
    assert str(caught.value) == message


def test_a_comparison_that_would_not_be_fair_is_refused() -> None:
    with pytest.raises(RecordError) as caught:
        compare({"a": select_random}, "b", pool(), learner, SETTINGS)
    assert str(caught.value) == "baseline must be one of a, got 'b'"
    with pytest.raises(RecordError) as caught:
        run_rounds(select_random, pool()[:29], learner, SETTINGS, 0)
    assert str(caught.value) == "items must be at least 30, a budget a round, got 29"
    few = TrialSettings(rounds=1, budget=41)
    with pytest.raises(RecordError) as caught:
        run_rounds(select_uniform, pool(), learner, few, 0)
    assert str(caught.value) == (
        "a selection must choose its budget of 41, got 40: take a smaller budget, or a selection "
        "that fills it up"
    )
    with pytest.raises(RecordError) as caught:
        Judged(float("nan"))
    assert str(caught.value) == "score must be a finite number, got nan"
