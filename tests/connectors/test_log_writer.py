from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from connectors.log_format import LogPosition
from connectors.log_writer import LogSettings, LogWriter
from records import LogError, RecordError
from tests.support.logs import SMALL, log_bytes, read_log, run_dir_of, write_log
from tests.support.records import verdict


def test_segments_rotate_by_size(tmp_path: Path) -> None:
    records = [verdict(sequence=i) for i in range(20)]
    run_dir_of(tmp_path)
    paths = write_log(tmp_path, records)
    assert [path.name for path in paths] == [f"{i:08d}.seg" for i in range(len(paths))]
    assert len(paths) > 3
    assert all(path.stat().st_size <= SMALL.segment_bytes for path in paths)
    assert read_log(tmp_path) == (records, ())


def test_a_record_larger_than_a_segment_has_one_of_its_own(tmp_path: Path) -> None:
    records = [verdict(sequence=i) for i in range(3)]
    run_dir_of(tmp_path)
    assert len(write_log(tmp_path, records, LogSettings(segment_bytes=1))) == 3
    assert read_log(tmp_path) == (records, ())


@pytest.mark.parametrize("fsync", ["never", "segment", "batch"])
def test_bytes_do_not_depend_on_batches_or_fsync(tmp_path: Path, fsync: str) -> None:
    records = [verdict(sequence=i) for i in range(20)]
    how = LogSettings(1000, fsync)  # type: ignore[arg-type]  # parametrised text
    write_log(tmp_path / "whole", records)
    with LogWriter(tmp_path / "batches", "gate", how) as writer:
        for start in range(0, 20, 3):
            writer.write(records[start : start + 3])
            assert len(read_log(run_dir_of(tmp_path / "batches"))[0]) == min(start + 3, 20)
    assert log_bytes(tmp_path / "batches") == log_bytes(tmp_path / "whole")


WRITER = """
import itertools, sys
from pathlib import Path
from connectors.log_writer import LogSettings, LogWriter
from tests.support.dataflows import run_into
from tests.support.records import verdict

with LogWriter(Path(sys.argv[1]), "gate", LogSettings(100_000, "never")) as writer:
    for start in itertools.count(0, 7):
        writer.write([verdict(sequence=start + i) for i in range(7)])
"""


def test_a_killed_writer_loses_nothing_it_had_written(tmp_path: Path) -> None:
    run_dir_of(tmp_path)
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], cwd=Path(__file__).parents[2]
    )
    try:
        deadline = time.monotonic() + 60
        while len(list(tmp_path.rglob("*.seg"))) < 3:
            assert time.monotonic() < deadline, "the writer wrote nothing"
            assert writer.poll() is None
            time.sleep(0.01)
    finally:
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    found, faults = read_log(tmp_path)
    assert found == [verdict(sequence=i) for i in range(len(found))]
    assert len(found) > 500
    assert all(fault.torn for fault in faults)
    last = max(tmp_path.rglob("*.seg"))
    last.write_bytes(last.read_bytes() + b"\x07")
    position = LogPosition(int(last.stem), last.stat().st_size - 1)
    with LogWriter(tmp_path, "gate", LogSettings(100_000), position) as writer_again:
        writer_again.write([verdict(sequence=len(found))])
    assert read_log(tmp_path)[0] == [verdict(sequence=i) for i in range(len(found) + 1)]


def test_an_empty_segment_of_a_run_that_was_killed_before_its_first_write_is_begun_anew(
    tmp_path: Path,
) -> None:
    run_dir_of(tmp_path)
    (path,) = write_log(tmp_path, [verdict(sequence=0)])
    path.write_bytes(b"")
    with LogWriter(tmp_path, "gate", position=LogPosition(0, 0)) as writer:
        writer.write([verdict(sequence=0)])
    assert read_log(tmp_path) == ([verdict(sequence=0)], ())


def test_a_writer_goes_on_from_any_position(tmp_path: Path) -> None:
    records = [verdict(sequence=i) for i in range(20)]
    with LogWriter(tmp_path / "a", "gate", SMALL) as writer:
        positions = [writer.position]
        for record in records:
            writer.write([record])
            positions.append(writer.position)
    whole = log_bytes(tmp_path / "a")
    for done, position in enumerate(positions):
        with (
            capture_logs() as logs,
            LogWriter(tmp_path / "a", "gate", SMALL, position) as writer,
        ):
            writer.write(records[done:])
        assert log_bytes(tmp_path / "a") == whole
        total = sum(map(len, whole.values()))
        kept = sum(len(data) for name, data in whole.items() if int(Path(name).stem) < position[0])
        removed = total - kept - position.offset
        expected = {
            "event": "event log cut to its position",
            "log_level": "warning",
            "stream": "gate",
            "removed_bytes": removed,
        }
        assert logs == ([expected] if removed else [])


def test_what_a_writer_refuses(tmp_path: Path) -> None:
    write_log(tmp_path, [verdict()])
    folder = tmp_path / "log" / "gate"
    with pytest.raises(LogError) as caught:
        LogWriter(tmp_path, "gate")
    assert str(caught.value) == (
        f"{folder} holds a log already; give another run directory, or a position"
    )
    with pytest.raises(LogError) as caught:
        LogWriter(tmp_path, "gate", position=LogPosition(0, 10**6))
    size = (folder / "00000000.seg").stat().st_size
    assert str(caught.value) == (
        f"{folder}/00000000.seg must hold 1000000 bytes to go on from there, it has {size}: "
        "the disk lost what was written; begin a new run"
    )
    with LogWriter(tmp_path, "yard") as writer, pytest.raises(LogError) as caught:
        writer.write([verdict("yard"), verdict("gate")])
    assert str(caught.value) == "the log of stream 'yard' was given a record of 'gate'"
    assert not (tmp_path / "log" / "yard").exists()
    with pytest.raises(RecordError, match=r"^segment_bytes must be at least 1, got 0$"):
        LogSettings(segment_bytes=0)
    with pytest.raises(RecordError, match=r"^fsync must be one of never, segment, batch, got 'x'$"):
        LogSettings(fsync="x")  # type: ignore[arg-type]  # the fault under test


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("a file where a folder must be")
    with LogWriter(tmp_path, "gate") as writer, pytest.raises(LogError) as caught:
        writer.write([verdict()])
    assert str(caught.value) == (
        f"{tmp_path}/log/gate/00000000.seg cannot be written: Not a directory; "
        "check the free space and the permissions there"
    )


FULL_DISK = """
import resource, sys
from pathlib import Path
from connectors.log_writer import LogWriter
from records import LogError
from tests.support.dataflows import run_into
from tests.support.records import verdict

resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
writer = LogWriter(Path(sys.argv[1]), "gate")
for _ in range(2):
    try:
        for sequence in range(20):
            writer.write([verdict(sequence=sequence)])
    except LogError as error:
        print(error)
writer.close()
"""


def test_a_full_disk_is_an_error_and_leaves_a_torn_tail(tmp_path: Path) -> None:
    run_dir_of(tmp_path)
    output = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)],
        cwd=Path(__file__).parents[2],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    path = tmp_path / "log" / "gate" / "00000000.seg"
    assert output.splitlines() == [
        f"{path} cannot be written: File too large; check the free space and the permissions there",
        f"{path} cannot be written: an earlier write to it failed",
    ]
    found, (fault,) = read_log(tmp_path)
    assert found == [verdict(sequence=i) for i in range(len(found))]
    assert len(found) > 2
    assert fault.torn
