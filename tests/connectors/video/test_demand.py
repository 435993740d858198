from __future__ import annotations

import pickle
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from connectors.video import (
    AvPixels,
    DecodeCounts,
    OnDemandPixels,
    VideoSettings,
    read_video,
)
from records import Frame, RecordError, SourceError
from tests.support.coded import (
    NAMES,
    SIZE,
    Truth,
    decoder_of,
    on_demand,
    tell,
    truth_of,
    write_coded,
)
from tests.support.videos import read_all, told, wait_until

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", ["one-by-one-person-detection.mp4", "vtest.avi"])
def test_real_videos_are_the_same_decoded_on_demand(assets: Path, name: str) -> None:
    settings = VideoSettings(str(assets / "video" / name))
    ahead = read_video("gate", settings)
    later = read_video("gate", replace(settings, decode="on_demand"))
    count = 0
    for one, other in zip(ahead, later, strict=True):
        if not isinstance(one, Frame):
            assert one == other
            continue
        assert isinstance(other, Frame)
        assert tell([one]) == tell([other])
        assert np.array_equal(one.pixels.luma(192, 108), other.pixels.luma(192, 108))
        if one.sequence % 16 == 0:
            assert np.array_equal(one.pixels.rgb(), other.pixels.rgb())
        count, last = count + 1, other
    counts = decoder_of(last).counts
    assert (counts.packets, counts.frames, counts.failures) == (count, count, 0)


@pytest.mark.parametrize("name", NAMES)
def test_asking_in_order_decodes_every_packet_once(
    videos: dict[str, tuple[VideoSettings, Truth]], name: str
) -> None:
    settings, truth = videos[name]
    frames, events = [], []
    for item in read_video("gate", settings):
        if not isinstance(item, Frame):
            events.append(item)
            continue
        assert np.array_equal(item.pixels.luma(*SIZE), truth.luma[item.sequence])
        assert np.array_equal(item.pixels.rgb(), truth.rgb[item.sequence])
        frames.append(item)
    assert tell(frames) == truth.frames
    assert events == truth.events
    counts = decoder_of(frames[0]).counts
    assert (counts.packets, counts.frames) == (len(frames), len(frames))
    assert counts.failures == 0


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
@examples(max_examples=12)
def test_any_order_of_asking_gives_the_same_pixels(
    videos: dict[str, tuple[VideoSettings, Truth]], name: str, data: st.DataObject
) -> None:
    settings, truth = videos[name]
    keep = data.draw(st.integers(1, 20), "frames_in_memory")
    frames = on_demand(replace(settings, frames_in_memory=keep, batch_frames=1))
    decoder = decoder_of(frames[0])
    for i in data.draw(st.lists(st.integers(0, len(frames) - 1), max_size=12), "asked"):
        if data.draw(st.booleans(), "in colour"):
            assert np.array_equal(frames[i].pixels.rgb(), truth.rgb[i])
        else:
            assert np.array_equal(frames[i].pixels.luma(*SIZE), truth.luma[i])
        assert decoder.frames_kept <= keep
    assert decoder.counts.failures == 0


def test_frames_of_every_kind_are_told_apart(
    videos: dict[str, tuple[VideoSettings, Truth]],
) -> None:
    _, truth = videos["open.mp4"]
    kinds = {(frame.keyframe, frame.reordered) for frame in truth.frames}
    assert kinds == {(True, False), (False, False), (False, True)}
    assert sum(frame.keyframe for frame in truth.frames) == 5
    # The frames before a keyframe of an open group are coded after it.
    keys = [frame.sequence for frame in truth.frames if frame.keyframe]
    assert all(truth.frames[key - 1].reordered for key in keys[1:])


def test_quiet_groups_are_not_decoded(videos: dict[str, tuple[VideoSettings, Truth]]) -> None:
    settings, truth = videos["b_frames.mp4"]
    frames = on_demand(settings)
    decoder = decoder_of(frames[0])
    assert decoder.counts == DecodeCounts()
    for i in (25, 26, 35):
        assert np.array_equal(frames[i].pixels.rgb(), truth.rgb[i])
    assert decoder.counts == DecodeCounts(groups=1, packets=12, frames=12, starts=1)
    assert np.array_equal(frames[48].pixels.rgb(), truth.rgb[48])
    counts = decoder.counts
    assert (counts.groups, counts.starts) == (2, 2)
    assert counts.packets <= 12 + 4


