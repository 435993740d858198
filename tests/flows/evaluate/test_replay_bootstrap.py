from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from flows.evaluate.replay_bootstrap import BootstrapSettings, Difference, blocks_of, differences
from flows.evaluate.replay_score import Ratio
from records import RecordError
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from numpy.typing import NDArray


def seconds(*values: float) -> NDArray[np.int64]:
    return np.array([round(value * NANOSECONDS) for value in values], np.int64)


def ratio(part: Any) -> Ratio:
    part = np.asarray(part, np.float64)
    return Ratio(part, np.ones(len(part)))


def test_blocks() -> None:
    blocks = blocks_of(seconds(7, 7.5, 9, 20, 20.1), BootstrapSettings(2.0))
    assert (blocks.of_frame.tolist(), blocks.count, blocks.seconds) == ([0, 0, 1, 2, 2], 3, 2.0)
    usual = blocks_of(seconds(*range(200)), BootstrapSettings())
    assert (usual.count, usual.seconds) == (21, 199 / 20)
    assert blocks_of(seconds(0, 1), BootstrapSettings()).seconds == 1.0
    assert blocks_of(seconds(0, 7200), BootstrapSettings()).seconds == 60.0
    assert blocks_of(seconds(), BootstrapSettings()).count == 0


def test_two_that_are_the_same_differ_by_nothing() -> None:
    blocks = blocks_of(seconds(*range(40)), BootstrapSettings(2.0))
    scores = {"x": ratio(np.arange(40) % 3 == 0)}
    (found,) = differences(scores, scores, blocks, BootstrapSettings()).values()
    assert (found.difference, found.low, found.high, found.is_sure) == (0.0, 0.0, 0.0, False)


def test_a_difference_that_is_everywhere_the_same_is_sure() -> None:
    blocks = blocks_of(seconds(*range(40)), BootstrapSettings(2.0))
    a, b = {"x": ratio(np.zeros(40)), "y": ratio(np.zeros(40))}, {"x": ratio(np.full(40, 0.25))}
    (found,) = differences(a, b, blocks, BootstrapSettings()).items()
    assert found == ("x", Difference(0.0, 0.25, 0.25, 0.25))
    assert found[1].is_sure


def test_too_few_blocks_give_no_interval() -> None:
    blocks = blocks_of(seconds(*range(7)), BootstrapSettings(1.0))
    a, b = {"x": ratio(np.zeros(7))}, {"x": ratio(np.ones(7))}
    found = differences(a, b, blocks, BootstrapSettings())["x"]
    assert found == Difference(0.0, 1.0, None, None)
    assert not found.is_sure
    assert found.to_json() == {"a": 0.0, "b": 1.0, "difference": 1.0, "low": None, "high": None}


def test_frames_that_count_nowhere_give_no_score() -> None:
    blocks = blocks_of(seconds(*range(20)), BootstrapSettings(1.0))
    none = {"x": Ratio(np.zeros(20), np.zeros(20))}
    (found,) = differences(none, none, blocks, BootstrapSettings()).values()
    assert found.to_json() == dict.fromkeys(("a", "b", "difference", "low", "high"))


def test_the_seed_decides() -> None:
    chance = np.random.default_rng(5)
    blocks = blocks_of(seconds(*range(60)), BootstrapSettings(2.0))
    a, b = ({"x": ratio(chance.random(60))} for _ in range(2))
    first, again, other = (
        differences(a, b, blocks, BootstrapSettings(seed=seed))["x"] for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_intervals_cover_the_true_difference_of_frames_that_resemble_their_neighbours() -> None:
    """Errors come in spells of about 2 s at 10 Hz; blocks of 5 s, 24 of them."""
    chance, n, covered, repeats = np.random.default_rng(3), 1200, 0, 200
    blocks = blocks_of(seconds(*(np.arange(n) / 10)), BootstrapSettings(5.0))
    for _ in range(repeats):
        both = [np.repeat(chance.random(n // 20) < share, 20) for share in (0.8, 0.8)]
        settings = BootstrapSettings(5.0, resamples=500)
        found = differences({"x": ratio(both[0])}, {"x": ratio(both[1])}, blocks, settings)["x"]
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0 <= found.high
    assert 0.91 <= covered / repeats <= 0.99


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"block_seconds": 0}, "block_seconds must be above 0, got 0"),
        ({"confidence": 1.0}, "confidence must be between 0 and 1, got 1.0"),
        ({"resamples": 5}, "resamples must be 100 to 1,000,000, got 5"),
        ({"seed": -1}, "seed must be a whole number of at least 0, got -1"),
    ],
)
def test_settings_that_are_wrong(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError) as error:
        BootstrapSettings(**settings)
    assert str(error.value) == message
