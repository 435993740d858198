"""Orders of verification compared on a trace."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from flows.cli import main
from flows.evaluate.limit import LimitStudy, evaluate_limit
from records import RecordError

if TYPE_CHECKING:
    from pathlib import Path

VALUES = np.zeros(20_000)
VALUES[12_000:16_000:200] = 5


def test_the_calls_of_every_order_are_counted() -> None:
    scores = VALUES + np.random.default_rng(0).normal(0, 0.1, len(VALUES))
    study = LimitStudy(at_least=5, limit=5, gap=100, repeats=5)
    result = evaluate_limit(VALUES, scores, study)
    assert (result["matching_frames"], result["events"]) == (20, 20)
    assert result["found"] == dict.fromkeys(("random", "sequential", "blazeit", "sightflow"), 5)
    orders = result["orders"]
    assert (orders["blazeit"], orders["sequential"]) == (5, 12_405)
    assert orders["blazeit"] <= orders["sightflow"] < 50
    assert orders["random"] > 1000
    assert result["spread"]["sequential"] == [12_405, 12_405]
    assert evaluate_limit(VALUES, scores, study) == result


def test_a_score_that_says_the_opposite_costs_little_more_than_none() -> None:
    study = LimitStudy(at_least=5, limit=5, gap=100, repeats=9)
    plain = evaluate_limit(VALUES, None, study)
    assert set(plain["orders"]) == {"random", "sequential", "sightflow"}
    bad = evaluate_limit(VALUES, -VALUES, study)
    assert bad["orders"]["sightflow"] < 2 * plain["orders"]["random"]


def test_a_budget_ends_the_search() -> None:
    result = evaluate_limit(VALUES, None, LimitStudy(5, 5, budget=100))
    assert result["orders"] == dict.fromkeys(("random", "sequential", "sightflow"), 100)
    assert result["found"]["sequential"] == 0


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "trace.npy", VALUES)
    words = ["evaluate", "limit", "--trace", str(tmp_path / "trace.npy"), "--at-least", "5",
             "--limit", "3", "--repeats", "2"]  # fmt: skip
    with pytest.raises(SystemExit) as caught:
        main([*words, "--json", "--proxy", "synthetic:rho2=0.9"])
    assert not caught.value.code
    assert set(json.loads(capsys.readouterr().out)["orders"]) == {
        "random", "sequential", "blazeit", "sightflow",
    }  # fmt: skip
    with pytest.raises(SystemExit):
        main(words)
    assert "sightflow" in capsys.readouterr().out
    with pytest.raises(RecordError, match="limit must be at least 1 frame, got 0"):
        LimitStudy(at_least=1, limit=0)