def test_leading_frames_of_an_open_group_need_the_group_before(
    videos: dict[str, tuple[VideoSettings, Truth]],
) -> None:
    settings, truth = videos["open.mp4"]
    frames = on_demand(settings)
    keys = [frame.sequence for frame in frames if frame.keyframe]
    leading = keys[3] - 1
    assert np.array_equal(frames[leading].pixels.rgb(), truth.rgb[leading])
    assert decoder_of(frames[0]).counts.groups == 2


def test_a_long_group_is_decoded_on_from_the_present_place(
    videos: dict[str, tuple[VideoSettings, Truth]],
) -> None:
    settings, truth = videos["one_keyframe.mp4"]
    frames = on_demand(settings)
    for i in (20, 40, 55):
        assert np.array_equal(frames[i].pixels.rgb(), truth.rgb[i])
    counts = decoder_of(frames[0]).counts
    assert (counts.groups, counts.starts) == (1, 1)
    assert counts.packets <= 60


def test_a_group_larger_than_the_bound_is_decoded_while_read(tmp_path: Path) -> None:
    path = write_coded(tmp_path / "a.mkv", "keyint=1000:scenecut=0:bframes=2:qp=1")
    settings = VideoSettings(str(path), decode="on_demand", packet_bytes_in_memory=2**16)
    truth = truth_of(settings)
    assert sum(frame.coded_bytes for frame in truth.frames) > 2 * 2**16
    asked = 0
    for item in read_video("gate", settings):
        if isinstance(item, Frame) and item.sequence % 7 == 6:
            assert np.array_equal(item.pixels.rgb(), truth.rgb[item.sequence])
            asked += 1
            last = item
    counts = decoder_of(last).counts
    assert (asked, counts.starts, counts.failures) == (8, 1, 0)
    assert counts.packets <= 60


def test_pixels_that_are_asked_for_too_late_say_so(tmp_path: Path) -> None:
    path = write_coded(tmp_path / "a.mp4", "keyint=5:qp=20")
    settings = VideoSettings(str(path), decode="on_demand", packet_bytes_in_memory=2**16)
    frames, events = read_all(settings)
    message = (
        "^gate: the packets of the frame are no longer kept; ask for its pixels earlier, or raise "
        r"packet_bytes_in_memory \(is 65536\)$"
    )
    for _ in range(2):
        with pytest.raises(SourceError, match=message):
            frames[0].pixels.luma(8, 8)
    decoder = decoder_of(frames[0])
    assert (decoder.counts.failures, decoder.take_failures(), decoder.take_failures()) == (1, 1, 0)
    assert np.array_equal(frames[-1].pixels.rgb(), truth_of(settings).rgb[-1])
    assert told(events) == [("opened", 0, ""), ("ended", 60, "")]


def test_pickled_pixels_are_decoded(videos: dict[str, tuple[VideoSettings, Truth]]) -> None:
    settings, truth = videos["b_frames.mp4"]
    frame = on_demand(settings)[30]
    restored = pickle.loads(pickle.dumps(frame.pixels))
    assert isinstance(restored, AvPixels)
    assert np.array_equal(restored.rgb(), truth.rgb[30])


def test_settings_of_decoding_are_checked() -> None:
    with pytest.raises(RecordError, match="^decode must be 'ahead' or 'on_demand', got 'later'$"):
        VideoSettings("a.mp4", decode="later")  # type: ignore[arg-type]  # what is tested
    with pytest.raises(
        RecordError, match=r"^packet_bytes_in_memory must be in 65536\.\.17179869184, got 1$"
    ):
        VideoSettings("a.mp4", packet_bytes_in_memory=1)


def test_pixels_know_their_size_without_decoding(
    videos: dict[str, tuple[VideoSettings, Truth]],
) -> None:
    frame = on_demand(videos["b_frames.mp4"][0])[0]
    assert isinstance(frame.pixels, OnDemandPixels)
    assert (frame.pixels.width, frame.pixels.height) == SIZE
    assert frame.pixels.decoder.counts == DecodeCounts()


def test_a_flow_may_ask_from_several_threads(
    videos: dict[str, tuple[VideoSettings, Truth]],
) -> None:
    settings, truth = videos["b_frames.mp4"]
    frames = on_demand(settings)
    wrong: list[int] = []

    def ask(first: int) -> None:
        wrong.extend(
            i
            for i in range(first, 60, 3)
            if not np.array_equal(frames[i].pixels.rgb(), truth.rgb[i])
        )

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    wait_until(lambda: not any(thread.is_alive() for thread in threads), "the threads to end")
    assert wrong == []
