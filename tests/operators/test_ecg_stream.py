from __future__ import annotations

from dataclasses import replace
from typing import Any

import bytewax.operators as op
import numpy as np
import pytest
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource, run_main
from hypothesis import given
from hypothesis import strategies as st

from operators.ecg_stream import EcgStream, EcgStreamSettings, ecg_stream
from records import (
    Classification,
    ClassificationBatch,
    EventKind,
    Reading,
    RecordError,
    StreamEvent,
)
from records.units import NANOSECONDS
from tests.support.ecg import Loudness, readings

SIGNAL = np.random.default_rng(0).random(103).astype(np.float32)
ENDED = StreamEvent("bed", 99 * NANOSECONDS, EventKind.ENDED)


def run(
    items: list[Any], settings: EcgStreamSettings | None = None
) -> tuple[list[Classification], list[StreamEvent]]:
    logic = EcgStream(settings or EcgStreamSettings(new_windows=1), Loudness())
    batches = [batch for item in items if (batch := logic.on_item(item)) is not None]
    found = [one for batch in batches for one in batch.classifications]
    assert [one.sequence for one in found] == list(range(len(found)))
    return found, [event for batch in batches for event in batch.events]


def loud(found: list[Classification]) -> list[float]:
    return [round(one.probabilities[1], 5) for one in found]


def offline(signal: Any) -> list[float]:
    return [round(value, 5) for value in Loudness().classify(signal)[:, 1].tolist()]


