"""The engine's store of snapshots, put right before a run goes on from it.

The engine numbers its epochs, and resumes at the first that was not finished. What a killed run had
already stored of that epoch stays in the store, and counts as part of it once it is finished: a key
to which nothing comes in the new epoch would keep the state of the old one, which has seen records
that are about to come again. So these snapshots are removed first.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from records import SightflowError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

BUSY_SECONDS = 10.0
"""How long to wait for another process to let go of a file, seconds."""


def drop_unfinished(store: Path) -> int:
    """Remove the snapshots of epochs that were not finished; how many there were.

    Args:
        store: The folder of the engine's SQLite files. Nobody else may work with it meanwhile.

    Raises:
        SightflowError: a file cannot be read or written.
    """
    files = sorted(store.glob("*.sqlite3"))
    with _errors(store):
        epoch = _resume_epoch(files)
        return 0 if epoch is None else sum(_drop(file, epoch) for file in files)


def keep_steps(store: Path, steps: Iterable[str]) -> int:
    """Remove the states of steps that a dataflow does not have; how many there were.

    Else they would come back, and be out of date, once there is a step of that name again.

    Args:
        store: The folder of the engine's SQLite files. Nobody else may work with it meanwhile.
        steps: The steps that it has.

    Raises:
        SightflowError: a file cannot be read or written.
    """
    kept = set(steps)
    removed = 0
    with _errors(store):
        for file in sorted(store.glob("*.sqlite3")):
            with closing(_open(file)) as connection, connection:
                found = {step for (step,) in connection.execute("SELECT step_id FROM snaps")}
                for step in found - kept:
                    removed += connection.execute(
                        "DELETE FROM snaps WHERE step_id = ?", (step,)
                    ).rowcount
    return removed


def stored_parts(store: Path, step: str) -> frozenset[str]:
    """The keys of a step that there are states of.

    Raises:
        SightflowError: a file cannot be read.
    """
    found: set[str] = set()
    with _errors(store):
        for file in sorted(store.glob("*.sqlite3")):
            with closing(_open(file)) as connection:
                rows = connection.execute(
                    "SELECT DISTINCT state_key FROM snaps WHERE step_id = ?", (step,)
                )
                found |= {key for (key,) in rows}
    return frozenset(found)


@contextmanager
def _errors(store: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise SightflowError(
            f"the snapshots in {store} cannot be used: {error}. Is its disk full?"
        ) from error


def _resume_epoch(files: Iterable[Path]) -> int | None:
    """The epoch at which the engine resumes: the least that a worker of the last run had reached.

    Each file has some of the facts. None before the first run.
    """
    runs: dict[int, tuple[int, int]] = {}
    reached: dict[tuple[int, int], int] = {}
    for file in files:
        with closing(_open(file)) as connection:
            for number, workers, begun in connection.execute(
                "SELECT ex_num, worker_count, resume_epoch FROM exs"
            ):
                runs[number] = (workers, begun)
            for number, worker, epoch in connection.execute(
                "SELECT ex_num, worker_index, worker_frontier FROM fronts"
            ):
                reached[number, worker] = epoch
    if not runs:
        return None
    last = max(runs)
    workers, begun = runs[last]
    return min(max(begun, reached.get((last, worker), begun)) for worker in range(workers))


def _drop(file: Path, epoch: int) -> int:
    with closing(_open(file)) as connection, connection:
        return connection.execute("DELETE FROM snaps WHERE snap_epoch >= ?", (epoch,)).rowcount


def _open(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(file, timeout=BUSY_SECONDS)
