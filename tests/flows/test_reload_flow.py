"""Suspended dataflows, with operators of the engine and real videos."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSink, run_main
from typing_extensions import override

from connectors.video import VideoSettings, VideoSource
from connectors.video.pool import VideoPool
from flows.reload_flow import Suspension, make_suspendable, stateful_signatures
from flows.snapshots import keep_steps, stored_parts
from operators.keyed import KeyedLogic
from records import EventKind, FrameBatch
from tests.support.videos import threads, wait_until, write_video

if TYPE_CHECKING:
    from datetime import timedelta
    from pathlib import Path

FRAMES = 40
Told = list[tuple[str, Any]]
Ask = tuple[int, frozenset[str], dict[str, str]]


class _Held(KeyedLogic[FrameBatch, str, int]):
    """Holds the numbers of frames until the input ends; asks for a suspension at one of them."""

    def __init__(self, suspension: Suspension, ask: Ask | None, resume: int | None) -> None:
        self._count, self._suspension, self._ask = resume or 0, suspension, ask

    @override
    def on_item(self, item: FrameBatch) -> str | None:
        self._count += len(item.frames)
        if self._ask is not None and self._count == self._ask[0] and not self._suspension.asked:
            self._suspension.ask(*self._ask[1:])
        ends = [f"{one.kind} {one.reason}" for one in item.events if one.kind is EventKind.ENDED]
        return ends[0] if ends else None

    @override
    def flush(self) -> str:
        return f"flushed {self._count}"

    @override
    def snapshot(self) -> int:
        return self._count


def run_once(
    store: Path,
    videos: dict[str, VideoSettings],
    pool: VideoPool,
    epoch: timedelta,
    ask: Ask | None = None,
    signature: str = "",
) -> Told:
    told: Told = []
    suspension = Suspension()
    flow = Dataflow("flow")
    source = VideoSource(videos, stop=threading.Event())
    frames = op.input("frames", flow, source)
    held = op.stateful_batch(
        "count", frames, lambda resume: _Held(suspension, ask, resume).as_bytewax()
    )
    op.output("out", held, TestingSink(told))
    signed = stateful_signatures(flow, lambda _: signature)
    make_suspendable(flow, signed, suspension, pool, lambda step: stored_parts(store, step))
    run_main(flow, epoch_interval=epoch, recovery_config=RecoveryConfig(str(store)))
    return sorted(told)


def videos_in(folder: Path, *names: str) -> dict[str, VideoSettings]:
    path = write_video(folder / "a.mp4", list(range(0, FRAMES * 40, 40)))
    return {name: VideoSettings(str(path), batch_frames=4, frames_in_memory=8) for name in names}


def test_what_is_held_goes_on_and_is_flushed_once(tmp_path: Path, no_epoch: timedelta) -> None:
    store, pool = tmp_path / "store", VideoPool()
    store.mkdir()
    init_db_dir(store, 2)
    videos = videos_in(tmp_path, "gate")
    assert run_once(store, videos, pool, no_epoch, (12, frozenset(), {"flow.count": ""})) == []
    assert threads("gate")
    assert stored_parts(store, "flow.frames") == {"gate"}
    told = run_once(store, videos, pool, no_epoch)
    assert told == [("gate", "ended "), ("gate", f"flushed {FRAMES}")]
    pool.close()
    wait_until(lambda: not threads("gate"), "the threads to end")


def test_what_does_not_go_on_is_flushed_and_begins_anew(
    tmp_path: Path, no_epoch: timedelta
) -> None:
    store, pool = tmp_path / "store", VideoPool()
    store.mkdir()
    init_db_dir(store, 2)
    videos = videos_in(tmp_path, "gate")
    ask: Ask = (12, frozenset(), {"flow.count": "other"})
    assert run_once(store, videos, pool, no_epoch, ask) == [("gate", "flushed 12")]
    told = run_once(store, videos, pool, no_epoch, signature="other")
    assert told == [("gate", "ended "), ("gate", f"flushed {FRAMES - 12}")]
    pool.close()


def test_a_removed_stream_ends_and_may_come_back(tmp_path: Path, no_epoch: timedelta) -> None:
    store, pool = tmp_path / "store", VideoPool()
    store.mkdir()
    init_db_dir(store, 2)
    both = videos_in(tmp_path, "gate", "yard")
    ask: Ask = (12, frozenset({"yard"}), {"flow.count": ""})
    told = run_once(store, both, pool, no_epoch, ask)
    assert told == [("yard", "ended removed")]
    told = run_once(store, {"gate": both["gate"]}, pool, no_epoch)
    assert [one for one in told if one[0] == "gate"] == [
        ("gate", "ended "), ("gate", f"flushed {FRAMES}")
    ]  # fmt: skip
    told = run_once(store, both, pool, no_epoch)
    assert ("yard", f"flushed {FRAMES}") in told
    pool.close()


def test_states_of_steps_that_are_gone_are_removed(tmp_path: Path, no_epoch: timedelta) -> None:
    store, pool = tmp_path / "store", VideoPool()
    store.mkdir()
    init_db_dir(store, 2)
    run_once(store, videos_in(tmp_path, "gate"), pool, no_epoch)
    assert keep_steps(store, ["flow.frames", "flow.count"]) == 0
    assert stored_parts(store, "flow.count") == {"gate"}
    assert keep_steps(store, ["flow.frames"]) > 0
    assert stored_parts(store, "flow.count") == frozenset()
    assert stored_parts(store, "flow.frames") == {"gate"}
