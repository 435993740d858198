from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.budget import Budget, BudgetSettings
from records import RecordError

SETTINGS = BudgetSettings(1200, pane_seconds=60, least=2, streams=("a", "b"))
QUIET, BUSY = np.zeros((20, 1)), np.arange(20.0).reshape(-1, 1) % 7


def test_calls_go_where_neighbouring_answers_differ() -> None:
    budget = Budget(SETTINGS)
    assert [budget.cells(stream, 0) for stream in "ab"] == [10, 10]
    budget.learn("a", 0, QUIET, frames=600)
    budget.learn("b", 0, BUSY, frames=600)
    assert [budget.cells(stream, 1) for stream in "ab"] == [2, 18]
    # The quiet one wakes: its share comes back.
    for pane in range(1, 5):
        budget.learn("a", pane, BUSY, frames=600)
        budget.learn("b", pane, BUSY, frames=600)
        assert sum(budget.cells(stream, pane + 1) for stream in "ab") == 20
    assert budget.cells("a", 5) in (9, 10)


def test_the_decision_stands_for_the_whole_pane() -> None:
    budget = Budget(SETTINGS)
    before = budget.cells("a", 0)
    budget.learn("a", 0, BUSY, frames=600)
    assert budget.cells("a", 0) == before


def test_a_latecomer_takes_its_calls_from_the_next_pane() -> None:
    budget = Budget(SETTINGS)
    calls = [budget.cells(stream, 0) for stream in "abc"]
    for stream in "abc":
        budget.learn(stream, 0, BUSY, frames=600)
    after = [budget.cells(stream, 1) for stream in "abc"]
    assert (calls, sum(calls) + sum(after)) == ([10, 10, 2], 40)


def test_a_stream_that_is_gone_leaves_its_calls_to_the_others() -> None:
    budget = Budget(SETTINGS)
    for pane in range(3):
        budget.cells("a", pane)
        budget.learn("a", pane, BUSY, frames=600)
        if pane == 0:
            budget.cells("b", 0)
            budget.learn("b", 0, BUSY, frames=600)
    assert budget.cells("a", 3) == 20
    assert budget.cells("b", 3) == 2


def test_less_than_a_call_a_stream_is_shared_as_well() -> None:
    budget = Budget(BudgetSettings(60, pane_seconds=60, streams=("a", "b", "c")))
    calls = []
    for pane in range(4):
        calls.append([budget.cells(stream, pane) for stream in "abc"])
        for stream in "abc":
            budget.learn(stream, pane, QUIET[:1], frames=600)
    assert [sum(row) for row in calls] == [1, 1, 1, 1]


def test_fractions_of_a_call_are_not_lost() -> None:
    budget = Budget(BudgetSettings(90, pane_seconds=20, streams=("a",)))
    calls = []
    for pane in range(8):
        calls.append(budget.cells("a", pane))
        budget.learn("a", pane, QUIET[:1], frames=100)
    assert calls == [0, 1, 0, 1, 0, 1, 0, 1]


def test_rows_without_answers_are_passed_over() -> None:
    one, two = Budget(SETTINGS), Budget(SETTINGS)
    one.learn("a", 0, np.array([[1.0], [np.nan], [3.0]]), frames=3)
    two.learn("a", 0, np.array([[1.0], [3.0]]), frames=3)
    assert one.snapshot() == two.snapshot()


@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 2), st.integers(0, 9)), max_size=40),
    st.integers(0, 40),
)
def test_a_restart_changes_nothing_and_the_budget_is_kept(
    steps: list[tuple[str, int, int]], cut: int
) -> None:
    panes = np.cumsum([step for _, step, _ in steps]).tolist()

    def feed(budget: Budget, first: int, end: int | None) -> list[int]:
        calls = []
        for (stream, _, value), pane in list(zip(steps, panes, strict=True))[first:end]:
            calls.append(budget.cells(stream, pane))
            budget.learn(stream, pane, np.array([[value], [0.0]]), frames=300)
        return calls

    whole = Budget(SETTINGS)
    expected = feed(whole, 0, None)
    before = Budget(SETTINGS)
    calls = feed(before, 0, cut)
    after = Budget(SETTINGS, before.snapshot())
    assert calls + feed(after, cut, None) == expected
    assert after.snapshot() == whole.snapshot()
    spent = sum(sum(calls.values()) for calls in whole.snapshot().allocations.values())
    decided = len(whole.snapshot().allocations)
    assert spent <= 20 * decided + whole.snapshot().debt


def test_what_is_out_of_range_is_told() -> None:
    with pytest.raises(RecordError, match="^calls_per_hour must be above 0 and finite, got 0$"):
        BudgetSettings(0, 60)
    with pytest.raises(RecordError, match="^least must be at least 0 calls, got -1$"):
        BudgetSettings(1, 60, least=-1)
