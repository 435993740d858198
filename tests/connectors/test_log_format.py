from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from connectors.log_format import frame, header, stream_folder, stream_of
from connectors.replay import EventLog
from tests.support.logs import run_dir_of, write_log
from tests.support.records import names, repeatable, verdict

if TYPE_CHECKING:
    from pathlib import Path

LONGEST_STREAM = "猫" * 200


def test_format_is_pinned() -> None:
    # Logs of earlier releases begin with these bytes.
    assert header("gate") == b"SFLOGSEG\x01\x00\x04\x00gate~\xf8\t\xbd"
    assert frame(b"abc") == b"\x03\x00\x00\x00\xc2\x41\x24\x35abc"


@repeatable
@given(names | st.sampled_from([".", "..", "a/b", "...", "%2E", "+", "a+", LONGEST_STREAM]))
def test_stream_folders_are_safe_and_reversible(stream: str) -> None:
    folder = stream_folder(stream)
    assert stream_of(folder) == stream
    assert not folder.is_absolute()
    assert all(not part.startswith(".") and len(part) <= 201 for part in folder.parts)


def test_streams_with_odd_names_share_a_run(tmp_path: Path) -> None:
    streams = sorted([LONGEST_STREAM, "猫" * 199, "..", "a/b", "a%2Fb", "+"])
    run_dir_of(tmp_path, [])
    for stream in streams:
        write_log(tmp_path, [verdict(stream)])
    log = EventLog.open(tmp_path)
    assert list(log.streams) == streams
    assert [list(log.records(stream)) for stream in streams] == [[verdict(s)] for s in streams]
