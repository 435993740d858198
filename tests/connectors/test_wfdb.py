from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bytewax.operators as op
import numpy as np
import pytest
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, run_main

from connectors.wfdb import WfdbPartition, WfdbSettings, WfdbSource, WfdbState
from records import EventKind, Reading, RecordError, StreamEvent
from records.units import NANOSECONDS
from tests.support.ecg import write_record

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

NOON_NS = 949_406_400 * NANOSECONDS
"""Noon on 1 February 2000."""


def ramp(samples: int) -> NDArray[np.float32]:
    return (np.arange(samples) / 1000).astype(np.float32)


def partition(
    settings: WfdbSettings,
    resume: WfdbState | None = None,
    clock: Callable[[], int] = lambda: 0,
    stop: threading.Event | None = None,
) -> WfdbPartition:
    source = WfdbSource({"bed": settings}, stop=stop or threading.Event(), clock=clock)
    return source.build_part("in", "bed", resume)


def played(part: WfdbPartition) -> list[Any]:
    """Readings as (sequence, seconds after noon, first sample, samples), events as they are."""
    found: list[Any] = []
    while True:
        try:
            found += [told(item) for _, item in part.next_batch()]
        except StopIteration:
            return found


def told(item: Reading | StreamEvent) -> tuple[Any, ...]:
    if isinstance(item, StreamEvent):
        return (str(item.kind), (item.time_ns - NOON_NS) / NANOSECONDS, item.count, item.reason)
    seconds = (item.time_ns - NOON_NS) / NANOSECONDS
    return item.sequence, seconds, round(float(item.samples[0, 0]), 3), len(item.samples)


def test_a_record_becomes_blocks(tmp_path: Path) -> None:
    path = write_record(tmp_path, "one", ramp(700))
    assert rounded(played(partition(WfdbSettings((path,))))) == [
        ("opened", 0, 0, ""),
        (0, 0, 0.0, 300),
        (1, 1, 0.3, 300),
        (2, 2, 0.6, 100),
        ("ended", 2.333333, 3, ""),
    ]
    (first,) = [
        item for _, item in partition(WfdbSettings((path,), 10.0, start_ns=5)).next_batch()
        if isinstance(item, Reading)
    ]  # fmt: skip
    assert (first.time_ns, first.rate_hz) == (5, 300.0)
    assert (first.channels, first.units) == (("ECG",), ("mV",))
    assert np.array_equal(first.samples[:, 0], ramp(700))


def records(folder: Path) -> tuple[Path, ...]:
    """Two good records, one that is short, one that is none, and one of an earlier time."""
    first = write_record(folder, "first", ramp(450))
    short = write_record(folder, "short", ramp(600), header="12:01:00 1/02/2000")
    (folder / "short.mat").write_bytes((folder / "short.mat").read_bytes()[: 24 + 2 * 300])
    last = write_record(folder, "last", ramp(150))
    return first, short, folder / "gone", last


WANT = [
    ("opened", 0, 0, ""),
    (0, 0, 0.0, 300),
    (1, 1, 0.3, 150),
    ("opened", 60, 0, ""),
    (2, 60, 0.0, 300),
    ("truncated", 61, 300, "short_file"),
    ("unreadable", 61 + 1e-9, 0, ""),
    ("opened", 62, 0, ""),
    (3, 62, 0.0, 150),
    ("ended", 62.5, 4, ""),
]


def rounded(items: list[Any]) -> list[Any]:
    return [tuple(round(v, 6) if isinstance(v, float) else v for v in item) for item in items]


def test_records_are_played_one_after_another(tmp_path: Path) -> None:
    settings = WfdbSettings(records(tmp_path))
    items: list[Any] = []
    part = partition(settings)
    assert rounded(played(part)) == rounded(WANT)
    part = partition(settings)
    while True:
        try:
            items += [item for _, item in part.next_batch()]
        except StopIteration:
            break
    events = [item for item in items if isinstance(item, StreamEvent)]
    assert len({event.id for event in events}) == len(events)
    (unreadable,) = (event for event in events if event.kind is EventKind.UNREADABLE)
    assert unreadable.detail == (
        f"the WFDB header {tmp_path}/gone.hea cannot be read: No such file or directory"
    )


def test_a_start_replaces_the_times_of_headers(tmp_path: Path) -> None:
    settings = WfdbSettings(records(tmp_path), start_ns=NOON_NS, pause_seconds=0)
    blocks = [item for item in played(partition(settings)) if isinstance(item[0], int)]
    assert blocks == [(0, 0, 0.0, 300), (1, 1, 0.3, 150), (2, 1.5, 0.0, 300), (3, 2.5, 0.0, 150)]


