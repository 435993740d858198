from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from connectors.video import (
    DecodeCounts,
    VideoSettings,
    VideoSource,
    read_video,
)
from records import EventKind, Frame, FrameBatch, SourceError
from tests.support.coded import (
    Truth,
    decoder_of,
    on_demand,
    tell,
    truth_of,
    write_coded,
)
from tests.support.videos import damage, read_all, run_flow, told, write_video

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def test_damage_is_told_when_pixels_are_asked_for(assets: Path, tmp_path: Path) -> None:
    name = "one-by-one-person-detection.mp4"
    path = tmp_path / name
    path.write_bytes(damage((assets / "video" / name).read_bytes(), 0, flips=200, spare=50_000))
    settings = VideoSettings(str(path), decode="on_demand", frames_at_most=600)
    times: set[int] = set()
    failed, reported = [], 0
    for item in read_video("gate", settings):
        if isinstance(item, Frame):
            try:
                item.pixels.luma(8, 8)
                times.add(item.time_ns)
            except SourceError as error:
                failed.append(str(error))
        elif item.kind is EventKind.CORRUPT and item.reason == "on_demand":
            reported += item.count
            problem = "frames whose pixels were asked for and could not be had"
            assert item.detail == f"{path}: {problem}"
    assert len(failed) > 3
    assert reported >= len(failed) - 1
    assert all(text.startswith("gate: the frame cannot be decoded: ") for text in failed)
    # The same frames are missing when the file is decoded ahead.
    ahead = {frame.time_ns for frame in truth_of(settings, 8, 8).frames}
    assert times == {time_ns for time_ns in ahead if time_ns <= max(times)}


