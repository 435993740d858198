from __future__ import annotations

from operators.detect import detect
from operators.plan import Band
from operators.route import Route
from operators.score import score
from records import Stage
from tests.support.pictures import (
    Brightness,
    BrightnessScorer,
    coded,
    frames,
    person_at,
    undecodable,
)


def test_open_frames_of_several_streams_share_a_call() -> None:
    routes = [Route(frame) for stream in ("gate", "till")
              for frame in frames([5, 7, 0], stream=stream).frames]  # fmt: skip
    routes[1].close(Stage.DIFFERENCE, 1.5)
    detector = Brightness()
    detect(routes, detector, 3)
    assert detector.batches == [3, 2]
    assert [route.found for route in routes] == [
        person_at(5), None, person_at(0), person_at(5), person_at(7), person_at(0),
    ]  # fmt: skip
    assert [route.score for route in routes] == [0.75, 1.5, 0.0, 0.75, 0.75, 0.0]


def test_frames_that_cannot_be_decoded_are_held_and_cost_no_place_in_the_answer() -> None:
    routes = [Route(frame) for frame in coded([1, 1, 1], [9, undecodable(), 11]).frames]
    detector = Brightness()
    detect(routes, detector, 8)
    assert [route.stage for route in routes] == [Stage.REFERENCE, Stage.SKIP, Stage.REFERENCE]
    assert [route.found for route in routes] == [person_at(9), None, person_at(11)]
    assert detector.batches == [2]


def test_decided_frames_make_no_call() -> None:
    detector = Brightness()
    detect([], detector, 8)
    assert detector.batches == []


def test_scoring_decides_outside_the_band_and_leaves_the_rest_open() -> None:
    routes = [Route(frame) for frame in coded([1] * 4, [0, 255, 100, undecodable()]).frames]
    for route in routes:
        route.band = Band(0.2, 0.6)
    score(routes, BrightnessScorer(), 2)
    assert [(route.stage, route.positive) for route in routes] == [
        (Stage.SPECIALISED, False), (Stage.SPECIALISED, True), (None, None), (Stage.SKIP, None),
    ]  # fmt: skip
