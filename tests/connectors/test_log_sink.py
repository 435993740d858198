"""Tests of connectors/log_sink.py: the event log as a sink of a dataflow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from bytewax.testing import TestingSource

from connectors.log_sink import MOST_OPEN_FILES, EventLogSink
from tests.support.dataflows import run_into
from tests.support.logs import SMALL, log_bytes, read_log, run_dir_of, write_log
from tests.support.records import verdict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from records import Record


def batches(streams: Sequence[str]) -> list[tuple[str, list[Record]]]:
    return [(s, [verdict(s, i), verdict(s, i + 1)]) for i in range(0, 20, 2) for s in streams]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_flow_writes_the_same_bytes_with_any_number_of_workers(
    tmp_path: Path, workers: int
) -> None:
    streams = ["gate", "yard", "a/b", "Zoo", "é"]
    run_dir_of(tmp_path, streams)
    run_into(EventLogSink(tmp_path, SMALL), batches(streams), workers=workers)
    for stream in streams:
        write_log(tmp_path / "alone", [verdict(stream, i) for i in range(20)])
    assert log_bytes(tmp_path / "log") == log_bytes(tmp_path / "alone" / "log")
    found, faults = read_log(tmp_path)
    assert found == [verdict(stream, i) for i in range(20) for stream in sorted(streams)]
    assert (len(found), faults) == (100, ())


def test_a_resumed_flow_writes_every_record_exactly_once(tmp_path: Path) -> None:
    streams = ["gate", "yard"]
    run_dir = run_dir_of(tmp_path / "run", streams)
    for at in (3, 9, 14, None):
        items: list[object] = [*batches(streams)]
        if at is not None:
            items.insert(at, TestingSource.ABORT())
        sink = EventLogSink(run_dir, SMALL)
        run_into(sink, items, recovery=tmp_path / "recovery")
    for stream in streams:
        assert read_log(run_dir, stream) == ([verdict(stream, i) for i in range(20)], ())
        write_log(tmp_path / "alone", [verdict(stream, i) for i in range(20)])
    assert log_bytes(run_dir / "log") == log_bytes(tmp_path / "alone" / "log")


def test_more_streams_than_files_that_may_be_open(tmp_path: Path) -> None:
    streams = [f"camera {number}" for number in range(3 * MOST_OPEN_FILES)]
    run_dir = run_dir_of(tmp_path, streams)
    part = EventLogSink(run_dir).build_part("log", "0000", None)
    for sequence in range(2):
        part.write_batch([[verdict(stream, sequence)] for stream in streams])
    part.close()
    for stream in streams:
        assert read_log(run_dir, stream) == ([verdict(stream, 0), verdict(stream, 1)], ())
