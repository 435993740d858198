from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from connectors.queue import RetrainingQueue
from connectors.queue_file import QueueSettings
from connectors.queue_items import ItemState, QueueAdded
from records import Label, RecordError, SightflowError
from tests.support.queues import item, picture, pictured, signalled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from connectors.queue_items import Entry

ROOT = Path(__file__).resolve().parents[2]
SECOND = 10**9


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "queue.sqlite3"


def sequences(queue: RetrainingQueue) -> list[int]:
    return [one.item.sequence for one in queue.items()]


def filled(entries: Sequence[Entry], **settings: Any) -> tuple[list[int], QueueAdded]:
    with RetrainingQueue(None, QueueSettings(**settings)) as queue:
        done = queue.add(entries, 0)
        return sequences(queue), done


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"most_items": 0}, "most_items must be at least 1, got 0"),
        ({"most_bytes": -1}, "most_bytes must be at least 1, got -1"),
        ({"keep_seconds": float("nan")}, "keep_seconds must be above 0, got nan"),
        ({"busy_seconds": -1.0}, "busy_seconds must be 0 to 3600, got -1.0"),
    ],
)
def test_settings_that_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError) as caught:
        QueueSettings(**changes)
    assert str(caught.value) == message


def test_items_and_crops_outlive_the_process_and_are_known_when_they_come_again(
    path: Path,
) -> None:
    entries = [pictured(0), signalled(1), (item(2), None)]
    with RetrainingQueue(path) as queue:
        assert queue.add(entries, 5) == QueueAdded(added=3)
    with RetrainingQueue(path) as queue:
        assert queue.add([*entries, pictured(3)], 6) == QueueAdded(
            added=1, known=tuple(one.id for one, _ in entries)
        )
        found = queue.items()
        assert [one.item for one in found] == [entry[0] for entry in [*entries, pictured(3)]]
        assert [one.added_ns for one in found] == [5, 5, 5, 6]
        assert {one.state for one in found} == {ItemState.WAITING}
        assert [queue.crop(one.id) for one, _ in entries] == [data for _, data in entries]
        assert queue.crop("nobody:0:0") is None
        assert [one.item.sequence for one in queue.items(stream="ecg")] == [1]
        assert queue.tally() == {"added": 4}


def test_a_crop_that_is_not_what_the_item_says_is_refused_and_counted(path: Path) -> None:
    whole, data = pictured(0)
    other = pictured(1)[1]
    small, small_data = pictured(2)
    assert small.crop is not None
    bad: list[Entry] = [
        (whole, None),
        (item(3), data),
        (pictured(4)[0], other),
        (pictured(5)[0], bytes(9 * 2**20)),
    ]
    with RetrainingQueue(path) as queue:
        done = queue.add([*bad, (small, small_data)], 0)
        reasons = [reason for _, reason in done.refused]
        assert (done.added, reasons) == (1, ["bad_crop"] * 3 + ["too_large"])
        assert [item_id for item_id, _ in done.refused] == [one.id for one, _ in bad]
        assert queue.tally() == {"added": 1, "refused.bad_crop": 3, "refused.too_large": 1}


def test_the_lowest_priority_leaves_first_and_the_oldest_of_equals() -> None:
    entries: list[Entry] = [(item(k, priority=p), None) for k, p in enumerate((0.5, 0.1, 0.9, 0.5))]
    assert filled(entries, most_items=2) == (
        [2, 3],
        QueueAdded(added=4, evicted={("quota", "gate"): 2}),
    )


def test_each_stream_has_its_share() -> None:
    entries: list[Entry] = [(item(k, "loud", 0.9), None) for k in range(5)]
    entries.append((item(9, "quiet", 0.1), None))
    kept, done = filled(entries, most_per_stream=2)
    assert (kept, done.evicted) == ([3, 4, 9], {("stream_quota", "loud"): 3})


def test_bytes_have_a_quota_too() -> None:
    entries = [pictured(k, priority=k / 10) for k in range(6)]
    one = len(picture(5)) + 1000
    kept, done = filled(entries, most_bytes=3 * one)
    assert kept == [3, 4, 5]
    assert done.evicted == {("bytes_quota", "gate"): 3}


def test_items_are_kept_for_so_long_and_labelled_ones_until_removed(path: Path) -> None:
    with RetrainingQueue(path, QueueSettings(keep_seconds=10, most_items=1)) as queue:
        queue.add([pictured(0)], 0)
        assert queue.label({item(0).id: Label("human", class_name="A")}, 1) == ()
        queue.add([pictured(1)], 2 * SECOND)
        assert queue.add([], 13 * SECOND).evicted == {("expired", "gate"): 1}
        assert sequences(queue) == [0]
        assert queue.remove([item(0).id, item(1).id]) == 1
        assert queue.items() == []
        assert queue.crop(item(0).id) is None
        assert queue.tally() == {"added": 2, "evicted.expired": 1, "labelled": 1}


