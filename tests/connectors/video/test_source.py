from __future__ import annotations

import gc
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.errors import BytewaxRuntimeError
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSink, run_main

from connectors.pace import Pacer, Speed
from connectors.video import VideoPartition, VideoSettings, VideoSource
from connectors.video.ahead import DecodeAhead
from records import EventKind, Frame, FrameBatch, RecordError, StreamEvent
from tests.support.videos import (
    Seen,
    SeenBatch,
    alive,
    damage,
    living,
    read_all,
    run_flow,
    seen,
    threads,
    told,
    wait_until,
    write_video,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

EVEN = list(range(0, 4000, 40))
"""The times of 100 evenly spaced frames, ms."""


def frames_of(batches: list[SeenBatch]) -> list[Seen]:
    return [frame for batch in batches for frame in batch.frames]


def events_of(batches: list[SeenBatch]) -> list[StreamEvent]:
    return [event for batch in batches for event in batch.events]


def test_two_streams_run_side_by_side(assets: Path, tmp_path: Path) -> None:
    real = VideoSettings(str(assets / "video" / "vtest.avi"), batch_frames=10, frames_at_most=95)
    made = VideoSettings(str(write_video(tmp_path / "a.mp4", EVEN[:40], b_frames=2)))
    batches = run_flow({"hall": real, "gate": made})
    gate, hall = ([b for b in batches if b.stream == name] for name in ("gate", "hall"))
    assert [len(batch.frames) for batch in hall] == [10] * 9 + [5]
    assert [len(batch.frames) for batch in gate] == [16, 16, 8]
    assert [frame.sequence for frame in frames_of(hall)] == list(range(95))
    assert [frame.time_ns for frame in frames_of(hall)] == [i * 10**8 for i in range(95)]
    assert [frame.number for frame in frames_of(gate)] == list(range(40))
    assert told(events_of(hall)) == [("opened", 0, ""), ("ended", 95, "frames_at_most")]
    assert told(events_of(gate)) == [("opened", 0, ""), ("ended", 40, "")]
    assert gate[1].events == ()
    wait_until(lambda: not threads("hall") + threads("gate"), "the threads to end")


def test_the_last_batch_may_hold_only_the_end(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", EVEN[:32])
    batches = run_flow({"gate": VideoSettings(str(path))})
    assert [len(batch.frames) for batch in batches] == [16, 16, 0]
    assert told(batches[-1].events) == [("ended", 32, "")]


def test_what_cannot_be_read_ends_alone(tmp_path: Path) -> None:
    good = VideoSettings(str(write_video(tmp_path / "a.mp4", EVEN[:5])))
    bad = VideoSettings(str(tmp_path / "none.mp4"))
    batches = run_flow({"gate": good, "hall": bad})
    assert len(frames_of(batches)) == 5
    hall = [batch for batch in batches if batch.stream == "hall"]
    assert told(events_of(hall)) == [("unreadable", 0, "not_found"), ("ended", 0, "")]
    assert events_of(hall)[0].detail == f"{tmp_path}/none.mp4: No such file or directory"


def test_damage_is_added_up_by_batch_and_reason(assets: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    whole = (assets / "video" / "vtest.avi").read_bytes()
    path.write_bytes(damage(whole, seed=1, flips=400, spare=50_000))
    settings = VideoSettings(str(path), batch_frames=50)
    batches = run_flow({"gate": settings})
    single_frames, single_events = read_all(settings)
    assert len(frames_of(batches)) == len(single_frames)
    for batch in batches:
        reasons = [(event.kind, event.reason) for event in batch.events]
        assert len(reasons) == len(set(reasons))
    for events in (events_of(batches), single_events):
        lost = sum(event.count for event in events if event.kind is EventKind.CORRUPT)
        assert lost > 20
    ids = [event.id for event in events_of(batches)]
    assert len(ids) == len(set(ids))
    # The same file gives the same batches, whatever the timing.
    again = run_flow({"gate": settings}, each=lambda _: time.sleep(0.002))
    assert [batch.events for batch in again] == [batch.events for batch in batches]
    assert [len(batch.frames) for batch in again] == [len(batch.frames) for batch in batches]


def test_a_flow_that_keeps_every_frame_gets_no_more_than_the_bound(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", EVEN, size=(66, 50))
    settings = VideoSettings(str(path), batch_frames=4, frames_in_memory=12)
    stop, most = threading.Event(), [0]
    kept: list[Frame] = []

    def keep(batch: FrameBatch) -> None:
        kept.extend(batch.frames)
        most[0] = max(most[0], alive(66))
        if batch.frames and len(kept) == 12:
            threading.Timer(0.3, watch).start()

    def watch() -> None:
        most[0] = max(most[0], alive(66))
        stop.set()

    batches = run_flow({"gate": settings}, stop=stop, each=keep)
    assert len(kept) == 12
    assert most[0] == 12
    assert told(events_of(batches)) == [("opened", 0, ""), ("ended", 12, "stopped")]


def test_a_slow_flow_loses_nothing_of_a_file(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", EVEN, size=(68, 50), b_frames=3)
    settings = VideoSettings(str(path), batch_frames=4, frames_in_memory=8)
    most = [0]

    def slowly(_: FrameBatch) -> None:
        time.sleep(0.005)
        most[0] = max(most[0], alive(68))

    batches = run_flow({"gate": settings}, each=slowly)
    assert [frame.number for frame in frames_of(batches)] == list(range(100))
    assert [len(batch.frames) for batch in batches] == [4] * 25 + [0]
    assert most[0] <= 8


def test_a_live_stream_counts_what_a_slow_flow_misses(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", EVEN, size=(70, 50))
    settings = VideoSettings(
        str(path),
        live=True,
        batch_frames=4,
        frames_in_memory=8,
        reconnect_first_seconds=60,
        reconnect_most_seconds=60,
    )
    stop = threading.Event()
    most, emitted = [0], [0]

    def slowly(batch: FrameBatch) -> None:
        time.sleep(0.01 if emitted[0] else 0.5)
        most[0] = max(most[0], alive(70))
        emitted[0] += len(batch.frames)
        if any(event.kind is EventKind.LOST for event in batch.events):
            stop.set()

    batches = run_flow({"gate": settings}, stop=stop, each=slowly)
    events = events_of(batches)
    dropped = sum(event.count for event in events if event.kind is EventKind.DROPPED)
    assert dropped > 0
    assert emitted[0] == len(frames_of(batches)) == 100 - dropped
    assert most[0] <= 8
    assert [frame.sequence for frame in frames_of(batches)] == list(range(emitted[0]))
    assert {event.reason for event in events if event.kind is EventKind.LOST} == {"ended"}


def test_stop_drains_the_flow(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", EVEN)
    settings = VideoSettings(str(path), batch_frames=8, frames_in_memory=24)
    stop = threading.Event()

    def full() -> bool:
        # A frame that exists may still be on its way into the buffer: only one there is drained.
        return any((x.frames, x.budget.taken) == (16, 24) for x in living(DecodeAhead))

    def stop_at_once(batch: FrameBatch) -> None:
        if batch.frames and batch.frames[0].sequence == 0:
            wait_until(full, "all memory to be in use")
            stop.set()

    batches = run_flow({"gate": settings}, stop=stop, each=stop_at_once)
    frames = frames_of(batches)
    # The first batch is let go before the source looks again: its room may be taken once more.
    assert 24 <= len(frames) <= 32
    assert [frame.sequence for frame in frames] == list(range(len(frames)))
    assert max(len(batch.frames) for batch in batches) == 8
    assert told(batches[-1].events) == [("ended", len(frames), "stopped")]
    wait_until(lambda: not threads("gate"), "the thread to end")


def test_threads_end_with_a_flow_that_fails(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", EVEN)
    settings = VideoSettings(str(path), batch_frames=4, frames_in_memory=8)

    def fail(batch: FrameBatch) -> None:
        if batch.frames[0].sequence >= 8:
            raise ZeroDivisionError("the flow fails")

    with pytest.raises(BytewaxRuntimeError):
        run_flow({"doomed": settings}, each=fail)

    def gone() -> bool:
        gc.collect()
        return not threads("doomed")

    wait_until(gone, "the thread to end")


RESUMED: dict[str, Callable[[Path], object]] = {
    "b.mp4": lambda path: write_video(path, EVEN[:60], b_frames=3),
    "v.mkv": lambda path: write_video(path, [i * i for i in range(60)], b_frames=2),
    "t.ts": lambda path: write_video(path, EVEN[:60]),
    # Timestamps that begin anew: seeking cannot be relied on.
    "twice.ts": lambda path: path.write_bytes(
        write_video(path, range(0, 8000, 400)).read_bytes() * 2
    ),
}


def take_all(partition: VideoPartition) -> list[SeenBatch]:
    batches: list[SeenBatch] = []
    while True:
        try:
            batches += [seen(batch) for _, batch in partition.next_batch()]
        except StopIteration:
            partition.close()
            return batches
        time.sleep(0.001)


@pytest.mark.parametrize("name", [*RESUMED, "folder"])
def test_a_snapshot_leads_to_the_next_frame(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "folder":
        path.mkdir()
        for number in (1, 2, 10):
            write_video(path / f"s{number}.mp4", EVEN[:20], b_frames=2, first=20 * number)
    else:
        RESUMED[name](path)
    source = VideoSource({"gate": VideoSettings(str(path), batch_frames=7)}, stop=threading.Event())
    whole = frames_of(take_all(source.build_part("in", "gate", None)))
    partition = source.build_part("in", "gate", None)
    states = [partition.snapshot()]
    while partition.snapshot()["sequence"] < len(whole) - 7:
        partition.next_batch()
        if partition.snapshot() != states[-1]:
            states.append(partition.snapshot())
    partition.close()
    assert len(states) == (len(whole) - 1) // 7 + 1
    for state in states:
        rest = take_all(source.build_part("in", "gate", state))
        assert frames_of(rest) == whole[state["sequence"] :]
        assert told(rest[-1].events)[-1] == ("ended", len(whole), "")
        assert [event.kind for event in events_of(rest)].count(EventKind.TRUNCATED) == 0


def test_a_stream_that_ended_stays_ended(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", EVEN[:5])
    source = VideoSource({"gate": VideoSettings(str(path))}, stop=threading.Event())
    partition = source.build_part("in", "gate", None)
    take_all(partition)
    assert take_all(source.build_part("in", "gate", partition.snapshot())) == []


def test_bytewax_recovers_a_flow_that_was_stopped(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", EVEN, b_frames=2)
    settings = VideoSettings(str(path), batch_frames=8, frames_in_memory=16)
    init_db_dir(tmp_path, 1)
    numbers: list[tuple[int, int]] = []
    runs = 0
    while len(numbers) < 100:
        stop = threading.Event()

        def step(item: tuple[str, FrameBatch], stop: threading.Event = stop) -> int:
            numbers.extend((f.sequence, f.number) for f in seen(item[1]).frames)
            if len(numbers) < 90:
                stop.set()
            return 0

        flow = Dataflow("recovered")
        source = VideoSource({"gate": settings}, stop=stop)
        op.output("out", op.map("step", op.input("in", flow, source), step), TestingSink([]))
        run_main(flow, epoch_interval=timedelta(0), recovery_config=RecoveryConfig(str(tmp_path)))
        runs += 1
    assert runs > 2
    assert numbers == [(i, i) for i in range(100)]


def test_a_source_needs_streams_with_fit_names() -> None:
    with pytest.raises(RecordError, match="^streams must name at least one stream$"):
        VideoSource({}, stop=threading.Event())
    with pytest.raises(RecordError, match="^stream must be 1 to 200 printable characters"):
        VideoSource({"a:b": VideoSettings("a.mp4")}, stop=threading.Event())


def test_a_file_may_play_at_a_pace(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", EVEN[:40])
    paced = VideoSettings(str(path), speed=2.0)
    part = VideoPartition("gate", paced, threading.Event(), time.time_ns, None)
    now = [100.0]
    part._pacer = Pacer(Speed(2.0), lambda: now[0])
    came: list[tuple[float, int]] = []
    while now[0] < 102:
        wait_until(lambda: part._ahead.ended or part._ahead.frames >= 16, "frames")
        try:
            items = part.next_batch()
        except StopIteration:
            break
        came += [(now[0] - 100, len(batch.frames)) for _, batch in items]
        now[0] += 0.125
    part.close()
    # A batch comes when its last frame is due: after 1.2 and 1.84 s of event time.
    assert came == [(0.0, 16), (0.625, 16), (1.0, 8)]


def test_a_live_stream_has_no_pace() -> None:
    with pytest.raises(RecordError, match=r"speed must be absent for a live stream, got 2\.0"):
        VideoSettings("rtsp://camera/main", speed=2.0)
