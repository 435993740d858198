"""A recorded run: folded, looked at in its past, its alerts explained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from connectors.replay import EventLog
from flows import config
from flows.dashboard.background import BackgroundSettings
from flows.dashboard.explanations import Explanations
from flows.dashboard.recorded import MOST_VIEWS, RecordedBoard, fold
from flows.dashboard.state import alert_key
from flows.dashboard.stream_state import key_of
from flows.dashboard.thumbnails import CAPTION_PIXELS, WIDTH
from flows.run import RunRequest, run
from records import Alert, SightflowError
from tests.support.boards import alerts, events, verdicts
from tests.support.logs import SMALL, run_dir_of, write_log
from tests.support.scenes import write_configuration, write_street

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over the synthetic street; tests only read it."""
    street = write_configuration(write_street(tmp_path_factory.mktemp("street")), at_least=4)
    configuration, text = config.load(street.configuration)
    target = street.folder / "runs" / "one"
    run(RunRequest(configuration, text, street.folder, target))
    return target


@pytest.fixture(scope="module")
def recorded(run_dir: Path) -> RecordedBoard:
    return RecordedBoard(EventLog.open(run_dir), BackgroundSettings())


def size(data: bytes | None) -> tuple[int, ...]:
    assert data is not None
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    height, width, channels = image.shape
    return int(height), int(width), int(channels)


def frames_of(view: dict[str, Any]) -> int:
    return sum(sum(one["stages"].values()) for one in view["streams"])


def test_the_end_and_the_past(recorded: RecordedBoard) -> None:
    about = recorded.about()
    assert (about["mode"], about["name"], about["run"]) == ("recorded", "street", "one")
    assert about["faults"] == []
    times = about["times"]
    assert times == sorted(times)
    assert 10 < len(times) <= MOST_VIEWS + 1
    assert frames_of(recorded.view()) == 120
    assert recorded.view(since=recorded.view()["revision"])["streams"] == []
    past = [frames_of(recorded.view(at_ms=one)) for one in times]
    assert past == sorted(past)
    assert past[-1] == 120
    assert frames_of(recorded.view(at_ms=0.0)) <= 2, "before the first there is the first"
    assert frames_of(recorded.view(at_ms=10.0**15)) == 120
    middle = recorded.view(at_ms=6000.0)
    assert middle["streams"][0]["latest"]["time"] <= 6000.0
    assert middle["streams"][0]["status"] == "running"
    assert recorded.view()["streams"][0]["status"] == "ended"


def test_the_past_shows_what_may_be_seen(tmp_path: Path) -> None:
    folder = run_dir_of(tmp_path / "run", ("gate", "yard"))
    for stream in ("gate", "yard"):
        write_log(folder, [*events(stream, 0), *verdicts(stream, 0, 30), *alerts(stream, 3, 9)])
    shown = RecordedBoard(EventLog.open(folder), BackgroundSettings())
    for at_ms in (None, *shown.about()["times"]):
        view = shown.view(allowed=lambda name: name == "yard", at_ms=at_ms)
        assert {one["key"] for one in view["streams"]} <= {key_of("yard")}
        for kind in ("series", "alerts", "events"):
            assert {one["stream"] for one in view[kind]} <= {key_of("yard")}


def test_long_logs_have_as_many_views(tmp_path: Path) -> None:
    folder = run_dir_of(tmp_path / "run")
    write_log(folder, verdicts("gate", 0, 1500), SMALL)
    state, views = fold(EventLog.open(folder))
    assert sum(state.view()["streams"][0]["stages"].values()) == 1500
    assert MOST_VIEWS / 2 <= len(views) <= MOST_VIEWS + 1
    steps = np.diff([one.time_ms for one in views])
    assert steps.max() <= 2 * np.median(steps)


def test_pictures_of_the_past_are_decoded_anew(recorded: RecordedBoard) -> None:
    shape = (144 + CAPTION_PIXELS, WIDTH, 3)
    first = recorded.thumbnail("gate", WIDTH, 1000.0)
    assert size(first) == shape
    assert recorded.thumbnail("gate", WIDTH, 1000.0) is first
    last = recorded.thumbnail("gate", WIDTH)
    assert size(last) == shape
    assert last != first
    assert size(recorded.thumbnail("gate", 512))[1] == 512


def test_alerts_are_explained_with_their_frames(recorded: RecordedBoard, run_dir: Path) -> None:
    first = next(one for one in EventLog.open(run_dir).records("gate") if isinstance(one, Alert))
    alert = recorded.alert(alert_key(first))
    assert alert is not None
    assert alert.episode == first.episode
    found = recorded.explanation(alert)
    assert found is recorded.explanation(alert)
    words = found.words
    assert words["id"] == first.episode
    assert words["headline"] == f"people on gate: {first.message}"
    assert words["settings"]["at_least"] == "4"
    assert words["changes"][0]["message"] == first.message
    assert 5 <= len(words["frames"]) <= 7
    assert {"opened"} <= {one["moments"].split(", ")[0] for one in words["frames"]}
    assert words["notes"] == []
    assert size(found.strip)[1] > 1000


def test_without_the_video_boxes_stand_on_plain_ground(run_dir: Path, tmp_path: Path) -> None:
    scene = run_dir.parent.parent / "scene.mp4"
    moved = scene.rename(tmp_path / "moved.mp4")
    try:
        shown = RecordedBoard(EventLog.open(run_dir), BackgroundSettings())
        assert size(shown.thumbnail("gate", WIDTH)) == (144 + CAPTION_PIXELS, WIDTH, 3)
        assert shown.about()["faults"] == [
            "gate: boxes without frames: the video scene.mp4 is not there any more; name a "
            "recording with --video FILE"
        ]
        alert = next(one for one in EventLog.open(run_dir).records() if isinstance(one, Alert))
        found = Explanations(run_dir).of(alert)
        assert found.words["notes"] == [
            "boxes without frames: the video scene.mp4 is not there any more; name a recording "
            "with --video FILE"
        ]
        assert found.strip is not None
    finally:
        moved.rename(scene)


def test_a_damaged_log_says_so(run_dir: Path, tmp_path: Path) -> None:
    folder = run_dir_of(tmp_path / "run")
    (segment,) = write_log(folder, verdicts("gate", 0, 2))
    data = bytearray(segment.read_bytes())
    data[-3] ^= 0xFF
    segment.write_bytes(data)
    shown = RecordedBoard(EventLog.open(folder), BackgroundSettings())
    assert any("the CRC-32 is wrong" in fault for fault in shown.about()["faults"])
    assert frames_of(shown.view()) == 1


def test_an_empty_log_is_shown_as_it_is(tmp_path: Path) -> None:
    folder = run_dir_of(tmp_path / "run")
    shown = RecordedBoard(EventLog.open(folder), BackgroundSettings())
    assert shown.about()["times"] == []
    assert [one["status"] for one in shown.view(at_ms=5.0)["streams"]] == ["waiting"]
    assert shown.thumbnail("gate", WIDTH) is None
    assert (shown.metrics(), shown.troubles(), shown.background()) == (None, [], {})


def test_large_logs_are_not_searched_beside_a_flow(run_dir: Path) -> None:
    alert = next(one for one in EventLog.open(run_dir).records() if isinstance(one, Alert))
    with pytest.raises(SightflowError) as caught:
        Explanations(run_dir, largest_log=1000).of(alert)
    assert str(caught.value).endswith(
        " bytes, too many to search beside a running flow; ask 'sightflow alerts why ID --log "
        f"{run_dir}'"
    )
