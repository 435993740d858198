from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from connectors.event_order import verdict_batches
from connectors.lanes import RecordedLane
from connectors.pace import Pacer, Speed
from connectors.paced import NAP_SECONDS, PacedPartition, PacedSource
from records import Detections, RecordError, Stage, Verdict
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence


class FakeTime:
    """A clock that goes on only while somebody sleeps, or works."""

    def __init__(self) -> None:
        self.now = 100.0
        self.naps: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += seconds


def played(
    seconds: Sequence[float], speed: Speed, work: float = 0.0
) -> tuple[list[tuple[float, float]], Pacer, FakeTime]:
    """When each verdict came, after the first; the pacer, and the time."""
    time = FakeTime()
    pacer = Pacer(speed, time.clock)
    verdicts = [
        Verdict("gate", k, round(at * NANOSECONDS), Stage.REFERENCE, 0.0, Detections.empty())
        for k, at in enumerate(seconds)
    ]
    source = PacedSource(
        lambda: [RecordedLane("gate", iter(verdicts))], verdict_batches, pacer,
        stop=threading.Event(), sleep=time.sleep,
    )  # fmt: skip
    assert source.list_parts() == ["replay"]
    part = source.build_part("x", "replay", None)
    came: list[tuple[float, float]] = []
    while True:
        try:
            items = part.next_batch()
        except StopIteration:
            part.close()
            return came, pacer, time
        for _, batch in items:
            came += [(one.time_ns / NANOSECONDS, time.now - 100) for one in batch.verdicts]
            time.now += work


def test_real_time_and_multiples_of_it() -> None:
    seconds = [5.0, 6.0, 8.0, 20.0]
    for times in (1.0, 4.0, 0.5):
        came, pacer, time = played(seconds, Speed(times))
        assert [at for at, _ in came] == seconds
        assert [now for _, now in came] == pytest.approx([(at - 5) / times for at in seconds])
        assert pacer.behind_seconds == pytest.approx(0, abs=1e-6)
        assert max(time.naps) <= NAP_SECONDS


def test_a_group_comes_when_its_last_item_does() -> None:
    came, _, _ = played([5.0, 5.1, 5.4], Speed(1.0))
    assert [now for _, now in came] == pytest.approx([0.4, 0.4, 0.4])


def test_as_fast_as_possible_never_sleeps() -> None:
    came, pacer, time = played([5.0, 6.0, 8.0, 20.0], Speed(), work=3.0)
    assert [now for _, now in came] == [0.0, 3.0, 6.0, 9.0]
    assert (time.naps, pacer.behind_seconds) == ([], 0.0)


def test_a_replay_that_is_behind_goes_on_without_a_wait_and_says_so() -> None:
    came, pacer, _ = played([0.0, 1.0, 2.0, 9.0], Speed(1.0), work=3.0)
    assert [now for _, now in came] == pytest.approx([0.0, 3.0, 6.0, 9.0])
    assert pacer.behind_seconds == pytest.approx(4.0)


def test_stopping_ends_it_at_once() -> None:
    stop = threading.Event()
    source = PacedSource(list, verdict_batches, Pacer(Speed()), stop=stop)
    part = source.build_part("x", "replay", None)
    assert isinstance(part, PacedPartition)
    stop.set()
    with pytest.raises(StopIteration):
        part.next_batch()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fast", "speed must be a number or max, got 'fast'"),
        ("0", "speed must be 0.001 to 1e+06, or max, got 0.0"),
        ("nan", "speed must be 0.001 to 1e+06, or max, got nan"),
        ("-1", "speed must be 0.001 to 1e+06, or max, got -1.0"),
    ],
)
def test_speeds_that_are_none(text: str, message: str) -> None:
    with pytest.raises(RecordError) as error:
        Speed.parse(text)
    assert str(error.value) == message