@given(
    st.integers(0, 103),
    st.integers(1, 50),
    st.integers(1, 9),
    st.lists(st.integers(1, 6), min_size=1, max_size=5),
)
def test_a_stream_says_what_the_model_says_of_the_whole(
    length: int, size: int, new_windows: int, together: list[int]
) -> None:
    logic = EcgStream(EcgStreamSettings(new_windows=new_windows), Loudness())
    items: list[Any] = [*readings(SIGNAL[:length], size), ENDED]
    found: list[Classification] = []
    turn = 0
    while items:
        count = together[turn % len(together)]
        for batch in logic.on_items(items[:count]):
            found += batch.classifications
        items, turn = items[count:], turn + 1
    assert loud(found) == offline(SIGNAL[:length])
    assert [one.time_ns for one in found] == [k * NANOSECONDS // 2 for k in range(len(found))]
    assert {one.duration_ns for one in found} <= {NANOSECONDS // 2}


def test_a_window_waits_for_its_context_and_for_the_others() -> None:
    blocks = readings(SIGNAL[:40], 4)
    logic = EcgStream(EcgStreamSettings(new_windows=3), Loudness())
    counts = [
        0 if batch is None else len(batch.classifications)
        for batch in (logic.on_item(block) for block in blocks)
    ]
    assert counts == [0, 0, 0, 0, 3, 0, 0, 3, 0, 0]


def test_the_model_is_run_once_for_all_that_is_there() -> None:
    class Counted(Loudness):
        calls = 0

        def classify(self, signal: Any) -> Any:
            Counted.calls += 1
            return super().classify(signal)

    logic = EcgStream(EcgStreamSettings(new_windows=1), Counted())
    (batch,) = logic.on_items([*readings(SIGNAL, 5)])
    assert (Counted.calls, len(batch.classifications)) == (1, 23)
    assert logic.on_items([]) == []


def test_a_gap_ends_a_run_and_is_counted() -> None:
    first = readings(SIGNAL[:22], 11)
    second = [
        replace(one, sequence=one.sequence + 2, time_ns=one.time_ns + 5 * NANOSECONDS)
        for one in readings(SIGNAL[22:], 11)
    ]
    found, events = run([*first, *second, ENDED])
    assert loud(found) == offline(SIGNAL[:22]) + offline(SIGNAL[22:])
    assert [one.time_ns / NANOSECONDS for one in found[4:7]] == [2.0, 5.0, 5.5]
    end_ns = 22 * NANOSECONDS // 8
    assert events == [
        StreamEvent("bed", end_ns, EventKind.DROPPED, 2, "part_of_window"),
        StreamEvent("bed", 5 * NANOSECONDS, EventKind.DROPPED, 18, "gap"),
        StreamEvent(
            "bed", 5 * NANOSECONDS + 81 * NANOSECONDS // 8, EventKind.DROPPED, 1, "part_of_window"
        ),
        ENDED,
    ]


def test_blocks_that_come_twice_or_late_are_counted_and_change_nothing() -> None:
    blocks = readings(SIGNAL[:40], 10)
    found, events = run([*blocks[:3], blocks[1], blocks[2], blocks[3], ENDED])
    assert loud(found) == offline(SIGNAL[:40])
    assert events == [
        StreamEvent("bed", blocks[1].time_ns, EventKind.DROPPED, 10, "late",
                    "it begins 2.500 s too early"),
        StreamEvent("bed", blocks[2].time_ns, EventKind.DROPPED, 10, "late",
                    "it begins 1.250 s too early"),
        ENDED,
    ]  # fmt: skip


def test_a_clock_that_drifts_within_the_tolerance_makes_no_gap() -> None:
    blocks = [
        replace(one, time_ns=one.time_ns + number * 9_000_000)
        for number, one in enumerate(readings(SIGNAL[:80], 4))
    ]
    found, events = run([*blocks, ENDED])
    assert loud(found) == offline(SIGNAL[:80])
    assert events == [ENDED]


def test_samples_that_are_no_number_are_counted() -> None:
    signal = SIGNAL[:32].copy()
    signal[[3, 4, 17]] = [np.nan, np.inf, -np.inf]
    found, events = run([*readings(signal, 8), ENDED])
    known = np.where(np.isfinite(signal), signal, np.nan)
    assert loud(found) == offline(known)
    assert events == [
        StreamEvent("bed", 0, EventKind.CORRUPT, 2, "missing"),
        StreamEvent("bed", 2 * NANOSECONDS, EventKind.CORRUPT, 1, "missing"),
        ENDED,
    ]


def test_a_block_that_does_not_fit_is_counted() -> None:
    (block,) = readings(SIGNAL[:8], 8)
    _, events = run([replace(block, rate_hz=9.0)])
    assert events == [
        StreamEvent("bed", 0, EventKind.DROPPED, 8, "not_fit",
                    "rate_hz must be the model's, 8, got 9")
    ]  # fmt: skip
    _, events = run([block], EcgStreamSettings("V5"))
    assert events == [
        StreamEvent("bed", 0, EventKind.DROPPED, 8, "not_fit", "channels must hold 'V5', got ECG")
    ]


def test_a_channel_is_chosen_by_name() -> None:
    two = np.stack([np.zeros(40, np.float32), SIGNAL[:40]], axis=1)
    block = Reading("bed", 0, 0, 8.0, two, ("resp", "ECG"), ("mV", "mV"))
    found, _ = run([block, ENDED], EcgStreamSettings("ECG"))
    assert loud(found) == offline(SIGNAL[:40])


def test_a_loss_ends_a_run_and_other_events_pass() -> None:
    lost = StreamEvent("bed", 1, EventKind.LOST)
    opened = StreamEvent("bed", 2, EventKind.OPENED)
    blocks = readings(SIGNAL[:40], 20)
    found, events = run([blocks[0], opened, lost, blocks[1], ENDED])
    assert loud(found) == offline(SIGNAL[:20]) + offline(SIGNAL[20:40])
    assert events == [opened, lost, ENDED]


def test_a_long_signal_is_cut_to_bound_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("operators.ecg_stream.MOST_WINDOWS", 3)
    found, _ = run([*readings(SIGNAL, 103), ENDED])
    assert loud(found) == offline(SIGNAL)


def test_settings_are_checked() -> None:
    with pytest.raises(RecordError) as caught:
        EcgStreamSettings(new_windows=0)
    assert str(caught.value) == "new_windows must be at least 1, got 0"
    with pytest.raises(RecordError) as caught:
        EcgStreamSettings(tolerance_seconds=float("inf"))
    assert str(caught.value) == "tolerance_seconds must be at least 0, got inf"


def test_in_a_dataflow() -> None:
    out: list[tuple[str, ClassificationBatch]] = []
    flow = Dataflow("ecg")
    items: list[tuple[str, Reading | StreamEvent]] = [
        *(("bed", block) for block in readings(SIGNAL, 10)),
        ("bed", ENDED),
    ]
    up = op.input("in", flow, TestingSource(items, batch_size=3))
    found = ecg_stream("ecg", up, EcgStreamSettings(), Loudness())
    op.output("out", found, TestingSink(out))
    run_main(flow)
    assert loud([one for _, batch in out for one in batch.classifications]) == offline(SIGNAL)
