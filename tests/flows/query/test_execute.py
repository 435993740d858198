"""Queries answered over traces, event logs and videos, as a user would ask them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from connectors.log_manifest import Manifest, write_manifest
from connectors.log_sink import EventLogSink
from flows.cli import main
from flows.query import parse
from flows.query.contents import BUILT_IN
from flows.query.execute import execute
from flows.query.matching import content_holds, matcher
from flows.query.model import Filters, Range
from flows.query.planner import Way, plan_query
from flows.query.sources import LogSource, TraceSource
from records import Detections, QueryError, Stage, Verdict
from records.units import NANOSECONDS
from tests.support.scenes import SCENE, write_street

if TYPE_CHECKING:
    from pathlib import Path

    from flows.query.execute import Answer
    from flows.query.sources import Recorded
    from tests.support.scenes import Street

FRAMES = 36_000
STRETCH = 60.0
VALUES = np.repeat(np.random.default_rng(0).integers(0, 6, FRAMES // 90), 90).astype(np.float64)
TENTH_NS = NANOSECONDS // 10


def trace(proxies: np.ndarray[Any, np.dtype[np.float64]] | None = None) -> dict[str, Recorded]:
    return {"gate": TraceSource("gate", VALUES, 30.0, proxies)}


def ask(sql: str, sources: dict[str, Recorded], force: Way | None = None) -> Answer:
    return execute(parse(sql), sources, {}, seed=1, force=force)


def test_an_exact_answer_asks_for_every_frame() -> None:
    answer = ask("SELECT FCOUNT(*) FROM gate", trace())
    (row,) = answer.rows
    assert row["value"] == row["low"] == row["high"] == pytest.approx(VALUES.mean())
    assert (answer.calls, row["frames"], answer.plan.chosen.way) == (FRAMES, FRAMES, Way.SCAN)
    assert (row["start"], row["end"]) == (
        "1970-01-01T00:00:00.000000000Z", "1970-01-01T00:19:59.966666668Z",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("function", "truth", "error"),
    [
        ("FCOUNT(*)", VALUES.mean(), 0.1),
        ("PRESENCE(*)", (VALUES >= 1).mean(), 0.05),
        ("COUNT(*)", VALUES.sum(), 0.1 * FRAMES),
    ],
)
def test_the_error_is_reached_with_few_calls(function: str, truth: float, error: float) -> None:
    answer = ask(f"SELECT {function} FROM gate ERROR WITHIN {error}", trace())  # noqa: S608
    (row,) = answer.rows
    assert abs(row["value"] - truth) <= error
    assert (row["high"] - row["low"]) / 2 <= error
    assert answer.calls == row["calls"] < FRAMES / 8


@pytest.mark.parametrize("estimator", ["fast", "certified", "uniform", "blazeit", "ppi"])
def test_every_estimator_keeps_to_its_budget(estimator: str) -> None:
    sql = f"SELECT FCOUNT(*) FROM gate BUDGET 900 USING '{estimator}'"  # noqa: S608
    (row,) = ask(sql, trace()).rows
    assert row["calls"] == 900
    assert row["low"] <= VALUES.mean() <= row["high"]


def test_windows_hop_and_tumble_and_share_a_budget() -> None:
    sql = "SELECT FCOUNT(*) FROM gate GROUP BY TUMBLE(INTERVAL '5' MINUTE) BUDGET 400"
    answer = ask(sql, trace())
    assert [row["calls"] for row in answer.rows] == [100] * 4
    for number, row in enumerate(answer.rows):
        truth = VALUES[number * 9000 : (number + 1) * 9000].mean()
        assert row["low"] <= truth <= row["high"]
    hop = "SELECT FCOUNT(*) FROM gate GROUP BY HOP(INTERVAL '5' MINUTE, INTERVAL '10' MINUTE)"
    rows = ask(hop, trace()).rows
    assert [row["frames"] for row in rows] == [9000, 18_000, 18_000, 18_000, 9000]


def test_the_same_seed_gives_the_same_answer() -> None:
    sql = "SELECT FCOUNT(*) FROM gate ERROR WITHIN 0.05"
    assert ask(sql, trace()) == ask(sql, trace())


def test_a_proxy_is_used_and_judged() -> None:
    good = VALUES + np.random.default_rng(1).normal(0, 0.1, FRAMES)
    sql = "SELECT FCOUNT(*) FROM gate ERROR WITHIN 0.01"
    plain = ask(sql, trace())
    varied = ask(sql, trace(good))
    assert (plain.plan.chosen.way, varied.plan.chosen.way) == (Way.STRATIFIED, Way.VARIATE)
    assert varied.calls < plain.calls
    sql = sql.replace("0.01", "0.02")
    rewritten = ask(sql, trace(good), Way.REWRITE)
    assert rewritten.calls == 256
    assert abs(rewritten.rows[0]["value"] - VALUES.mean()) <= 0.02
    # A biased proxy is not believed: the pilot finds out, and frames are asked instead.
    biased = ask(sql, trace(good + 1), Way.REWRITE)
    assert biased.calls > 256
    assert abs(biased.rows[0]["value"] - VALUES.mean()) <= 0.02


def test_frames_are_found_apart_and_verified() -> None:
    sql = (
        "SELECT timestamp FROM gate GROUP BY timestamp HAVING SUM(class='car') >= 5 LIMIT 6 GAP 300"
    )
    for proxies in (None, VALUES, -VALUES):
        answer = ask(sql, trace(proxies))
        frames = [row["frame"] for row in answer.rows]
        assert len(frames) == 6
        assert all(VALUES[frame] >= 5 for frame in frames)
        assert min(np.diff(frames)) >= 300
        assert answer.calls < 1500


def test_explain_asks_nothing() -> None:
    answer = ask("EXPLAIN SELECT FCOUNT(*) FROM gate ERROR WITHIN 0.1", trace())
    assert (answer.rows, answer.calls) == ([], 0)
    plan = answer.plan.to_json()
    assert plan["way"] == "stratified"
    assert {one["way"] for one in plan["others"]} == {
        "full scan", "control variate", "rewrite to the proxy",
    }  # fmt: skip
    tiny = plan_query(parse("SELECT FCOUNT(*) FROM g ERROR WITHIN 0.0001"), 5000, proxy=False)
    assert tiny.chosen.way is Way.SCAN


def log(folder: Path) -> LogSource:
    """Ten frames with two cars and a person, tracks 1 to 3, the person in the zone."""
    write_manifest(folder, Manifest("n", folder.name, 0, "", ("gate",), {}))
    answer = Detections.of(
        [[0, 0, 10, 10], [50, 0, 90, 40], [100, 0, 110, 20]], [0.9, 0.5, 0.8],
        ["car", "car", "person"], tracks=[1, 2, 3],
    )  # fmt: skip
    sink = EventLogSink(folder).build_part("log", "0000", None)
    empty = Detections.empty()
    sink.write_batch([
        [Verdict("gate", k, k * TENTH_NS, Stage.REFERENCE, 0.9, answer if k % 2 else empty)
         for k in range(10)]
    ])  # fmt: skip
    sink.close()
    return LogSource.open("gate", folder)


def test_a_log_is_asked_for_classes_zones_boxes_and_tracks(tmp_path: Path) -> None:
    sources: dict[str, Recorded] = {"gate": log(tmp_path)}
    zones = {"left": ((0.0, 0.0), (60.0, 0.0), (60.0, 60.0), (0.0, 60.0)),
             "right": ((95.0, 0.0), (120.0, 0.0), (120.0, 60.0), (95.0, 60.0))}  # fmt: skip

    def values(sql: str) -> list[tuple[object, ...]]:
        rows = execute(parse(sql), sources, zones).rows
        return [(row.get("class"), row.get("zone"), row["value"]) for row in rows]

    assert values("SELECT FCOUNT(*) FROM gate") == [(None, None, 1.5)]
    assert values("SELECT COUNT(DISTINCT trackid) FROM gate WHERE class='car'") == [
        (None, None, 2.0)
    ]
    assert values("SELECT COUNT(*) FROM gate WHERE class IN ('car', 'person') GROUP BY class") == [
        ("car", None, 10.0), ("person", None, 5.0),
    ]  # fmt: skip
    assert values("SELECT PRESENCE(*) FROM gate WHERE class='car' GROUP BY zone") == [
        (None, "left", 0.5), (None, "right", 0.0),
    ]  # fmt: skip
    assert values("SELECT COUNT(*) FROM gate WHERE area > 100 AND score < 0.6") == [
        (None, None, 5.0)
    ]
    rows = execute(parse("SELECT * FROM gate WHERE zone='right' LIMIT 2"), sources, zones).rows
    assert [(row["frame"], row["class"], row["box"]) for row in rows] == [
        (1, "person", [100.0, 0.0, 110.0, 20.0]), (3, "person", [100.0, 0.0, 110.0, 20.0]),
    ]  # fmt: skip
    late = "SELECT FCOUNT(*) FROM gate WHERE timestamp >= 0.85"
    assert values(late) == [(None, None, 3.0)]


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT FCOUNT(*) FROM till", "there is no stream 'till'; there is: gate"),
        ("SELECT FCOUNT(*) FROM gate WHERE zone='x'", "there is no zone 'x'; there is: none; say"),
        ("SELECT FCOUNT(*) FROM gate WHERE area > 3", "gate is a trace: it can be asked neither"),
        ("SELECT FCOUNT(*) FROM gate GROUP BY class", "GROUP BY class needs the classes"),
        ("SELECT FCOUNT(*) FROM gate GROUP BY zone", "GROUP BY zone needs zones"),
        ("SELECT * FROM gate", "gate is a trace, which knows counts but no objects"),
        ("SELECT COUNT(DISTINCT trackid) FROM gate", "gate has no tracks"),
        ("SELECT FCOUNT(*) FROM gate WHERE timestamp > 99999", "gate has no frame in that range"),
        ("SELECT FCOUNT(*) FROM gate ERROR WITHIN .1 USING 'ppi'", "has no stopping rule"),
        (
            "SELECT timestamp FROM gate GROUP BY timestamp "
            "HAVING SUM(class='a')>=1 AND SUM(class='b')>=1 LIMIT 1",
            "gate is a trace: it holds the counts of one class",
        ),
    ],
)
def test_what_cannot_be_answered_is_said_before_anything_is_asked(sql: str, message: str) -> None:
    sources = trace()
    with pytest.raises(QueryError, match=message):
        ask(sql, sources)
    assert sources["gate"].calls == 0


def test_content_is_of_the_pixels_of_the_box() -> None:
    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 0] = 200
    assert content_holds(Filters(contents={"redness": Range(150)}), red, BUILT_IN)
    assert not content_holds(Filters(contents={"blueness": Range(0)}), red, BUILT_IN)
    assert not content_holds(Filters(), red[:0], BUILT_IN)
    assert BUILT_IN["luminance"](np.full((2, 2, 3), 255, np.uint8)) == pytest.approx(255)
    assert matcher(Filters(("car",)), {})(Detections.empty()).tolist() == []


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Street:
    return write_street(tmp_path_factory.mktemp("query"))


def call(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main(["query", *words])
    out, err = capsys.readouterr()
    return int(caught.value.code or 0), out, err


def test_a_video_is_asked_frame_by_frame(assets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = str(assets / "video" / "vtest.avi")
    sql = (
        "SELECT FCOUNT(*) FROM gate WHERE class='person' "
        "GROUP BY TUMBLE(INTERVAL '40' SECOND) BUDGET 24"
    )
    words = [sql, "--source", f"gate={video}", "--detector", "yolox_nano", "--json"]
    code, out, _ = call(capsys, *words)
    assert code == 0
    value = json.loads(out)
    assert value["calls"] == 24
    assert [row["frames"] for row in value["rows"]] == [400, 395]
    assert all(3 < row["low"] < row["value"] < row["high"] < 10 for row in value["rows"])


def test_the_command_on_a_trace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "gate.npy"
    np.save(path, VALUES)
    code, out, _ = call(capsys, "SELECT FCOUNT(*) FROM gate ERROR WITHIN 0.1",
                        "--source", str(path))  # fmt: skip
    assert code == 0
    assert "frames seen by the reference" in out
    code, out, _ = call(capsys, "EXPLAIN SELECT FCOUNT(*) FROM gate ERROR WITHIN 0.1",
                        "--source", str(path))  # fmt: skip
    assert (code, "stratified" in out) == (0, True)
    code, _, err = call(capsys, "SELECT FCONT(*) FROM gate", "--source", str(path))
    assert code == 2
    assert "^^^^^^^^" in err
    assert call(capsys, "SELECT FCOUNT(*) FROM a, b", "--source", str(path))[0] == 2
    assert call(capsys, "SELECT FCOUNT(*) FROM a", "--source", str(path), "--force", "x")[0] == 2
    assert call(capsys, "SELECT FCOUNT(*) FROM a", "--source", str(path), "--zone", "z=1,2")[0] == 2


def test_a_damaged_frame_is_told(street: Street, capsys: pytest.CaptureFixture[str]) -> None:
    gone = str(street.folder / "gone.mp4")
    code, _, err = call(capsys, "SELECT FCOUNT(*) FROM gate", "--source", gone)
    assert code == 1
    assert "gone.mp4" in err
    assert SCENE.frames == 120