@pytest.mark.parametrize("suffix", ["mp4", "avi"])
def test_a_cut_file_tells_the_same(assets: Path, tmp_path: Path, suffix: str) -> None:
    name = {"mp4": "one-by-one-person-detection.mp4", "avi": "vtest.avi"}[suffix]
    whole = (assets / "video" / name).read_bytes()
    path = tmp_path / f"cut.{suffix}"
    path.write_bytes(whole[: len(whole) // 2])
    settings = VideoSettings(str(path))
    frames, events = read_all(settings)
    later, later_events = read_all(replace(settings, decode="on_demand"))
    assert tell(later)[: len(frames)] == tell(frames)
    assert len(later) - len(frames) <= 1
    told_ahead = [each for each in told(events) if each[2] not in ("decode_error", "no_frame")]
    assert told(later_events)[:-1] == told_ahead[:-1]


def test_noise_and_damaged_headers_never_raise(tmp_path: Path) -> None:
    noise = tmp_path / "noise.mp4"
    noise.write_bytes(np.random.default_rng(0).bytes(5000))
    assert told(read_all(VideoSettings(str(noise), decode="on_demand"))[1]) == [
        ("unreadable", 0, "invalid_data"),
        ("ended", 0, ""),
    ]
    for seed in range(12):
        suffix = ("mp4", "mkv", "ts")[seed % 3]
        whole = write_video(tmp_path / f"a.{suffix}", range(0, 800, 40), b_frames=2)
        path = tmp_path / f"b.{suffix}"
        path.write_bytes(damage(whole.read_bytes(), seed, flips=60, spare=0))
        frames, events = read_all(VideoSettings(str(path), decode="on_demand"))
        for frame in frames:
            try:
                frame.pixels.luma(4, 4)
            except SourceError as error:
                assert str(error).startswith("gate: the frame cannot be decoded: ")
        assert events[-1].kind is EventKind.ENDED


def test_video_that_does_not_fit_is_told(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.avi", range(0, 800, 40), codec="mpeg4")
    _, events = read_all(VideoSettings(str(path), decode="on_demand"))
    assert told(events) == [("unreadable", 0, "not_on_demand"), ("ended", 0, "")]
    assert events[0].detail == (
        f"{path}: mpeg4 video may have packets that are no whole frame; "
        "decode must be 'ahead' for it, not 'on_demand'"
    )


def test_segments_are_one_stream(tmp_path: Path) -> None:
    for i in range(3):
        write_coded(tmp_path / f"s{i}.ts", "open-gop=1:keyint=12:bframes=2", seed=i)
    settings = VideoSettings(str(tmp_path), decode="on_demand")
    truth = truth_of(settings)
    frames = on_demand(settings)
    assert tell(frames) == truth.frames
    for i in (150, 10, 60, 119, 59, 121, 0):
        assert np.array_equal(frames[i].pixels.rgb(), truth.rgb[i])


@pytest.mark.parametrize("batch", [7, 60, 64])
def test_a_dataflow_gets_the_same_batches(
    videos: dict[str, tuple[VideoSettings, Truth]], batch: int
) -> None:
    settings, truth = videos["open.mp4"]
    settings = replace(settings, batch_frames=batch)
    frames: list[Frame] = []

    def check(item: FrameBatch) -> None:
        frames.extend(item.frames)
        for frame in item.frames:
            if frame.sequence % 3 == 0:
                assert np.array_equal(frame.pixels.rgb(), truth.rgb[frame.sequence])

    batches = run_flow({"gate": settings}, each=check)
    assert tell(frames) == truth.frames
    assert batches == run_flow({"gate": replace(settings, decode="ahead")})


def test_a_flow_that_asks_for_one_group_decodes_one(
    videos: dict[str, tuple[VideoSettings, Truth]],
) -> None:
    settings, _ = videos["b_frames.mp4"]
    source = VideoSource({"gate": settings}, stop=threading.Event())
    frames = list(_drained(source, None))
    frames[40].pixels.luma(8, 8)
    assert decoder_of(frames[40]).counts.groups == 1


def _drained(source: VideoSource, state: object) -> Iterator[Frame]:
    partition = source.build_part("in", "gate", state)  # type: ignore[arg-type]  # a snapshot
    while True:
        try:
            items = partition.next_batch()
        except StopIteration:
            partition.close()
            return
        for _, batch in items:
            yield from batch.frames


@pytest.mark.parametrize("name", ["b_frames.mp4", "open.mp4", "open.ts", "variable.mp4"])
def test_a_snapshot_leads_to_the_next_frame(
    videos: dict[str, tuple[VideoSettings, Truth]], name: str
) -> None:
    settings, truth = videos[name]
    source = VideoSource({"gate": replace(settings, batch_frames=5)}, stop=threading.Event())
    partition = source.build_part("in", "gate", None)
    while partition.snapshot()["sequence"] + 5 < len(truth.frames):
        state = partition.snapshot()
        rest = list(_drained(source, state))
        assert tell(rest) == truth.frames[state["sequence"] :]
        for frame in (rest[0], rest[-1]):
            assert np.array_equal(frame.pixels.rgb(), truth.rgb[frame.sequence])
        partition.next_batch()
    partition.close()


def test_a_live_stream_is_decoded_from_its_last_keyframe(
    videos: dict[str, tuple[VideoSettings, Truth]],
) -> None:
    settings, truth = videos["b_frames.mkv"]
    settings = replace(
        settings,
        live=True,
        frames_in_memory=256,
        reconnect_first_seconds=60,
        reconnect_most_seconds=60,
    )
    stop = threading.Event()
    counts: list[DecodeCounts] = []
    checked: list[int] = []

    def check(batch: FrameBatch) -> None:
        for frame in batch.frames:
            if frame.sequence in (25, 26, 47):
                assert np.array_equal(frame.pixels.rgb(), truth.rgb[frame.sequence])
                checked.append(frame.sequence)
                counts.append(decoder_of(frame).counts)
        if any(event.kind is EventKind.LOST for event in batch.events):
            stop.set()

    # What the flow keeps for comparison asks for pixels too, after this.
    run_flow({"gate": settings}, stop=stop, each=check)
    assert checked == [25, 26, 47]
    assert counts[-1].failures == 0


@pytest.mark.parametrize("name", ["b_frames.mp4", "open.ts", "one_keyframe.mp4"])
def test_a_live_stream_hands_out_frames_that_can_be_decoded_at_once(
    videos: dict[str, tuple[VideoSettings, Truth]], name: str
) -> None:
    settings, truth = videos[name]
    stop = threading.Event()
    frames: list[Frame] = []
    for item in read_video("gate", replace(settings, live=True), stop=stop):
        if isinstance(item, Frame):
            assert np.array_equal(item.pixels.rgb(), truth.rgb[item.sequence])
            frames.append(item)
        elif item.kind is EventKind.LOST:
            stop.set()
    assert len(frames) == len(truth.frames)
    assert decoder_of(frames[0]).counts.packets == len(frames)
