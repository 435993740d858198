"""Windows that are told as they close, on a file and on a live camera."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest

from connectors.video import VideoSettings
from flows.cli import main
from flows.follow import follow, follow_settings
from flows.query import parse
from models.detectors import DetectorSettings, load_detector
from operators.window_settings import Aggregate
from records import Estimate, EventKind, QueryError, StreamEvent
from records.units import NANOSECONDS
from tests.support.cameras import Camera
from tests.support.pictures import Brightness
from tests.support.scenes import write_street

if TYPE_CHECKING:
    from pathlib import Path

    from records import Detector
    from tests.support.scenes import Street


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Street:
    return write_street(tmp_path_factory.mktemp("follow"))


@pytest.fixture(scope="module")
def detector(street: Street) -> Detector:
    weights = str(street.folder / "empty.png")
    return load_detector(DetectorSettings("silhouette", weights=weights, score_at_least=0.2))


def test_a_file_is_followed_to_its_end(street: Street, detector: Detector) -> None:
    query = parse(
        "SELECT FCOUNT(*) FROM gate WHERE class IN ('person', 'car') "
        "GROUP BY class, TUMBLE(INTERVAL '4' SECOND) BUDGET 20"
    )
    video = VideoSettings(uri=str(street.folder / "scene.mp4"))
    told: list[Estimate | StreamEvent] = []
    follow(query, {"gate": video}, detector, {}, 1, told.append, threading.Event())
    estimates = [one for one in told if isinstance(one, Estimate)]
    assert [one.name for one in estimates if one.start_ns == 0] == [
        "query/average/person", "query/average/car",
    ]  # fmt: skip
    assert len(estimates) == 6
    for one in estimates:
        name = one.name.rpartition("/")[2]
        frames = street.truth[one.start_ns * 10 // NANOSECONDS : one.end_ns * 10 // NANOSECONDS]
        truth = np.mean([answer.count(name) for answer in frames])
        assert abs(one.value - truth) < 1
        assert 15 <= one.reference_calls <= 21
    kinds = [one.kind for one in told if isinstance(one, StreamEvent)]
    assert {EventKind.OPENED, EventKind.ENDED} <= set(kinds)


def test_a_camera_is_followed_until_it_is_stopped() -> None:
    query = parse(
        "SELECT PRESENCE(*) FROM gate GROUP BY HOP(INTERVAL '0.2' SECOND, INTERVAL '0.4' SECOND)"
    )
    stop = threading.Event()
    told: list[Estimate] = []

    def tell(record: Estimate | StreamEvent) -> None:
        if isinstance(record, Estimate):
            told.append(record)
            if len(told) >= 4:
                stop.set()

    with Camera("http", rate_hz=50) as camera:
        video = VideoSettings(uri=camera.url)
        follow(query, {"gate": video}, Brightness(), {}, 1, tell, stop)
    assert len(told) >= 4
    starts = [one.start_ns for one in told]
    assert np.diff(starts).tolist()[:3] == [NANOSECONDS // 5] * 3
    assert all(0 <= one.low <= one.value <= one.high <= 1 for one in told)


def test_zones_and_calls() -> None:
    zones = {"left": ((0.0, 0.0), (9.0, 0.0), (9.0, 9.0))}
    query = parse("SELECT COUNT(*) FROM a, b GROUP BY zone, TUMBLE(INTERVAL '1' MINUTE) BUDGET 60")
    observing, telling = follow_settings(query, zones, 0)
    assert (observing.calls_per_pane, observing.pane_seconds) == (30, 60.0)
    assert (telling.groups, telling.aggregates) == (("left",), (Aggregate.SUM,))
    error = parse("SELECT FCOUNT(*) FROM a GROUP BY TUMBLE(INTERVAL '1' HOUR) ERROR WITHIN 0.05")
    assert 0 < follow_settings(error, {}, 0)[0].calls_per_pane < 7200
    plain = parse("SELECT FCOUNT(*) FROM a GROUP BY TUMBLE(INTERVAL '10' SECOND)")
    assert follow_settings(plain, {}, 0)[0].calls_per_pane == 20


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT FCOUNT(*) FROM gate", "only aggregates over windows can be followed"),
        ("SELECT * FROM gate", "only aggregates over windows can be followed"),
        (
            "SELECT COUNT(DISTINCT trackid) FROM gate GROUP BY TUMBLE(INTERVAL '1' SECOND)",
            "different objects cannot be counted from drawn frames",
        ),
        (
            "SELECT FCOUNT(*) FROM gate GROUP BY TUMBLE(INTERVAL '1' SECOND) USING 'ppi'",
            "windows that are followed use 'fast', not 'ppi'",
        ),
        (
            "SELECT FCOUNT(*) FROM gate GROUP BY zone, TUMBLE(INTERVAL '1' SECOND)",
            "needs classes or zones to group by",
        ),
        (
            "SELECT FCOUNT(*) FROM gate WHERE zone='x' GROUP BY TUMBLE(INTERVAL '1' SECOND)",
            "there is no zone 'x'",
        ),
    ],
)
def test_what_cannot_be_followed_is_said(sql: str, message: str) -> None:
    with pytest.raises(QueryError, match=message):
        follow_settings(parse(sql), {}, 0)


def test_a_stream_that_is_not_there_is_told(detector: Detector) -> None:
    query = parse("SELECT FCOUNT(*) FROM gate GROUP BY TUMBLE(INTERVAL '1' SECOND)")
    with pytest.raises(QueryError, match="there is no stream 'gate'; there is: none"):
        follow(query, {}, detector, {}, 0, lambda _: None, threading.Event())


def test_the_command_follows_in_lines_of_json(
    assets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = assets / "video" / "vtest.avi"
    sql = "SELECT FCOUNT(*) FROM gate GROUP BY TUMBLE(INTERVAL '40' SECOND) BUDGET 12"
    words = ["query", sql, "--source", f"gate={video}", "--detector", "yolox_nano", "--follow"]
    with pytest.raises(SystemExit) as caught:
        main([*words, "--json"])
    assert not caught.value.code
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    estimates = [one for one in records if one["record"] == "estimate"]
    assert [(one["frames"], one["confidence"]) for one in estimates] == [(400, 0.95), (395, 0.95)]
    assert [one["kind"] for one in records if one["record"] == "event"] == ["opened", "ended"]
    with pytest.raises(SystemExit) as caught:
        main([*words[:1], "SELECT FCOUNT(*) FROM gate", *words[2:]])
    assert caught.value.code == 2
    assert "only aggregates over windows can be followed" in capsys.readouterr().err
