from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from connectors.lanes import RecordedLane, Timed, VideoLane, events_in_time
from connectors.video import VideoSettings, VideoSource
from records import Detections, EventKind, Frame, RecordError, Stage, StreamEvent, Verdict
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from connectors.lanes import Item
    from tests.support.scenes import Street

NOTHING = Detections.empty()


def verdict(stream: str, sequence: int, seconds: float) -> Verdict:
    time_ns = round(seconds * NANOSECONDS)
    return Verdict(stream, sequence, time_ns, Stage.REFERENCE, 0.0, NOTHING)


def event(stream: str, kind: EventKind, seconds: float) -> StreamEvent:
    return StreamEvent(stream, round(seconds * NANOSECONDS), kind)


def test_a_lane_keeps_its_order_and_never_goes_back() -> None:
    items = [verdict("gate", 0, 0.3), verdict("gate", 1, 0.1)]
    lane = RecordedLane("gate", iter(items))
    assert lane.peek() is None
    assert lane.known()
    assert lane.peek() == lane.take() == Timed(300_000_000, items[0])
    assert lane.known()
    assert lane.take() == Timed(300_000_000, items[1])
    assert (lane.known(), lane.peek(), lane.ended) == (True, None, True)


def test_a_name_that_no_stream_may_have() -> None:
    with pytest.raises(RecordError, match="^stream must be 1 to 200 printable characters"):
        RecordedLane("a:b", iter([]))


def test_what_befell_a_source_goes_beside_the_verdicts_of_its_time() -> None:
    opened, dropped = event("gate", EventKind.OPENED, 0), event("gate", EventKind.DROPPED, 0.1)
    broken, ended = event("gate", EventKind.CONTRACT, 9), event("gate", EventKind.ENDED, 0.2)
    one, two, three = (verdict("gate", k, k / 10) for k in range(3))
    written: list[Item] = [opened, dropped, ended, one, two, broken, three]
    assert list(events_in_time(written)) == [opened, one, two, broken, dropped, three, ended]


def test_a_video_is_a_lane_whose_events_tell_no_folder(street: Street) -> None:
    path = street.folder / "scene.mp4"
    source = VideoSource(
        {"gate": VideoSettings(str(path), frames_in_memory=200)}, stop=threading.Event()
    )
    lane = VideoLane("gate", source.build_part("x", "gate", None), str(street.folder))
    items = []
    while not (lane.known() and lane.peek() is None):
        if lane.peek() is not None:
            items.append(lane.take().item)
    lane.close()
    frames = [item for item in items if isinstance(item, Frame)]
    assert [frame.sequence for frame in frames] == list(range(120))
    told = "scene.mp4: h264 320x180 at 10 Hz"
    assert items[0] == StreamEvent("gate", 0, EventKind.OPENED, 0, "", told)
    assert items[-1] == StreamEvent("gate", frames[-1].time_ns, EventKind.ENDED, 120)
