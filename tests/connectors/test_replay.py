from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.codec import encode
from connectors.log_format import frame, header
from connectors.log_writer import LogSettings
from connectors.replay import MOST_FAULTS, EventLog, LogFault
from records import LogError
from tests.support.logs import SMALL, log_bytes, read_log, run_dir_of, write_log
from tests.support.records import (
    START_NS,
    alert,
    estimate,
    event,
    reading,
    repeatable,
    verdict,
)

if TYPE_CHECKING:
    from records import Record


def test_what_is_written_is_read(tmp_path: Path) -> None:
    records: list[Record] = [event(), verdict(sequence=0), alert(sequence=0), estimate()]
    run_dir_of(tmp_path)
    (segment,) = write_log(tmp_path, records, LogSettings())
    assert segment == tmp_path / "log" / "gate" / "00000000.seg"
    assert segment.read_bytes() == header("gate") + b"".join(frame(encode(r)) for r in records)
    assert read_log(tmp_path) == (records, ())
    assert read_log(tmp_path, "gate") == (records, ())


def test_streams_merge_by_event_time(tmp_path: Path) -> None:
    run_dir_of(tmp_path, ["b", "a", "silent"])
    late = replace(alert("a", 9), time_ns=START_NS)
    a: list[Record] = [verdict("a", 0), verdict("a", 2), late, verdict("a", 4)]
    b: list[Record] = [verdict("b", 0), verdict("b", 1), verdict("b", 2), verdict("b", 3)]
    write_log(tmp_path, b)
    write_log(tmp_path, a)
    log = EventLog.open(tmp_path)
    assert log.streams == ("a", "b", "silent")
    assert list(log.records()) == [a[0], b[0], b[1], a[1], late, b[2], b[3], a[3]]
    assert list(log.records("silent")) == []
    with pytest.raises(LogError) as caught:
        log.records("c")
    assert str(caught.value) == f"{tmp_path} has no stream 'c'; it has a, b, silent"


def test_reading_is_lazy(tmp_path: Path) -> None:
    run_dir_of(tmp_path)
    paths = write_log(tmp_path, [verdict(sequence=i) for i in range(20)])
    records = EventLog.open(tmp_path).records()
    assert next(records) == verdict()
    paths[-1].write_bytes(b"")
    assert len(list(records)) < 19


def test_a_torn_tail_is_reported_wherever_it_is_cut(tmp_path: Path) -> None:
    records = [event(count=i) for i in range(3)]
    run_dir_of(tmp_path)
    (segment,) = write_log(tmp_path, records)
    data = segment.read_bytes()
    ends = [len(header("gate"))]
    for record in records:
        ends.append(ends[-1] + len(frame(encode(record))))
    for cut in range(len(data) + 1):
        segment.write_bytes(data[:cut])
        found, faults = read_log(tmp_path)
        assert found == records[: sum(end <= cut for end in ends[1:])]
        if cut in ends:
            assert faults == ()
        else:
            (fault,) = faults
            assert fault.torn
            assert fault.offset == max((end for end in ends if end <= cut), default=0)
    segment.write_bytes(data[:-1])
    size = len(frame(encode(records[2])))
    expected = LogFault(
        "gate",
        "00000000.seg",
        ends[2],
        f"the file ends {size - 1} bytes into a frame of {size}",
        torn=True,
    )
    assert read_log(tmp_path)[1] == (expected,)
    assert str(expected).startswith(f"gate/00000000.seg at byte {ends[2]}: the file ends")


def test_reading_goes_on_behind_a_damaged_record(tmp_path: Path) -> None:
    records = [event(count=i) for i in range(4)]
    run_dir_of(tmp_path)
    (segment,) = write_log(tmp_path, records)
    data = bytearray(segment.read_bytes())
    size = len(frame(encode(records[0])))
    at = len(header("gate")) + size
    data[at + size - 1] ^= 1
    segment.write_bytes(data)
    fault = LogFault("gate", "00000000.seg", at, "the CRC-32 is wrong")
    assert read_log(tmp_path) == ([records[0], *records[2:]], (fault,))