def test_a_restart_at_any_batch_changes_nothing(tmp_path: Path) -> None:
    settings = WfdbSettings(records(tmp_path))
    for cut in range(9):
        part = partition(settings)
        before = []
        for _ in range(cut):
            try:
                before += [told(item) for _, item in part.next_batch()]
            except StopIteration:
                break
        assert rounded(before + played(partition(settings, part.snapshot()))) == rounded(WANT)


def test_a_stream_plays_at_its_speed(tmp_path: Path) -> None:
    now = [1000]
    settings = WfdbSettings((write_record(tmp_path, "one", ramp(700)),), speed=2.0)
    part = partition(settings, clock=lambda: now[0])
    assert part.next_awake() is None
    assert len(part.next_batch()) == 2
    assert part.next_batch() == []
    awake = part.next_awake()
    assert awake is not None
    assert awake.timestamp() == pytest.approx(0.05, abs=1e-4)
    now[0] += NANOSECONDS // 2
    assert len(part.next_batch()) == 1
    assert part.next_batch() == []
    now[0] += 10 * NANOSECONDS
    # After a wait the stream catches up.
    assert [item[0] for item in played(part)] == [2, "ended"]


def test_a_stream_that_is_stopped_ends_and_can_go_on(tmp_path: Path) -> None:
    settings = WfdbSettings((write_record(tmp_path, "one", ramp(700)),))
    stop = threading.Event()
    part = partition(settings, stop=stop)
    part.next_batch()
    stop.set()
    assert [told(item) for _, item in part.next_batch()] == [("ended", 1, 1, "stopped")]
    with pytest.raises(StopIteration):
        part.next_batch()
    rest = played(partition(settings, part.snapshot()))
    assert [item[0] for item in rest] == [1, 2, "ended"]
    assert played(partition(settings, partition(settings, rest_of(settings)).snapshot())) == []


def rest_of(settings: WfdbSettings) -> WfdbState:
    """The snapshot of a stream that has ended."""
    part = partition(settings)
    played(part)
    return part.snapshot()


def test_two_streams_in_a_dataflow(tmp_path: Path) -> None:
    streams = {
        name: WfdbSettings((write_record(tmp_path, name, ramp(samples)),), start_ns=0)
        for name, samples in (("a", 400), ("b", 200))
    }
    out: list[tuple[str, Reading | StreamEvent]] = []
    flow = Dataflow("wfdb")
    source = WfdbSource(streams, stop=threading.Event())
    op.output("out", op.input("in", flow, source), TestingSink(out))
    run_main(flow, epoch_interval=timedelta(seconds=10))
    for name, samples in (("a", [300, 100]), ("b", [200])):
        mine = [item for key, item in out if key == name]
        assert [len(one.samples) for one in mine if isinstance(one, Reading)] == samples
        assert [one.kind for one in mine if isinstance(one, StreamEvent)] == [
            EventKind.OPENED,
            EventKind.ENDED,
        ]


def test_a_block_too_large_for_memory_is_refused(tmp_path: Path) -> None:
    path = write_record(tmp_path, "one", ramp(10))
    header = tmp_path / "one.hea"
    header.write_text(header.read_text().replace(" 300 ", " 1e9 "))
    part = partition(WfdbSettings((path,), block_seconds=3600))
    ((_, opened),) = part.next_batch()
    assert isinstance(opened, StreamEvent)
    assert (opened.kind, opened.detail) == (
        EventKind.UNREADABLE,
        f"{header}: a block must have at most 16777216 samples over all signals, "
        "got 3600000000000 of 1 signals. Lower block_seconds",
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"records": ()}, "records must name at least one record"),
        ({"block_seconds": 0}, "block_seconds must be above 0 and at most 3600, got 0"),
        ({"start_ns": -1}, "start_ns must be nanoseconds since 1970 UTC as an int, got -1"),
        ({"pause_seconds": -1}, "pause_seconds must be at least 0, got -1"),
        ({"speed": float("nan")}, "speed must be at least 0.001, got nan"),
    ],
)
def test_settings_are_checked(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError) as caught:
        WfdbSettings(**{"records": (Path("a"),), **fields})
    assert str(caught.value) == message


def test_streams_are_checked() -> None:
    with pytest.raises(RecordError, match="streams must name at least one stream"):
        WfdbSource({}, stop=threading.Event())
    with pytest.raises(RecordError, match="without ':', got 'a:b'"):
        WfdbSource({"a:b": WfdbSettings((Path("a"),))}, stop=threading.Event())
