"""The retraining queue: items that wait for their labels, safe from the moment `add` returns.

An item that comes again is known by its id and not added twice, so a flow that resumes may bring
its last items once more. A process that is killed at any point leaves a whole file. A full disk
refuses items and stops nothing: an item that is refused is counted, and what is there stays.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections import Counter
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Self

from connectors.queue_codec import decode_item, decode_label, encode_item, encode_label
from connectors.queue_file import QueueSettings, open_queue_file, queue_errors, refusal
from connectors.queue_items import (
    BAD_CROP,
    BUSY,
    TOO_LARGE,
    ItemState,
    QueueAdded,
    StoredItem,
    check_crop,
    together,
)
from connectors.sqlite_file import transaction
from records import CodecError, RecordError
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from connectors.queue_file import Mode
    from connectors.queue_items import Entry
    from records import Label

_INSERT = """INSERT OR IGNORE INTO items (id, stream, state, priority, bytes, added_ns, item)
    VALUES (?, ?, 'waiting', ?, ?, ?, ?)"""
_COUNT = """INSERT INTO tally (reason, count) VALUES (?, ?)
    ON CONFLICT (reason) DO UPDATE SET count = count + excluded.count"""
_EXPIRE = "DELETE FROM items WHERE state <> 'labelled' AND added_ns < ? RETURNING stream"
_HELD = "SELECT COUNT(*) FROM items WHERE state <> 'labelled'"
_EVICT = """DELETE FROM items WHERE number IN (
    SELECT number FROM items WHERE state <> 'labelled' ORDER BY priority, number LIMIT ?)
    RETURNING stream"""
_EVICT_STREAM = """DELETE FROM items WHERE number IN (
    SELECT number FROM items WHERE state <> 'labelled' AND stream = ?
    ORDER BY priority, number LIMIT ?) RETURNING stream"""
_BYTES = "SELECT COALESCE(SUM(bytes), 0) FROM items WHERE state <> 'labelled'"
_EVICT_BYTES = """DELETE FROM items WHERE number IN (SELECT number FROM (
    SELECT number, SUM(bytes) OVER (ORDER BY priority DESC, number DESC) AS total
    FROM items WHERE state <> 'labelled') WHERE total > ?) RETURNING stream"""
_SELECT = """SELECT i.state, i.added_ns, i.item, l.label
    FROM items AS i LEFT JOIN labels AS l ON l.item = i.number
    WHERE (:state IS NULL OR i.state = :state) AND (:stream IS NULL OR i.stream = :stream)
    ORDER BY i.number"""
_CROP = "SELECT i.item, c.data FROM items AS i JOIN crops AS c ON c.item = i.number WHERE i.id = ?"
_LABEL = """INSERT OR REPLACE INTO labels (item, label, labelled_ns)
    SELECT number, ?, ? FROM items WHERE id = ?"""


class RetrainingQueue:
    """A retraining queue, open; safe to use from several threads.

    Args:
        path: The file, made if it is not there. None keeps everything in memory, until `close`.
        settings: How much it keeps.
        mode: ``rwc``; ``rw`` opens only what is there, ``ro`` only reads.

    Attributes:
        path: The file; None when it is in memory.

    Raises:
        SightflowError: it cannot be opened, or is no queue that this release knows. Every other
            method raises it too where the file cannot be read or written.

    >>> from records import Origin, RetrainingItem
    >>> item = RetrainingItem("gate", 7, 700, (Origin.RANDOM,), priority=1.0, propensity=0.01)
    >>> with RetrainingQueue() as queue:
    ...     first, again = (queue.add([(item, None)], now_ns=0) for _ in range(2))
    ...     first.added, again.known, [one.item.id for one in queue.items()]
    (1, ('gate:7:700',), ['gate:7:700'])
    """

    def __init__(
        self,
        path: Path | None = None,
        settings: QueueSettings | None = None,
        mode: Mode = "rwc",
    ) -> None:
        self.path = path
        self._settings = settings or QueueSettings()
        self._lock = Lock()
        self._untold: Counter[str] = Counter()
        self._connection = open_queue_file(path, self._settings, mode)

    def add(self, entries: Sequence[Entry], now_ns: int) -> QueueAdded:
        """Add items; once this returns they outlive this process.

        Args:
            entries: The items with the bytes of their crops.
            now_ns: The present time of the wall clock.

        Returns:
            What became of them. Nothing is raised for a full disk or a busy file: then items are
            refused with the reason ``disk_full``, ``disk_error`` or ``busy``.
        """
        refused: list[tuple[str, str]] = []
        taken: list[tuple[Entry, bytes]] = []
        for item, data in entries:
            try:
                check_crop(item, data)
                taken.append(((item, data), encode_item(item)))
            except CodecError:
                refused.append((item.id, TOO_LARGE))
            except RecordError:
                refused.append((item.id, BAD_CROP))
        with self._lock, queue_errors("written", self.path):
            done = self._insert(taken, now_ns)
            done = together([QueueAdded(refused=tuple(refused)), done])
            self._untold.update(f"refused.{reason}" for _, reason in done.refused)
        return done

    def items(self, state: ItemState | None = None, stream: str | None = None) -> list[StoredItem]:
        """The items, in the order in which they were added.

        Args:
            state: Only those that stand so.
            stream: Only those of this stream.
        """
        with self._reading() as connection:
            rows = connection.execute(_SELECT, {"state": state, "stream": stream}).fetchall()
        return [
            StoredItem(
                decode_item(item),
                ItemState(where),
                added_ns,
                None if label is None else decode_label(label),
            )
            for where, added_ns, item, label in rows
        ]

    def crop(self, item_id: str) -> bytes | None:
        """The bytes of an item's crop; None without one, or when they are damaged."""
        with self._reading() as connection:
            row = connection.execute(_CROP, (item_id,)).fetchone()
        if row is None:
            return None
        crop, data = decode_item(row[0]).crop, bytes(row[1])
        whole = crop is not None and hashlib.sha256(data).hexdigest() == crop.sha256
        return data if whole else None

    def exported(self, item_ids: Iterable[str]) -> None:
        """Note that waiting items were handed out to be labelled."""
        update = "UPDATE items SET state = 'exported' WHERE id = ? AND state = 'waiting'"
        with self._writing() as connection:
            connection.executemany(update, [(item_id,) for item_id in item_ids])

    def label(self, labels: Mapping[str, Label], now_ns: int) -> tuple[str, ...]:
        """Store what people said, in place of what they said before; the ids that are unknown.

        Args:
            labels: The label of each item, by the item's id.
            now_ns: The present time of the wall clock.
        """
        unknown = []
        with self._writing() as connection:
            for item_id, label in labels.items():
                values = (encode_label(label), now_ns, item_id)
                if not connection.execute(_LABEL, values).rowcount:
                    unknown.append(item_id)
            update = "UPDATE items SET state = 'labelled' WHERE id = ?"
            connection.executemany(update, [(item_id,) for item_id in labels])
            connection.execute(_COUNT, ("labelled", len(labels) - len(unknown)))
        return tuple(unknown)

    def remove(self, item_ids: Iterable[str]) -> int:
        """Take items out, say those that a training has used; how many there were."""
        with self._writing() as connection:
            return sum(
                connection.execute("DELETE FROM items WHERE id = ?", (item_id,)).rowcount
                for item_id in item_ids
            )

    def add_classes(self, names: Iterable[str]) -> None:
        """Make the names of classes known that labels may have."""
        with self._writing() as connection:
            insert = "INSERT OR IGNORE INTO classes (name) VALUES (?)"
            connection.executemany(insert, [(name,) for name in names])

    def classes(self) -> tuple[str, ...]:
        """The names of the classes that labels may have, in the order in which they came."""
        with self._reading() as connection:
            rows = connection.execute("SELECT name FROM classes ORDER BY number").fetchall()
        return tuple(name for (name,) in rows)

    def waiting(self) -> int:
        """How many items have no label yet."""
        with self._reading() as connection:
            (count,) = connection.execute(_HELD).fetchone()
        return int(count)

    def tally(self) -> dict[str, int]:
        """What was added, refused, evicted and labelled in all, by reason."""
        with self._reading() as connection:
            stored = dict(connection.execute("SELECT reason, count FROM tally").fetchall())
        return dict(sorted((Counter(stored) + self._untold).items()))

    def close(self) -> None:
        """Close the file. May be called twice."""
        with self._lock, queue_errors("closed", self.path):
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, queue_errors("read", self.path):
            yield self._connection

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with (
            self._lock,
            queue_errors("written", self.path),
            transaction(self._connection),
        ):
            yield self._connection

    def _insert(self, taken: Sequence[tuple[Entry, bytes]], now_ns: int) -> QueueAdded:
        """Add all in one transaction; if that fails one by one, so that those fit that can."""
        try:
            with transaction(self._connection):
                known = tuple(one[0][0].id for one in taken if not self._insert_one(*one, now_ns))
                added = len(taken) - len(known)
                evicted = self._evict({item.stream for (item, _), _ in taken}, now_ns)
                counts = self._untold + Counter(added=added)
                for (why, _), count in evicted.items():
                    counts[f"evicted.{why}"] += count
                self._connection.executemany(_COUNT, counts.items())
        except sqlite3.Error as error:
            reason = refusal(error)
            if reason is None:
                raise
            # To try each again would wait for the other process as often.
            if reason != BUSY and len(taken) > 1:
                return together([self._insert([one], now_ns) for one in taken])
            return QueueAdded(refused=tuple((item.id, reason) for (item, _), _ in taken))
        self._untold.clear()
        return QueueAdded(added, known, (), evicted)

    def _insert_one(self, entry: Entry, encoded: bytes, now_ns: int) -> bool:
        """Add one; False where it is there already."""
        item, data = entry
        size = len(encoded) + len(data or b"")
        values = (item.id, item.stream, item.priority, size, now_ns, encoded)
        cursor = self._connection.execute(_INSERT, values)
        if not cursor.rowcount:
            return False
        if data is not None:
            insert = "INSERT INTO crops (item, data) VALUES (?, ?)"
            self._connection.execute(insert, (cursor.lastrowid, data))
        return True

    def _evict(self, streams: Iterable[str], now_ns: int) -> Counter[tuple[str, str]]:
        """Let go of what is too old or too much; how many, by reason and stream."""
        run, settings = self._connection.execute, self._settings
        gone: Counter[tuple[str, str]] = Counter()

        def let_go(reason: str, statement: str, *values: object) -> None:
            gone.update((reason, stream) for (stream,) in run(statement, values).fetchall())

        let_go("expired", _EXPIRE, now_ns - round(settings.keep_seconds * NANOSECONDS))
        for stream in sorted(streams):
            (held,) = run(f"{_HELD} AND stream = ?", (stream,)).fetchone()
            if held > settings.most_per_stream:
                let_go("stream_quota", _EVICT_STREAM, stream, held - settings.most_per_stream)
        (held,) = run(_HELD).fetchone()
        if held > settings.most_items:
            let_go("quota", _EVICT, held - settings.most_items)
        (held,) = run(_BYTES).fetchone()
        if held > settings.most_bytes:
            let_go("bytes_quota", _EVICT_BYTES, settings.most_bytes)
        return gone