def test_reading_goes_on_at_the_next_segment(tmp_path: Path) -> None:
    records = [verdict(sequence=i) for i in range(30)]
    run_dir_of(tmp_path)
    paths = write_log(tmp_path, records)
    at = len(header("gate"))
    data = bytearray(paths[1].read_bytes())
    data[at : at + 4] = b"\xff\xff\xff\xff"
    paths[1].write_bytes(data)
    paths[3].write_bytes(paths[3].read_bytes()[:-3])
    found, faults = read_log(tmp_path)
    per_segment = 1000 // len(frame(encode(records[0])))
    gone = [*range(per_segment, 2 * per_segment), 4 * per_segment - 1]
    assert found == [record for i, record in enumerate(records) if i not in gone]
    assert faults[0] == LogFault(
        "gate",
        "00000001.seg",
        at,
        "a frame must be 1 to 16777216 bytes, got 4294967295; the rest is not read",
    )
    assert (faults[1].segment, faults[1].torn, len(faults)) == ("00000003.seg", False, 2)


def test_odd_segments_are_reported(tmp_path: Path) -> None:
    records = [verdict(sequence=i) for i in range(20)]
    run_dir_of(tmp_path)
    paths = write_log(tmp_path, records)
    damaged = bytearray(paths[0].read_bytes())
    damaged[0] ^= 0xFF
    paths[0].write_bytes(damaged)
    newer = header("gate", 2) + paths[1].read_bytes()[len(header("gate")) :]
    paths[1].write_bytes(newer)
    paths[2].unlink()
    body = paths[3].read_bytes()[len(header("gate")) :]
    paths[3].write_bytes(header("gate") + frame(b"\xc0") + frame(encode(verdict("b"))) + body)
    found, faults = read_log(tmp_path)
    each = 1000 // len(frame(encode(records[0])))
    assert found == records[:each] + records[3 * each :]
    assert [(f.segment, f.problem, f.torn) for f in faults] == [
        ("00000000.seg", "the header is damaged, or not that of stream 'gate'", False),
        ("00000001.seg", "format version 2 is unknown; this release reads 1", False),
        ("00000003.seg", "1 segments before this one are missing", False),
        ("00000003.seg", "a record must be an array of version, kind and fields", False),
        ("00000003.seg", "a record of stream 'b' is in the log of 'gate'", False),
    ]


def test_segments_of_no_stream_are_reported(tmp_path: Path) -> None:
    run_dir_of(tmp_path)
    write_log(tmp_path, [verdict()])
    for name in ("", "%ff", "a b"):
        folder = tmp_path / "log" / name
        folder.mkdir(exist_ok=True)
        (folder / "00000000.seg").write_bytes(b"")
    (tmp_path / "log" / "gate" / "7.seg").write_bytes(b"")
    found, faults = read_log(tmp_path)
    assert found == [verdict()]
    assert faults == tuple(
        LogFault("", name, 0, "this is the folder of no stream") for name in ("log", "%ff", "a b")
    )
    assert str(faults[1]) == "%ff at byte 0: this is the folder of no stream"


def test_faults_are_bounded(tmp_path: Path) -> None:
    run_dir_of(tmp_path)
    folder = tmp_path / "log" / "gate"
    folder.mkdir(parents=True)
    (folder / "00000000.seg").write_bytes(header("gate") + frame(b"\xc0") * 2 * MOST_FAULTS)
    _, faults = read_log(tmp_path)
    assert len(faults) == MOST_FAULTS
    assert faults[-1].problem.endswith("this makes 1000 faults, the rest of it is not read")


@settings(repeatable, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 7)), min_size=1, max_size=5),
    st.booleans(),
)
def test_flipped_bits_never_pass_unseen(flips: list[tuple[int, int]], several: bool) -> None:  # noqa: FBT001 - drawn
    records: list[Record] = [verdict(sequence=i) for i in range(12)]
    with tempfile.TemporaryDirectory() as name:
        folder = run_dir_of(Path(name))
        paths = write_log(folder, records, SMALL if several else LogSettings())
        before = log_bytes(folder)
        for where, bit in flips:
            path = paths[where % len(paths)]
            data = bytearray(path.read_bytes())
            data[where % len(data)] ^= 1 << bit
            path.write_bytes(data)
        found, faults = read_log(folder)
        assert all(record in records for record in found)
        assert bool(faults) == (log_bytes(folder) != before)


def test_readings_are_logged(tmp_path: Path) -> None:
    run_dir_of(tmp_path, ["ecg"])
    write_log(tmp_path, [reading()])
    assert read_log(tmp_path) == ([reading()], ())
