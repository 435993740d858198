"""Runs put frames aside that are worth a label: with pictures, labels and known probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from connectors.metrics import Metrics
from connectors.queue import RetrainingQueue
from connectors.queue_items import QueueAdded
from connectors.video import VideoSettings, decode_frames
from flows.cluster import run_in_processes
from flows.counts import RunCounts
from flows.replay import OpenOptions, ReplayRequest, load_for_replay, open_recording, replay
from flows.retraining_counts import RetrainingTally
from flows.summary import RunSummary, summary_lines
from operators.retraining_settings import Candidate, Candidates, Dropped
from records import Origin
from records.retraining import REFERENCE
from tests.support.put_aside import Queued, decoded, put_aside, queued
from tests.support.queues import item
from tests.support.scenes import write_configuration

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tests.support.scenes import Street

FOUND = "queue: q.sqlite3, random_seconds: 0, clear_seconds: 0.5, near_bits: -1"
ALL_TENTH = list(range(0, 120, 10))


def frames(street: Street, sequences: list[int]) -> list[NDArray[np.int16]]:
    video = VideoSettings(str(street.folder / "scene.mp4"))
    return [one.astype(np.int16) for _, one in decode_frames(video, sequences, kind="full")]


def of(street: Street, name: str = "q.sqlite3") -> Queued:
    return queued(street.folder / name)


def test_what_is_found_is_put_aside_with_the_picture_of_its_frame(street: Street) -> None:
    summary = put_aside(street, FOUND)
    found = of(street)
    assert found.sequences == ALL_TENTH
    assert {one.origins for one in found.items} == {(Origin.ASSERTION,)}
    first = found.items[3]
    assert (first.uri, first.model, len(first.configuration)) == ("scene.mp4", "silhouette", 64)
    assert [flag.episode for flag in first.flags] == ["gate:tenth:30"]
    assert 0 < first.priority < 0.5
    assert first.propensity == 1.0
    for data, frame in zip(found.crops, frames(street, ALL_TENTH), strict=True):
        assert np.abs(decoded(data) - frame).mean() < 4
    counts = summary.streams["gate"]
    assert (counts.put_aside, counts.not_put_aside) == ({"assertion": 12}, {})
    assert "gate: put aside assertion 12" in summary_lines(summary)
    back = RunSummary.from_json(summary.to_json())
    assert back.streams["gate"].put_aside == {"assertion": 12}


@pytest.mark.parametrize("decode", ["ahead", "on_demand"])
def test_two_runs_over_the_same_input_put_the_same_bytes_aside(street: Street, decode: str) -> None:
    asked = "queue: q.sqlite3, random_seconds: 2, near_bits: 1"
    changes = {"uri: scene.mp4": f"uri: scene.mp4, decode: {decode}"}
    contents = []
    for _ in range(2):
        put_aside(street, asked, changes=changes)
        contents.append(of(street).contents)
        (street.folder / "q.sqlite3").unlink()
    assert contents[0] == contents[1]
    assert all(crop is not None for _, crop in contents[0])
    assert len(contents[0]) > 6


def test_frames_that_no_stage_decoded_still_give_a_picture(street: Street) -> None:
    # Two frames of three are skipped, so that no stage asks for their pixels.
    changes = {
        "uri: scene.mp4": "uri: scene.mp4, decode: on_demand",
        "cascade:\n": "cascade:\n  stride: 3\n",
    }
    put_aside(street, FOUND, changes=changes)
    found = of(street)
    assert found.sequences == ALL_TENTH
    for data, frame in zip(found.crops, frames(street, ALL_TENTH), strict=True):
        assert np.abs(decoded(data) - frame).mean() < 4


def test_a_second_run_over_the_same_input_finds_its_items_known(street: Street) -> None:
    put_aside(street, FOUND)
    before = of(street).contents
    counts = put_aside(street, FOUND).streams["gate"]
    assert (counts.put_aside, counts.not_put_aside) == ({}, {"known": 12})
    assert of(street).contents == before


def test_frames_wait_longer_than_their_source_would_let_them(street: Street) -> None:
    # 90 of 120 frames wait, though the stream may hold 64: the source must not wait for them.
    put_aside(street, f"{FOUND}, hold_seconds: 9")
    found = of(street)
    assert found.sequences == ALL_TENTH
    assert all(found.crops)


def test_frames_beyond_the_memory_are_let_go_of_and_counted(street: Street) -> None:
    # 320 x 180 pixels take 86400 bytes: 12 frames of them, so those that wait longer are gone.
    counts = put_aside(street, f"{FOUND}, hold_seconds: 9, picture_bytes_at_most: 1048576")
    found = of(street)
    assert found.sequences == ALL_TENTH
    gone = [data is None for data in found.crops]
    assert 9 <= sum(gone) < 12
    assert counts.streams["gate"].not_put_aside == {"no_picture": sum(gone)}


def test_the_random_share_alone_needs_no_assertions(street: Street) -> None:
    summary = put_aside(street, "queue: q.sqlite3, random_seconds: 1", more="")
    found = of(street)
    assert {one.origins for one in found.items} == {(Origin.RANDOM,)}
    assert 10 <= len(found.items) <= 12
    assert {round(one.propensity, 6) for one in found.items} == {0.1}
    # What the reference itself said is a label for free; answers that were copied are none.
    sources = {None if one.label is None else one.label.source for one in found.items}
    assert sources == {None, REFERENCE}
    assert summary.streams["gate"].put_aside == {"random": len(found.items)}


def test_while_the_reference_decides_alone_more_is_put_aside(street: Street) -> None:
    alone = {"difference: {threshold: 100.0, hold_seconds: 2}": "difference: null"}
    asked = "queue: q.sqlite3, random_seconds: 4, reference_seconds: 1"
    put_aside(street, asked, more="", changes=alone)
    found = of(street)
    assert all(one.label is not None and one.label.source == REFERENCE for one in found.items)
    assert 10 <= len(found.items) <= 15
    # Before a whole second of the reference alone by the first draw; then by either of both.
    assert {round(one.propensity, 6) for one in found.items if one.sequence > 10} == {
        round(1 - (1 - 0.025) * (1 - 0.1), 6)
    }


def test_processes_share_a_queue_and_frames_stay_in_theirs(street: Street) -> None:
    put_aside(street, FOUND)
    alone = of(street)
    (street.folder / "q.sqlite3").unlink()
    text = street.configuration.read_text(encoding="utf-8")
    three = "gate: {uri: scene.mp4}\n  till: {uri: scene.mp4}\n  yard: {uri: scene.mp4}"
    text = text.replace("gate: {uri: scene.mp4}", three)
    street.configuration.write_text(text, encoding="utf-8")
    summary = run_in_processes([str(street.configuration)], 2)
    found = of(street)
    assert {name: one.put_aside for name, one in summary.streams.items()} == {
        name: {"assertion": 12} for name in ("gate", "till", "yard")
    }
    for name in summary.streams:
        own = [k for k, one in enumerate(found.items) if one.stream == name]
        assert [found.items[k].sequence for k in own] == ALL_TENTH
        assert [found.crops[k] for k in own] == alone.crops


@pytest.mark.parametrize("deliver", [False, True])
def test_a_replay_leaves_the_queue_alone_unless_it_is_to_deliver(
    street: Street, *, deliver: bool
) -> None:
    section = "retraining: {queue: q.sqlite3, random_seconds: 2}\n"
    write_configuration(street, more=section)
    configuration, text = load_for_replay(street.configuration, deliver=deliver)
    opened = open_recording(
        str(street.folder / "scene.mp4"), configuration, street.folder, OpenOptions()
    )
    summary = replay(ReplayRequest(opened, configuration, text, street.folder, deliver=deliver))
    assert (street.folder / "q.sqlite3").exists() == deliver
    assert summary.sinks_left_out == (() if deliver else ("retraining",))
    if deliver:
        assert {one.origins for one in of(street).items} == {(Origin.RANDOM,)}


def test_what_becomes_of_items_is_counted_by_stream() -> None:
    counts, metrics = RunCounts(["gate", "roof"]), Metrics()
    tally = RetrainingTally(counts, metrics, "q.sqlite3")
    both = item(0, origins=(Origin.ASSERTION, Origin.RANDOM))
    entries: list[Any] = [(both, None), (item(1), None), (item(2, "roof"), None)]
    evicted = {("quota", "roof"): 4}
    tally.added(entries, QueueAdded(1, (item(1).id,), ((item(2, "roof").id, "busy"),), evicted), 7)
    tally.dropped(Candidates("gate", (), {Dropped.LATE: 2}))
    tally.sent(Candidates("roof", (Candidate(item(3, "roof")),)))
    assert counts.streams["gate"].put_aside == {"assertion": 1, "random": 1}
    assert counts.streams["gate"].not_put_aside == {"known": 1, "late": 2}
    assert counts.streams["roof"].put_aside == {"assertion": 1}
    assert counts.streams["roof"].not_put_aside == {"busy": 1, "evicted_quota": 4}
    name = "sightflow_retraining"
    assert metrics.snapshot() == {
        f'{name}_items_total{{origin="assertion",stream="gate"}}': 1,
        f'{name}_items_total{{origin="random",stream="gate"}}': 1,
        f'{name}_items_total{{origin="assertion",stream="roof"}}': 1,
        f'{name}_dropped_total{{reason="known",stream="gate"}}': 1,
        f'{name}_dropped_total{{reason="late",stream="gate"}}': 2,
        f'{name}_dropped_total{{reason="busy",stream="roof"}}': 1,
        f'{name}_dropped_total{{reason="evicted_quota",stream="roof"}}': 4,
        f'{name}_queue_items{{queue="q.sqlite3"}}': 7,
    }


def test_quotas_of_the_configuration_hold(street: Street) -> None:
    summary = put_aside(street, f"{FOUND}, most_items: 4, most_per_episode: 1")
    with RetrainingQueue(street.folder / "q.sqlite3", mode="ro") as queue:
        assert len(queue.items()) == 4
    assert summary.streams["gate"].not_put_aside == {"evicted_quota": 8}
