"""Why rounds begin, under a clock that tests own, a real queue and a real event log."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from connectors.log_manifest import Manifest, new_run_dir, write_manifest
from connectors.log_writer import LogWriter
from connectors.queue import RetrainingQueue
from flows.config.training_section import TrainingSection
from flows.training.alarms import AlarmWatch
from flows.training.cascade_round import CascadeKind
from flows.training.examples import Examples
from flows.training.state import RoundState, Step, Trigger
from flows.training.triggers import QueueWatch, Seen, due, watch
from records import Detections, EventKind, Label, StreamEvent
from records.retraining import HUMAN
from records.units import NANOSECONDS
from tests.support.logs import write_log
from tests.support.training import camera, frames, item_of

if TYPE_CHECKING:
    from pathlib import Path

SECTION = TrainingSection(model="gate", kind="cascade", queue_items=50, every_seconds=100.0)
LAST = RoundState(3, Trigger.QUEUE, 1000 * NANOSECONDS, step=Step.DONE, alarms="run:1")


def seen(seconds: float, items: int, alarms: str = "run:1") -> Seen:
    return Seen(round(seconds * NANOSECONDS), items, alarms)


def test_when_a_round_is_due() -> None:
    assert due(SECTION, LAST, seen(1001, 10)) is None
    assert due(SECTION, LAST, seen(1001, 50)) is Trigger.QUEUE
    assert due(SECTION, LAST, seen(1099, 10)) is None
    assert due(SECTION, LAST, seen(1100, 10)) is Trigger.SCHEDULE
    assert due(SECTION, LAST, seen(1001, 10, "run:2")) is Trigger.ALARM
    assert due(SECTION, LAST, seen(1001, 10, "later:1")) is Trigger.ALARM
    assert due(SECTION, LAST, seen(1001, 10, "")) is None
    assert due(SECTION, LAST, seen(9999, 0, "run:2")) is None
    assert due(SECTION, None, seen(0, 1, "")) is Trigger.SCHEDULE
    assert due(SECTION, LAST, replace(seen(1001, 50, "run:2"), trying=True)) is None
    # An alarm that a round could not answer asks again when a quarter of a round's items is there.
    vain = replace(LAST, trigger=Trigger.ALARM)
    assert due(SECTION, vain, seen(1001, 12)) is None
    assert due(SECTION, vain, seen(1001, 13)) is Trigger.ALARM
    assert due(SECTION, replace(vain, version=4), seen(1001, 13)) is None
    quiet = SECTION.model_copy(update={"on_alarm": False, "queue_items": None})
    assert due(quiet, LAST, seen(1001, 500, "run:2")) is None
    never = quiet.model_copy(update={"every_seconds": None})
    assert due(never, LAST, seen(9999, 500, "run:2")) is None


def test_new_items_are_counted_as_they_come(tmp_path: Path) -> None:
    place = camera(tmp_path)
    job = place.job()
    job.place.mkdir(parents=True)
    label = Label(HUMAN, boxes=Detections.empty(("person",)))
    with Examples(job.place) as examples:
        queue = QueueWatch(job, CascadeKind(), examples)
        assert queue.count(None) == 800
        with RetrainingQueue(place.queue) as live:
            live.add([item_of(frames()[0][0], 9000)], now_ns=0)
        assert queue.count(None) == 801
        with RetrainingQueue(place.queue) as live:
            ids = [one.item.id for one in live.items()]
            entry = live.items()[0].item, live.crop(ids[0])
        assert examples.add([(entry, label)], 0) == {}
        # Two more were tried by a round and are no examples: they are not tried again at once.
        tried = replace(LAST, items=tuple(ids[:3]))
        assert queue.count(tried) == 798
        assert watch(job, queue, lambda: "run:9", tried).alarms == "run:9"
        # A person says something else of the example: it is new again.
        other = Label(HUMAN, boxes=Detections.of([[1, 1, 9, 9]], [1.0], ["person"]))
        with RetrainingQueue(place.queue) as live:
            live.label({ids[0]: other}, now_ns=0)
        assert queue.count(tried) == 799


def test_a_queue_that_is_not_there_yet_holds_nothing(tmp_path: Path) -> None:
    job = camera(tmp_path).job()
    job.queue.unlink()
    job.place.mkdir(parents=True)
    with Examples(job.place) as examples:
        assert QueueWatch(job, CascadeKind(), examples).count(None) == 0


def event(second: int, reason: str, kind: EventKind = EventKind.CONTRACT) -> StreamEvent:
    return StreamEvent("gate", second * NANOSECONDS, kind, reason=reason)


def test_alarms_are_read_from_the_newest_run_as_its_log_grows(tmp_path: Path) -> None:
    watch = AlarmWatch(tmp_path, "street")
    assert watch.mark() == ""
    first = run_of(tmp_path, "street", 1)
    run_of(tmp_path, "other", 2)
    with LogWriter(first, "gate") as writer:
        writer.write([event(1, "certified")])
        assert watch.mark() == ""
        writer.write([event(2, "recall_broken")])
    assert AlarmWatch(tmp_path, "street").mark() == f"{first.name}:1"
    assert watch.mark() == f"{first.name}:1"
    assert watch.mark() == f"{first.name}:1"
    assert watch.last_ns == {"gate": 2 * NANOSECONDS}
    second = run_of(tmp_path, "street", 3)
    assert watch.mark() == ""
    assert watch.last_ns == {}
    write_log(second, [event(3, "precision_broken", EventKind.WINDOW), event(4, "recall_broken")])
    (segment,) = (second / "log").rglob("*.seg")
    whole = segment.read_bytes()
    segment.write_bytes(whole[:-3])  # the last record is still being written
    assert watch.mark() == ""
    segment.write_bytes(whole)
    assert watch.mark() == f"{second.name}:1"
    assert watch.last_ns == {"gate": 4 * NANOSECONDS}


def run_of(root: Path, name: str, second: int) -> Path:
    run = new_run_dir(root, name, second * NANOSECONDS)
    path = write_manifest(run, Manifest(name, run.name, second, "", ("gate",)))
    moment = time.time() + second
    os.utime(path, (moment, moment))
    return run