def test_states_and_labels(path: Path) -> None:
    first, second = Label("human", class_name="A"), Label("human", class_name="B")
    with RetrainingQueue(path) as queue:
        queue.add([(item(k), None) for k in range(3)], 0)
        queue.exported([item(0).id, item(1).id])
        assert queue.label({item(0).id: first, "nobody:0:0": first}, 1) == ("nobody:0:0",)
        queue.label({item(0).id: second}, 2)
        queue.exported([item(0).id])
        assert [(one.state.value, one.label) for one in queue.items()] == [
            ("labelled", second),
            ("exported", None),
            ("waiting", None),
        ]
        assert [one.item.sequence for one in queue.items(ItemState.WAITING)] == [2]
        queue.add_classes(["person", "car"])
        queue.add_classes(["car", "bus"])
        assert queue.classes() == ("person", "car", "bus")


def test_a_damaged_crop_is_none(path: Path) -> None:
    with RetrainingQueue(path) as queue:
        queue.add([pictured(0)], 0)
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE crops SET data = x'00'")
    connection.close()
    with RetrainingQueue(path, mode="ro") as queue:
        assert queue.crop(item(0).id) is None
        assert sequences(queue) == [0]


def integrity(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    try:
        return [row[0] for row in connection.execute("PRAGMA integrity_check")]
    finally:
        connection.close()


def test_a_process_killed_at_any_moment_loses_nothing_and_breaks_nothing(path: Path) -> None:
    words = [sys.executable, "-m", "tests.support.queue_process", str(path)]
    told: set[str] = set()
    for lines in (1, 5, 12):
        with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                told |= {process.stdout.readline().strip() for _ in range(lines)}
            finally:
                process.kill()
        with RetrainingQueue(path) as queue:
            found = queue.items()
            assert told <= {one.item.id for one in found}
            assert all(queue.crop(one.item.id) is not None for one in found)
        assert integrity(path) == ["ok"]


def test_a_file_that_may_not_grow_refuses_items_and_stays_whole(path: Path) -> None:
    words = [sys.executable, "-m", "tests.support.queue_process", str(path), "200000"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    *told, last = done.stdout.splitlines()
    assert last in {"refused disk_full", "refused disk_error"}
    assert len(told) > 1
    assert integrity(path) == ["ok"]
    with RetrainingQueue(path) as queue:
        assert [one.item.id for one in queue.items()] == told
        assert queue.add([pictured(len(told))], 0).added == 1


def test_a_full_disk_refuses_what_has_no_space_and_goes_on(path: Path) -> None:
    settings = QueueSettings(file_bytes_at_most=100_000)
    with RetrainingQueue(path, settings) as queue:
        done = queue.add([pictured(k) for k in range(200)], 0)
        assert {reason for _, reason in done.refused} == {"disk_full"}
        assert done.added + len(done.refused) == 200
        assert len(queue.items()) == done.added > 0
        assert queue.tally()["refused.disk_full"] == len(done.refused)
        queue.remove([one.item.id for one in queue.items()])
        assert queue.add([pictured(200)], 0).added == 1
    with RetrainingQueue(path, mode="ro") as queue:
        assert queue.tally()["refused.disk_full"] == len(done.refused)


def test_a_writer_that_holds_on_too_long_costs_items_and_no_more(path: Path) -> None:
    with RetrainingQueue(path, QueueSettings(busy_seconds=0.01)) as queue:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        done = queue.add([(item(0), None), (item(1), None)], 0)
        assert done == QueueAdded(refused=((item(0).id, "busy"), (item(1).id, "busy")))
        with pytest.raises(SightflowError) as caught:
            queue.add_classes(["person"])
        other.execute("ROLLBACK")
        other.close()
        assert str(caught.value) == (
            f"the queue {path} cannot be written: database is locked; another process is writing "
            "to it; try again"
        )
        assert queue.add([(item(0), None)], 0).added == 1


@pytest.mark.parametrize("mode", ["ro", "rw", "rwc"])
def test_what_is_no_queue_is_told_and_left_as_it_is(path: Path, mode: Any) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE songs (title TEXT)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(SightflowError) as caught:
        RetrainingQueue(path, mode=mode)
    assert str(caught.value) == f"{path} is no retraining queue; name another file"
    assert path.read_bytes() == before


def test_a_file_that_is_not_there_or_of_another_version_is_told(path: Path) -> None:
    with pytest.raises(SightflowError) as caught:
        RetrainingQueue(path, mode="rw")
    assert str(caught.value) == (
        f"the queue {path} cannot be opened: unable to open database file; check the free space "
        "and the permissions there"
    )
    RetrainingQueue(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 9")
    connection.close()
    with pytest.raises(SightflowError) as caught:
        RetrainingQueue(path)
    assert str(caught.value) == (
        f"{path} must be a retraining queue of version 1, got 9; use the release that wrote it"
    )
