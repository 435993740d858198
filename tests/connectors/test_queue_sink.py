from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from connectors.queue import RetrainingQueue
from connectors.queue_file import QueueSettings
from connectors.queue_items import QueueAdded
from connectors.queue_sink import QueueSink
from records import SightflowError
from tests.support.dataflows import run_into
from tests.support.queues import item, pictured

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from connectors.queue_items import Entry


class Told(list[tuple[list[str], QueueAdded, int]]):
    """What the sink told."""

    def __call__(self, entries: Sequence[Entry], done: QueueAdded, waiting: int) -> None:
        self.append(([one.id for one, _ in entries], done, waiting))


@pytest.mark.parametrize("workers", [1, 2])
def test_items_of_several_workers_come_into_one_file(tmp_path: Path, workers: int) -> None:
    path, told = tmp_path / "new" / "queue.sqlite3", Told()
    batches = [("gate", [pictured(k), pictured(k + 1)]) for k in range(0, 6, 2)]
    run_into(QueueSink(path, QueueSettings(), lambda: 7, told), batches, workers=workers)
    assert sorted(one for ids, _, _ in told for one in ids) == [item(k).id for k in range(6)]
    assert sum(done.added for _, done, _ in told) == 6
    assert max(waiting for _, _, waiting in told) == 6
    with RetrainingQueue(path, mode="ro") as queue:
        assert {one.added_ns for one in queue.items()} == {7}
        assert all(queue.crop(item(k).id) == pictured(k)[1] for k in range(6))


def test_items_that_come_again_are_known(tmp_path: Path) -> None:
    told = Told()
    sink = QueueSink(tmp_path / "queue.sqlite3", QueueSettings(), lambda: 7, told)
    run_into(sink, [("gate", [pictured(0)])])
    run_into(sink, [("gate", [pictured(0), pictured(1)])])
    assert [done for _, done, _ in told] == [
        QueueAdded(added=1),
        QueueAdded(added=1, known=(item(0).id,)),
    ]


def test_what_is_refused_and_evicted_is_told_and_stops_nothing(tmp_path: Path) -> None:
    told = Told()
    settings = QueueSettings(most_items=1)
    sink = QueueSink(tmp_path / "queue.sqlite3", settings, lambda: 7, told)
    run_into(sink, [("gate", [(pictured(0)[0], None), pictured(1), pictured(2, "roof", 0.9)])])
    (done,) = [each for _, each, _ in told]
    assert done == QueueAdded(2, (), ((item(0).id, "bad_crop"),), {("quota", "gate"): 1})


def test_a_file_that_is_no_queue_fails_the_run(tmp_path: Path) -> None:
    path = tmp_path / "queue.sqlite3"
    path.write_text("dear diary " * 100, encoding="utf-8")
    sink = QueueSink(path, QueueSettings(), lambda: 7, Told())
    with pytest.raises(SightflowError, match="cannot be opened: file is not a database; it is no"):
        sink.build("queue", 0, 1)
