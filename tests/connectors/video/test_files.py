from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING

import av
import pytest

from connectors.video import VideoSettings, read_video
from records import EventKind, StreamEvent
from tests.support.videos import (
    HEIGHT,
    WIDTH,
    damage,
    picture_number,
    read_all,
    split,
    told,
    write_video,
)

if TYPE_CHECKING:
    from pathlib import Path

MS = 1_000_000
"""Nanoseconds in a millisecond."""

EVEN = list(range(0, 2000, 40))
"""The times of 50 evenly spaced frames, ms."""


def test_a_real_video(assets: Path) -> None:
    path = str(assets / "video" / "vtest.avi")
    frames, events = read_all(VideoSettings(path, start_ns=1_000))
    assert [frame.sequence for frame in frames] == list(range(795))
    assert [frame.time_ns for frame in frames] == [1_000 + i * 100 * MS for i in range(795)]
    assert {(frame.stream, frame.pixels.width, frame.pixels.height) for frame in frames} == {
        ("gate", 768, 576)
    }
    assert events == [
        StreamEvent("gate", 1_000, EventKind.OPENED, detail=f"{path}: msmpeg4 768x576 at 10 Hz"),
        StreamEvent("gate", 1_000 + 79_400 * MS, EventKind.ENDED, count=795),
    ]


@pytest.mark.parametrize("b_frames", [0, 3])
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_variable_rate_and_frames_coded_out_of_order(
    tmp_path: Path, suffix: str, b_frames: int
) -> None:
    shown = [0, 40, 90, 100, 180, 181, 300, 1300, 1340, 1400, 1500, 1580]
    path = write_video(tmp_path / f"a.{suffix}", shown, b_frames=b_frames)
    frames, events = read_all(VideoSettings(str(path)))
    assert [frame.time_ns for frame in frames] == [ms * MS for ms in shown]
    assert [picture_number(frame.pixels) for frame in frames] == list(range(12))
    assert told(events) == [("opened", 0, ""), ("ended", 12, "")]


