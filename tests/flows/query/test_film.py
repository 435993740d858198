"""Queries over a video with trained cascades as its proxy."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from connectors.scene import SceneSettings, render, write_scene
from connectors.video import VideoSettings, decode_frames
from flows.cli import main
from flows.picture import write_picture
from flows.query import parse
from flows.query.costs import MEASURED_CALLS, MEASURED_RUN
from flows.query.execute import execute
from flows.query.film import FilmSource
from flows.query.planner import Way
from flows.query.proxies import FilmProxy, Question
from flows.trained import Certified, TrainedCascade, save_trained
from models.architecture import Architecture
from models.certification import Contract
from models.detectors import DetectorSettings, load_detector
from models.training import TrainSettings, train_specialised
from operators.plan import Band, Plan
from operators.predicate import Predicate
from records import QueryError

if TYPE_CHECKING:
    from flows.query.execute import Answer
    from records import Detections, Detector

SCENE = SceneSettings(
    width=160, height=96, seconds=60, objects_per_minute=14, noise=1.0, seed=8
)  # fmt: skip
FRAMES = SCENE.frames
SIZE = 50
LEFT = ((0.0, 0.0), (80.0, 0.0), (80.0, 96.0), (0.0, 96.0))
ALL = np.arange(FRAMES)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("film")
    write_scene(folder / "scene.mp4", SCENE)
    empty, _ = next(render(replace(SCENE, objects_per_minute=0, noise=0)))
    write_picture(folder / "empty.png", empty)
    return folder


@pytest.fixture(scope="module")
def video(folder: Path) -> VideoSettings:
    return VideoSettings(uri=str(folder / "scene.mp4"))


@pytest.fixture(scope="module")
def detector(folder: Path) -> Detector:
    settings = DetectorSettings(
        model="silhouette", weights=str(folder / "empty.png"), score_at_least=0.2
    )
    return load_detector(settings)


@pytest.fixture(scope="module")
def answers(video: VideoSettings, detector: Detector) -> list[Detections]:
    """What the reference finds in every frame."""
    return detector.detect([image for _, image in decode_frames(video, ALL, kind="full")])


@pytest.fixture(scope="module")
def people(video: VideoSettings, answers: list[Detections]) -> TrainedCascade:
    return train(video, answers, Predicate("person", at_least=3))


@pytest.fixture(scope="module")
def cars(video: VideoSettings, answers: list[Detections]) -> TrainedCascade:
    return train(video, answers, Predicate("car"))


def train(video: VideoSettings, answers: list[Detections], predicate: Predicate) -> TrainedCascade:
    settings = TrainSettings(
        architecture=Architecture(size=SIZE), most_counted=predicate.at_least,
        at_least=predicate.at_least, epochs=4,
    )  # fmt: skip
    images = np.stack([image for _, image in decode_frames(video, ALL, SIZE, SIZE)])
    counts = np.array([predicate.count(answer) for answer in answers], np.int64)
    return TrainedCascade(
        reference="silhouette",
        predicate=predicate,
        plans=(Plan(specialised=Band(0.2, 0.8)),),
        contract=Contract(0.8, 0.8, 0.9),
        certified=Certified(0, 0.81, 0.82, 40),
        specialised=train_specialised(images, counts, settings),
    )


class Asked:
    """Asks queries of the video, each of a new source."""

    def __init__(self, video: VideoSettings, detector: Detector) -> None:
        self.video = video
        self.detector = detector

    def source(self, *trained: TrainedCascade) -> FilmSource:
        return FilmSource("gate", self.video, Path(self.video.uri), self.detector, trained)

    def __call__(self, sql: str, *trained: TrainedCascade, force: Way | None = None) -> Answer:
        zones = {"left": LEFT}
        return execute(parse(sql), {"gate": self.source(*trained)}, zones, seed=2, force=force)


@pytest.fixture(scope="module")
def ask(video: VideoSettings, detector: Detector) -> Asked:
    return Asked(video, detector)


def test_a_model_says_how_many_and_how_probable(
    video: VideoSettings, people: TrainedCascade, cars: TrainedCascade
) -> None:
    proxy = FilmProxy(video, FRAMES, [people, cars])
    assert (proxy.trained_for, proxy.scored) == (("person", "car"), 0)
    places = np.array([5, 80, 300])
    images = np.stack([image for _, image in decode_frames(video, places, SIZE, SIZE)])
    assert people.specialised is not None
    assert cars.specialised is not None
    person = people.specialised.counts(images).astype(np.float64)
    car = cars.specialised.counts(images).astype(np.float64)

    def values(*classes: str, least: int | None = None) -> list[float]:
        found = proxy.values(places, Question(classes, least=least))
        return [float(value) for value in found]

    assert values("person") == pytest.approx((person @ np.arange(4)).tolist(), abs=1e-6)
    assert values("person", least=2) == pytest.approx(person[:, 2:].sum(axis=1).tolist(), abs=1e-6)
    assert values("person", least=9) == pytest.approx(person[:, 3].tolist(), abs=1e-6)
    both = person @ np.arange(4) + car @ np.arange(2)
    assert values("car", "person") == pytest.approx(both.tolist(), abs=1e-6)
    none = person[:, 0] * car[:, 0]
    assert values("car", "person", least=1) == pytest.approx((1 - none).tolist(), abs=1e-6)
    assert proxy.scored == 3
    assert proxy.seconds > 0
    assert not proxy.fits(Question())
    assert not proxy.fits(Question(("person", "bus")))
    assert not proxy.fits(Question(("person",), LEFT))


def test_a_budget_is_spent_with_a_control_variate(
    ask: Asked, people: TrainedCascade, answers: list[Detections]
) -> None:
    sql = "SELECT FCOUNT(*) FROM gate WHERE class='person' AT CONFIDENCE 99.9% BUDGET 80"
    truth = np.mean([answer.count("person") for answer in answers])
    answer = ask(sql, people)
    (row,) = answer.rows
    assert row["low"] <= truth <= row["high"]
    assert answer.plan.chosen.way is Way.VARIATE
    assert answer.plan.chosen.reason.startswith(
        "narrows the interval that BUDGET allows; scoring 600 frames takes "
    )
    assert 80 - MEASURED_CALLS <= answer.calls <= 80
    assert row["calls"] == 80 - MEASURED_CALLS
    assert answer.proxy_frames == FRAMES
    assert answer.proxy_seconds > 0
    # Where a tenth of the budget is too little to measure anything, nothing is measured.
    small = ask(sql.replace("80", "20"), people)
    assert (small.calls, small.plan.chosen.seconds) == (20, None)
    assert small.plan.chosen.way is Way.VARIATE


def test_groups_of_classes_have_a_model_each(
    ask: Asked, people: TrainedCascade, cars: TrainedCascade, answers: list[Detections]
) -> None:
    sql = (
        "SELECT PRESENCE(*) FROM gate WHERE class IN ('car', 'person') GROUP BY class "
        "AT CONFIDENCE 99.9% BUDGET 80"
    )
    answer = ask(sql, people, cars)
    assert [row["class"] for row in answer.rows] == ["car", "person"]
    for row in answer.rows:
        truth = np.mean([one.count(row["class"]) >= 1 for one in answers])
        assert row["low"] <= truth <= row["high"]
    assert answer.proxy_frames == FRAMES


def test_a_mean_of_the_proxy_is_put_right_by_a_pilot(
    ask: Asked, people: TrainedCascade, answers: list[Detections]
) -> None:
    sql = "SELECT FCOUNT(*) FROM gate WHERE class='person' ERROR WITHIN 0.4"
    answer = ask(sql, people, force=Way.REWRITE)
    truth = np.mean([one.count("person") for one in answers])
    assert abs(answer.rows[0]["value"] - truth) <= 0.4
    assert answer.calls >= 256
    assert (answer.proxy_frames, answer.plan.chosen.reason) == (FRAMES, "it was asked for")
    # The pilot keeps to a budget as well, and so does what follows where it is not enough.
    tight = sql.replace("0.4", "0.0001 BUDGET 60")
    assert ask(tight, people, force=Way.REWRITE).calls == 60


@pytest.mark.parametrize(
    ("sql", "force"),
    [
        ("SELECT FCOUNT(*) FROM gate WHERE class='person' AND timestamp < 3", None),
        ("SELECT FCOUNT(*) FROM gate WHERE class='person' BUDGET 20", Way.STRATIFIED),
        ("SELECT FCOUNT(*) FROM gate WHERE class='person' BUDGET 20 USING 'uniform'", None),
        ("SELECT * FROM gate WHERE class='person' AND timestamp < 2", None),
    ],
)
def test_what_needs_no_proxy_scores_nothing(
    ask: Asked, people: TrainedCascade, sql: str, force: Way | None
) -> None:
    answer = ask(sql, people, force=force)
    assert (answer.proxy_frames, answer.proxy_seconds) == (0, 0.0)
    assert answer.calls > 0


@pytest.mark.parametrize("way", [Way.RANKED, Way.SEARCH, Way.SCAN])
def test_frames_are_found_seconds_apart(
    ask: Asked, people: TrainedCascade, answers: list[Detections], way: Way
) -> None:
    sql = (
        "SELECT timestamp FROM gate GROUP BY timestamp HAVING SUM(class='person') >= 2 "
        "LIMIT 4 GAP 2.5 SECONDS"
    )
    answer = ask(sql, people, force=way)
    frames = [row["frame"] for row in answer.rows]
    assert len(frames) == 4
    assert min(np.diff(frames)) >= 25
    assert all(answers[frame].count("person") >= 2 for frame in frames)
    assert answer.proxy_frames == (FRAMES if way is Way.RANKED else 0)


def test_a_conjunction_is_ranked_by_the_classes_that_have_models(
    ask: Asked, people: TrainedCascade, cars: TrainedCascade, answers: list[Detections]
) -> None:
    sql = (
        "SELECT timestamp FROM gate GROUP BY timestamp "
        "HAVING SUM(class='person') >= 2 AND SUM(class='car') >= 1 LIMIT 3 GAP 20"
    )
    for trained in ((people,), (cars,), (people, cars)):
        answer = ask(sql, *trained, force=Way.RANKED)
        assert len(answer.rows) == 3
        for row in answer.rows:
            found = answers[row["frame"]]
            assert row["counts"] == {"person": found.count("person"), "car": found.count("car")}
            assert found.count("person") >= 2
            assert found.count("car") >= 1


def test_explain_measures_and_predicts_seconds(ask: Asked, people: TrainedCascade) -> None:
    sql = "EXPLAIN SELECT FCOUNT(*) FROM gate WHERE class='person' ERROR WITHIN 0.2"
    answer = ask(sql, people)
    assert (answer.rows, answer.calls, answer.proxy_frames) == ([], MEASURED_CALLS, MEASURED_RUN)
    plan = answer.plan.to_json()
    options = [plan, *plan["others"]]
    assert {one["way"] for one in options} == {
        "control variate", "stratified", "rewrite to the proxy", "full scan",
    }  # fmt: skip
    assert all(one["predicted_seconds"] > 0 for one in options)
    seconds = {one["way"]: one["predicted_seconds"] for one in options}
    assert seconds[plan["way"]] == min(seconds["control variate"], seconds["stratified"])
    assert "scoring 600 frames takes " in plan["reason"]
    plain = ask(sql)
    assert (plain.calls, plain.proxy_frames) == (MEASURED_CALLS, 0)
    assert plain.plan.chosen.seconds is not None


ASK_PEOPLE = "the proxy of gate was trained for person; the query asks for "
ADVICE = ". Train one for that with 'sightflow evaluate cascade --save', or leave --trained out"


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT FCOUNT(*) FROM gate WHERE class='car' BUDGET 9", f"{ASK_PEOPLE}car{ADVICE}"),
        ("SELECT FCOUNT(*) FROM gate BUDGET 9", f"{ASK_PEOPLE}every class{ADVICE}"),
        (
            "SELECT FCOUNT(*) FROM gate WHERE class IN ('car', 'person') BUDGET 9",
            f"{ASK_PEOPLE}car or person{ADVICE}",
        ),
        (
            "SELECT FCOUNT(*) FROM gate WHERE class='person' AND zone='left' ERROR WITHIN 1",
            f"{ASK_PEOPLE}person in the zone 0,0,80,0,80,96,0,96{ADVICE}",
        ),
        (
            "SELECT timestamp FROM gate GROUP BY timestamp HAVING SUM(class='car')>=1 LIMIT 1",
            f"{ASK_PEOPLE}car{ADVICE}",
        ),
        (
            "SELECT FCOUNT(*) FROM gate WHERE class='persn'",
            "the detector of gate knows no class 'persn'. Did you mean person?",
        ),
        (
            "SELECT timestamp FROM gate GROUP BY timestamp HAVING SUM(class='bus')>=1 LIMIT 1",
            "the detector of gate knows no class 'bus'. There is: car, person.",
        ),
        (
            "SELECT timestamp FROM gate WHERE class='car' GROUP BY timestamp "
            "HAVING SUM(class='person')>=1 LIMIT 1",
            "HAVING counts 'person', of which WHERE leaves none: it keeps car. Leave the class "
            "out of WHERE",
        ),
    ],
)
def test_a_proxy_for_something_else_is_refused(
    ask: Asked, people: TrainedCascade, sql: str, message: str
) -> None:
    source = ask.source(people)
    with pytest.raises(QueryError) as caught:
        execute(parse(sql), {"gate": source}, {"left": LEFT})
    assert str(caught.value) == message
    assert source.calls == 0


def test_a_zone_fits_by_its_corners(ask: Asked, people: TrainedCascade) -> None:
    sql = "SELECT FCOUNT(*) FROM gate WHERE class='person' AND zone='left' BUDGET 20"
    left = replace(people, predicate=replace(people.predicate, zone=LEFT))
    assert ask(sql, left).plan.chosen.way is Way.VARIATE


def test_cascades_that_can_be_no_proxy_are_told(ask: Asked, people: TrainedCascade) -> None:
    with pytest.raises(QueryError) as caught:
        ask.source(replace(people, specialised=None))
    assert str(caught.value) == (
        "the cascade that was trained for person has no specialised model, which a proxy needs. "
        "Leave --trained out, or train it on a longer video"
    )
    with pytest.raises(QueryError) as caught:
        ask.source(people, people)
    assert str(caught.value) == ("two cascades were trained for person; name one with --trained")


def call(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main(["query", *words])
    out, err = capsys.readouterr()
    return int(caught.value.code or 0), out, err


def test_the_command_takes_trained_cascades(
    assets: Path,
    folder: Path,
    people: TrainedCascade,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    del assets  # yolox_nano's weights are there
    save_trained(tmp_path / "people", people)
    words = ["--source", str(folder / "scene.mp4"), "--trained", str(tmp_path / "people"),
             "--detector", "yolox_nano"]  # fmt: skip
    sql = "SELECT FCOUNT(*) FROM gate WHERE class='person' BUDGET 12"
    code, out, _ = call(capsys, sql, *words, "--json")
    assert code == 0
    value = json.loads(out)
    assert (value["calls"], value["proxy_frames"]) == (12, FRAMES)
    assert value["proxy_seconds"] > 0
    assert value["plan"]["way"] == "control variate"
    code, out, _ = call(capsys, sql, *words)
    assert code == 0
    assert "600 scored by the proxy in" in " ".join(out.split())
    code, out, _ = call(capsys, f"EXPLAIN {sql}", *words)
    assert (code, "Seconds" in out) == (0, True)


def test_the_command_refuses_proxies_that_do_not_go_with_the_source(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "gate.npy"
    np.save(path, np.ones(50))
    sql, video = "SELECT FCOUNT(*) FROM gate BUDGET 9", str(folder / "scene.mp4")
    code, _, err = call(capsys, sql, "--source", str(path), "--trained", "gone")
    assert (code, "--trained is the proxy of a video, and gate is a trace" in err) == (2, True)
    code, _, err = call(capsys, sql, "--source", video, "--trained", "till=gone")
    assert code == 2
    assert "--trained names till, of which there is no source; there is: gate" in err
    code, _, err = call(capsys, sql, "--source", video, "--trained", str(tmp_path / "gone"))
    assert (code, "cascade.json cannot be read" in err) == (1, True)
    assert call(capsys, sql, "--source", video, "--trained", "x", "--follow")[0] == 2
