"""Snapshots of epochs that a killed run did not finish."""

from __future__ import annotations

import pickle
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.inputs import AbortExecution, DynamicSource, StatelessSourcePartition
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.run import cli_main
from bytewax.testing import TestingSink
from typing_extensions import override

from flows.snapshots import drop_unfinished
from records import SightflowError

if TYPE_CHECKING:
    from datetime import timedelta
    from pathlib import Path

Pairs = list[tuple[str, int]]


class _Given(StatelessSourcePartition[tuple[str, int]]):
    """Emits one pair an epoch, then fails or ends."""

    def __init__(self, pairs: Pairs, *, fails: bool) -> None:
        self._pairs, self._fails = iter(pairs), fails

    @override
    def next_batch(self) -> Pairs:
        pair = next(self._pairs, None)
        if pair is None:
            raise AbortExecution if self._fails else StopIteration
        return [pair]


class _GivenSource(DynamicSource[tuple[str, int]]):
    def __init__(self, pairs: Pairs, *, fails: bool) -> None:
        self._pairs, self._fails = pairs, fails

    @override
    def build(self, step_id: str, worker_index: int, worker_count: int) -> _Given:
        return _Given(self._pairs, fails=self._fails)


def _add(state: int | None, value: int) -> tuple[int, int]:
    total = (state or 0) + value
    return total, total


def _run(store: Path, pairs: Pairs, epoch: timedelta, *, fails: bool) -> Pairs:
    """The sum of each key after each pair."""
    out: Pairs = []
    flow = Dataflow("flow")
    stream = op.input("in", flow, _GivenSource(pairs, fails=fails))
    sums = op.stateful_map("sum", stream, _add)
    op.output("out", sums, TestingSink(out))
    cli_main(flow, epoch_interval=epoch, recovery_config=RecoveryConfig(str(store)))
    return out


def _query(store: Path, query: str) -> list[tuple[object, ...]]:
    found = []
    for file in store.glob("*.sqlite3"):
        with closing(sqlite3.connect(file)) as connection:
            found += connection.execute(query).fetchall()
    return found


def _states(store: Path) -> set[tuple[object, object]]:
    rows = _query(store, "SELECT state_key, ser_change FROM snaps WHERE step_id LIKE 'flow.sum%'")
    return {(key, pickle.loads(bytes(state))) for key, state in rows}  # type: ignore[call-overload]


def _store_unfinished(store: Path, key: str, state: int) -> None:
    """Store a snapshot as a run does that is killed before the epoch of it ends."""
    reached = _query(store, "SELECT worker_frontier FROM fronts ORDER BY ex_num DESC")[0][0]
    for file in store.glob("*.sqlite3"):
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute(
                "INSERT INTO snaps (step_id, state_key, snap_epoch, ser_change) "
                "SELECT step_id, state_key, ?, ? FROM snaps "
                "WHERE step_id LIKE 'flow.sum%' AND state_key = ?",
                (reached, pickle.dumps(state), key),
            )


def test_what_an_unfinished_epoch_stored_is_not_resumed_from(
    tmp_path: Path, no_epoch: timedelta
) -> None:
    init_db_dir(tmp_path, 2)
    assert _run(tmp_path, [("a", 1), ("b", 10)], no_epoch, fails=True) == [("a", 1), ("b", 10)]
    # It was killed in the epoch in which the second 1 came to a: stored is what a knew then.
    _store_unfinished(tmp_path, "a", 2)
    assert _states(tmp_path) == {("a", 1), ("a", 2), ("b", 10)}
    assert drop_unfinished(tmp_path) == 1
    assert _states(tmp_path) == {("a", 1), ("b", 10)}
    # In this run nothing comes to a in that epoch, and the run after it goes on from 1.
    again = [("b", 10), ("b", 10)]
    assert _run(tmp_path, again, no_epoch, fails=True) == [("b", 20), ("b", 30)]
    drop_unfinished(tmp_path)
    assert _run(tmp_path, [("a", 1)], no_epoch, fails=False) == [("a", 2)]


def test_a_store_without_a_run_is_left_alone(tmp_path: Path) -> None:
    init_db_dir(tmp_path, 2)
    assert drop_unfinished(tmp_path) == 0


def test_a_damaged_store_is_told(tmp_path: Path) -> None:
    (tmp_path / "part-0.sqlite3").write_bytes(b"nonsense" * 1000)
    with pytest.raises(SightflowError, match="cannot be used: file is not a database"):
        drop_unfinished(tmp_path)