def test_odd_time_bases_are_exact(tmp_path: Path) -> None:
    base = Fraction(1001, 30_000)
    path = write_video(tmp_path / "a.mp4", range(30), time_base=base)
    frames, _ = read_all(VideoSettings(str(path)))
    assert [frame.time_ns for frame in frames] == [i * 1001 * 10**9 // 30_000 for i in range(30)]


@pytest.mark.parametrize(
    ("said", "start_ns"),
    [
        ("2024-05-06T07:08:09.123456Z", 1_714_979_289_123_456_000),
        ("1904-01-01T00:00:00Z", 0),
        ("9999-01-01T00:00:00Z", 0),
        ("", 0),
    ],
)
def test_a_file_begins_when_it_says_it_was_made(tmp_path: Path, said: str, start_ns: int) -> None:
    metadata = {"creation_time": said} if said else {}
    path = write_video(tmp_path / "a.mkv", EVEN[:3], metadata=metadata)
    frames, _ = read_all(VideoSettings(str(path)))
    assert [frame.time_ns - start_ns for frame in frames] == [0, 40 * MS, 80 * MS]


def test_a_folder_of_segments_is_one_stream(tmp_path: Path) -> None:
    write_video(tmp_path / "seg10.mp4", EVEN[:3], first=30)
    write_video(tmp_path / "seg2.mp4", EVEN[:4], first=20)
    write_video(tmp_path / "seg1.ts", EVEN[:3], first=10)
    (tmp_path / "seg3.mp4").write_bytes(b"")
    (tmp_path / ".seg0.mp4").write_bytes(b"hidden")
    frames, events = read_all(VideoSettings(str(tmp_path)))
    assert [picture_number(frame.pixels) for frame in frames] == [
        *(10, 11, 12),
        *(20, 21, 22, 23),
        *(30, 31, 32),
    ]
    assert [frame.sequence for frame in frames] == list(range(10))
    assert [frame.time_ns // MS for frame in frames] == [
        *(0, 40, 80),
        *(120, 160, 200, 240),
        *(280, 320, 360),
    ]
    assert [(e.kind, e.count, e.reason, e.detail.removeprefix(f"{tmp_path}")) for e in events] == [
        ("opened", 0, "", f": h264 {WIDTH}x{HEIGHT} at 25 Hz"),
        ("unreadable", 0, "empty", "/seg3.mp4: is empty (0 bytes)"),
        ("ended", 10, "", ""),
    ]


@pytest.mark.parametrize(
    ("content", "reason", "detail"),
    [
        (None, "not_found", "No such file or directory"),
        (b"", "empty", "is empty (0 bytes)"),
        (b"not a video\n" * 500, "invalid_data", "Invalid data found when processing input"),
        # Fixed: of random bytes, 1 in 300 looks like some container to FFmpeg.
        (Random(0).randbytes(5000), "invalid_data", "Invalid data found when processing input"),
        (b"#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:9,\nhttp://127.0.0.1:1/a.ts\n", None, None),
    ],
    ids=["missing", "empty", "text", "noise", "playlist"],
)
def test_what_is_no_video_is_told_in_one_line(
    tmp_path: Path,
    content: bytes | None,
    reason: str | None,
    detail: str | None,
    capfd: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "a.mp4"
    if content is not None:
        path.write_bytes(content)
    frames, events = read_all(VideoSettings(str(path), start_ns=7))
    assert frames == []
    assert [event.kind for event in events] == [EventKind.UNREADABLE, EventKind.ENDED]
    assert events[0].detail.startswith(f"{path}: ")
    if reason is not None:
        assert events[0] == StreamEvent(
            "gate", 7, EventKind.UNREADABLE, 0, reason, f"{path}: {detail}"
        )
    assert capfd.readouterr().err == ""


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with av.open(path, "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame(format="s16", layout="mono", samples=800)
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
    assert told(read_all(VideoSettings(str(path)))[1]) == [
        ("unreadable", 0, "no_video"),
        ("ended", 0, ""),
    ]


def test_an_empty_folder_is_told(tmp_path: Path) -> None:
    _, events = read_all(VideoSettings(str(tmp_path)))
    assert events[0].detail == f"{tmp_path}: the folder holds no files"
    assert told(events) == [("unreadable", 0, "empty"), ("ended", 0, "")]


def test_a_cut_avi_says_how_much_is_missing(assets: Path, tmp_path: Path) -> None:
    whole = (assets / "video" / "vtest.avi").read_bytes()
    path = tmp_path / "cut.avi"
    path.write_bytes(whole[: len(whole) // 2])
    frames, events = read_all(VideoSettings(str(path)))
    assert len(frames) == 398
    assert told(events[1:]) == [
        ("corrupt", 1, "corrupt_packet"),
        ("truncated", 396, "ends_early"),
        ("ended", 398, ""),
    ]
    assert events[2].detail == f"{path}: 399 of the 795 frames declared"


def test_a_cut_mp4_says_how_much_is_missing(assets: Path, tmp_path: Path) -> None:
    whole = (assets / "video" / "one-by-one-person-detection.mp4").read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(whole[: len(whole) // 2])
    frames, events = read_all(VideoSettings(str(path)))
    counts = {event.reason: event.count for event in events}
    declared, came = 1394, len(frames)
    assert came > 600
    assert counts["ends_early"] + counts["corrupt_packet"] + came <= declared
    assert declared - counts["ends_early"] - came <= 3


def test_a_cut_matroska_says_how_much_is_missing(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "a.mkv", EVEN).read_bytes()
    path = tmp_path / "cut.mkv"
    path.write_bytes(whole[: len(whole) * 6 // 10])
    frames, events = read_all(VideoSettings(str(path)))
    truncated = [event for event in events if event.kind is EventKind.TRUNCATED]
    assert len(frames) < 50
    assert [event.count for event in truncated] == [50 - len(frames)]
    assert truncated[0].detail.endswith(" of the 2.00 s declared")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["vtest.avi", "one-by-one-person-detection.mp4"])
def test_flipped_bits_are_counted(
    assets: Path, tmp_path: Path, name: str, seed: int, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    path.write_bytes(damage((assets / "video" / name).read_bytes(), seed, flips=200, spare=50_000))
    settings = VideoSettings(str(path))
    frames, events = read_all(settings)
    declared = 795 if name == "vtest.avi" else 1394
    lost = sum(event.count for event in events if event.kind is EventKind.CORRUPT)
    assert lost > 10
    assert len(frames) > declared // 2
    assert events[-1].kind is EventKind.ENDED
    assert events[-1].count == len(frames)
    assert [frame.sequence for frame in frames] == list(range(len(frames)))
    times = [frame.time_ns for frame in frames]
    assert times == sorted(set(times))
    ids = [event.id for event in events]
    assert len(ids) == len(set(ids))
    assert capfd.readouterr().err == ""
    if seed == 0:
        again = [
            (frame.time_ns, frame.pixels.luma(4, 4).tolist()) for frame in read_all(settings)[0]
        ]
        assert again == [(frame.time_ns, frame.pixels.luma(4, 4).tolist()) for frame in frames]


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_header_never_raises(tmp_path: Path, seed: int) -> None:
    suffix = ("mp4", "mkv", "ts", "avi")[seed % 4]
    codec = "mpeg4" if suffix == "avi" else "libx264"
    base = Fraction(1, 25)
    whole = write_video(tmp_path / f"a.{suffix}", range(20), codec=codec, time_base=base)
    path = tmp_path / f"b.{suffix}"
    path.write_bytes(damage(whole.read_bytes(), seed, flips=60, spare=0))
    _, events = read_all(VideoSettings(str(path)))
    assert events[0].kind in (EventKind.OPENED, EventKind.UNREADABLE)
    assert events[-1].kind is EventKind.ENDED


def test_size_and_format_may_change_within_a_stream(tmp_path: Path) -> None:
    one = write_video(tmp_path / "1.ts", EVEN[:10])
    other = write_video(tmp_path / "2.ts", EVEN[:10], size=(96, 80))
    path = tmp_path / "both.ts"
    path.write_bytes(one.read_bytes() + other.read_bytes())
    frames, events = read_all(VideoSettings(str(path)))
    # The joint costs one packet, which is told; so are the timestamps that begin anew.
    sizes = [(frame.pixels.width, frame.pixels.height) for frame in frames]
    assert sizes == [(64, 48)] * 9 + [(96, 80)] * 10
    assert told(events) == [
        ("opened", 0, ""),
        ("corrupt", 1, "corrupt_packet"),
        ("corrupt", 1, "timestamp"),
        ("corrupt", 1, "timestamp"),
        ("ended", 19, ""),
    ]
    assert [frame.pixels.rgb().shape for frame in frames[8:10]] == [(48, 64, 3), (80, 96, 3)]
    steps = [after.time_ns - before.time_ns for before, after in pairwise(frames[9:])]
    assert steps == [40 * MS] * 9


def test_timestamps_that_begin_anew_are_counted_and_run_on(tmp_path: Path) -> None:
    one = write_video(tmp_path / "1.ts", range(0, 8000, 400))
    path = tmp_path / "twice.ts"
    path.write_bytes(one.read_bytes() * 2)
    frames, events = read_all(VideoSettings(str(path)))
    steps = [after.time_ns - before.time_ns for before, after in pairwise(frames)]
    assert steps == [400 * MS] * 17 + [800 * MS] + [400 * MS] * 20
    assert told(events) == [
        ("opened", 0, ""),
        ("corrupt", 1, "corrupt_packet"),
        ("corrupt", 1, "timestamp"),
        ("ended", 39, ""),
    ]


def test_frames_too_large_are_refused(tmp_path: Path) -> None:
    path = write_video(tmp_path / "wide.mkv", EVEN[:2], codec="ffv1", size=(16_400, 16))
    _, events = read_all(VideoSettings(str(path)))
    assert told(events) == [("unreadable", 0, "too_large"), ("ended", 0, "")]
    assert events[0].detail == f"{path}: frames of 16400x16 are too large"


def test_reading_stops_where_told(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", EVEN)
    frames, events = read_all(VideoSettings(str(path), frames_at_most=7))
    assert [frame.sequence for frame in frames] == list(range(7))
    assert told(events) == [("opened", 0, ""), ("ended", 7, "frames_at_most")]


def test_more_threads_give_the_same_frames(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", EVEN, b_frames=2)
    frames, events = split(read_video("gate", VideoSettings(str(path), decode_threads=3)))
    assert [picture_number(frame.pixels) for frame in frames] == list(range(50))
    assert told(events) == [("opened", 0, ""), ("ended", 50, "")]


def test_a_name_too_long_is_told() -> None:
    _, events = read_all(VideoSettings("x" * 300))
    assert told(events) == [("unreadable", 0, "failed"), ("ended", 0, "")]
    assert events[0].detail == f"{'x' * 300}: File name too long"
