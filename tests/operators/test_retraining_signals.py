from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from operators.retraining_settings import Candidate, Candidates, Dropped, Nominations
from operators.retraining_signals import CutSettings, RetrainingSignals, cut_window
from records import EventKind, Reading, RecordError, RetrainingItem, StreamEvent
from tests.support.queues import item

SECOND = 10**9
SETTINGS = CutSettings(6)


def block(number: int, **changes: Any) -> Reading:
    """Four samples of two channels at 4 Hz, which count on."""
    samples = np.arange(4 * number, 4 * number + 4, dtype=np.float32).reshape(-1, 1) * [1, -1]
    made = Reading(
        "bed", number, number * SECOND, 4.0, samples.astype(np.float32), ("I", "II"), ("mV", "mV")
    )
    return replace(made, **changes)


def keep(one: RetrainingItem, window: Reading) -> Candidate:
    return Candidate(one, bytes(int(sample) for sample in window.samples[:, 0]))


def nominated(*starts: float, left: float = 0.0) -> Nominations:
    items = tuple(item(k, "bed", time_ns=int(start * SECOND)) for k, start in enumerate(starts))
    return Nominations("bed", items, left=(0, int(left * SECOND)))


def cut(blocks: list[Reading], start: float, **settings: Any) -> list[float] | None:
    found = cut_window(blocks, 7, int(start * SECOND), replace(SETTINGS, **settings))
    return None if found is None else found.samples[:, 0].tolist()


def test_windows_are_cut_out_of_as_many_blocks_as_it_takes() -> None:
    blocks = [block(k) for k in range(3)]
    window = cut_window(blocks, 7, SECOND // 2, SETTINGS)
    assert window == Reading(
        "bed", 7, SECOND // 2, 4.0,
        np.array([[k, -k] for k in range(2, 8)], np.float32), ("I", "II"), ("mV", "mV"),
    )  # fmt: skip
    assert cut(blocks, 1.5) == [6, 7, 8, 9, 10, 11]
    assert cut(blocks, 0.5, samples=1) == [2]
    assert cut(blocks, 0.0, samples=12) == list(range(12))


@pytest.mark.parametrize(
    ("blocks", "start"),
    [
        ([], 0.0),
        ([block(1)], 0.5),
        ([block(0)], 0.0),
        ([block(0), block(2)], 0.0),
        ([block(0), block(1, time_ns=SECOND + 2 * 10**7)], 0.0),
        ([block(0), block(1, channels=("I", "aVR"))], 0.0),
        ([block(0), block(1, rate_hz=5.0)], 0.0),
    ],
)
def test_windows_that_are_not_all_there_are_none(blocks: list[Reading], start: float) -> None:
    assert cut(blocks, start) is None


def test_nominated_windows_get_their_samples_and_others_are_counted() -> None:
    logic = RetrainingSignals(SETTINGS, keep)
    for k in range(3):
        assert logic.on_item(block(k)) is None
    assert logic.on_item(StreamEvent("bed", 3 * SECOND, EventKind.ENDED)) is None
    found = logic.on_item(nominated(0.5, 2.0))
    assert found == Candidates(
        "bed",
        (
            Candidate(item(0, "bed", time_ns=SECOND // 2), bytes(range(2, 8))),
            Candidate(item(1, "bed", time_ns=2 * SECOND)),
        ),
        {Dropped.NO_PICTURE: 1},
    )
    assert logic.on_item(nominated()) is None


def test_blocks_are_let_go_of_once_nothing_in_them_can_be_nominated() -> None:
    logic = RetrainingSignals(SETTINGS, keep)
    for k in range(4):
        logic.on_item(block(k))
    logic.on_item(nominated(left=1.5))
    assert [one.sequence for one in logic.snapshot()] == [1, 2, 3]
    small = RetrainingSignals(CutSettings(6, bytes_at_most=64), keep)
    for k in range(4):
        small.on_item(block(k))
    assert [one.sequence for one in small.snapshot()] == [2, 3]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"samples": 0}, "samples must be at least 1, got 0"),
        ({"bytes_at_most": 0}, "bytes_at_most must be at least 1, got 0"),
        ({"tolerance_seconds": -1.0}, "tolerance_seconds must be at least 0, got -1.0"),
    ],
)
def test_settings_that_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError) as caught:
        CutSettings(**({"samples": 6} | changes))
    assert str(caught.value) == message
