from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from models.detectors import DetectorSettings, load_detector
from operators.assertions.api import Moment
from operators.assertions.flicker import Flicker
from operators.assertions.sightings import overlap
from operators.track import Track, TrackSettings
from records import (
    Correction,
    CorrectionKind,
    Detections,
    Finding,
    Place,
    RecordError,
    Stage,
    Verdict,
    VerdictBatch,
)
from tests.support.moments import Object, moment, rounded, run
from tests.support.pictures import TENTH_NS
from tests.support.vtest import frames, truth

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def walker(x: float, score: float = 0.9, track: int = 1) -> Object:
    return Object(track, x, score)


def objects_found(moments: list[Moment], rule: Flicker | None = None) -> list[tuple[str, int, int]]:
    return [(f.object, f.start_sequence, f.sequence) for f in run(rule or Flicker(), moments)]


def test_a_gap_is_filled_on_a_straight_line() -> None:
    other = walker(40, track=2)
    moments = [moment(0, walker(0)), moment(1, walker(1, 0.7)), moment(2), moment(3, other),
               moment(4, walker(4))]  # fmt: skip
    places = (
        Place(2, 2 * TENTH_NS, (2.0, 0.0, 12.0, 20.0), 0.766667),
        Place(3, 3 * TENTH_NS, (3.0, 0.0, 13.0, 20.0), 0.833333),
    )
    assert rounded(run(Flicker(), moments)) == [
        Finding(
            stream="gate",
            assertion="flicker",
            sequence=4,
            time_ns=4 * TENTH_NS,
            start_sequence=2,
            start_ns=2 * TENTH_NS,
            severity=0.616,
            message="person was gone for 0.30 s, missed 2 times",
            object="1",
            correction=Correction(CorrectionKind.INTERPOLATE, places, "person", 1),
        )
    ]


@pytest.mark.parametrize(
    "moments",
    [
        pytest.param([moment(k, *[walker(0)] * (k in (0, 10))) for k in range(11)],
                     id="it was gone for T"),
        pytest.param([moment(0, walker(0, 0.5)), moment(1), moment(2, walker(0))],
                     id="the detector was not sure of it"),
        pytest.param([moment(0, walker(0)), moment(1), moment(2, walker(30))],
                     id="the track jumped"),
        pytest.param([moment(0, walker(0)), moment(1, walker(3, track=2)), moment(2, walker(2))],
                     id="another object covered it"),
        pytest.param([moment(0, walker(0)), moment(1, walker(0, 0.4)), moment(2, walker(0))],
                     id="only its score dipped"),
        pytest.param([moment(0, walker(0, track=-1)), moment(1), moment(2, walker(0, track=-1))],
                     id="nobody knows whether it is the same"),
        pytest.param([moment(0, walker(0)), Moment("gate", 1, TENTH_NS), moment(2, walker(0))],
                     id="the detector gave no output"),
        pytest.param([moment(5, walker(0)), replace(moment(6), time_ns=0),
                      replace(moment(7, walker(0)), time_ns=1)],
                     id="the clock was set back"),
    ],
)  # fmt: skip
def test_what_is_no_flicker(moments: list[Moment]) -> None:
    assert run(Flicker(), moments) == []


def test_an_object_may_flicker_again_and_again() -> None:
    shown = [True, False, True, True, False, False, True]
    moments = [moment(k, *[walker(0)] * on) for k, on in enumerate(shown)]
    assert objects_found(moments) == [("1", 1, 2), ("1", 4, 6)]


def test_only_places_that_are_free_are_filled() -> None:
    moments = [moment(0, walker(0)), moment(1, walker(1, track=2)), moment(2), moment(3, walker(0))]
    (found,) = run(Flicker(), moments)
    assert found.correction is not None
    assert [place.sequence for place in found.correction.places] == [2]


def test_state_stays_small() -> None:
    check = Flicker().start()
    for k in range(1000):
        check.observe(moment(k, walker(0, track=k), walker(0, track=k + 1)))
    state: Any = check.snapshot()
    assert len(state.recent) == 10
    assert len(state.last) < 25


def tracks_of(path: Path) -> list[Detections]:
    """The true boxes of each frame, with the true identities as tracks and a score of 0.9."""
    rows = np.loadtxt(path, delimiter=",")
    found = []
    for number in range(1, int(rows[:, 0].max()) + 1):
        here = rows[rows[:, 0] == number]
        boxes = np.concatenate([here[:, 2:4], here[:, 2:4] + here[:, 4:6]], axis=1)
        n = len(here)
        tracks = here[:, 1].astype(np.int64)
        found.append(Detections.of(boxes, [0.9] * n, ["person"] * n, tracks=tracks))
    return found


def test_boxes_taken_from_real_tracks_are_put_back(assets: Path) -> None:
    whole = tracks_of(assets / "video" / "vtest.mot.txt")
    chance = np.random.default_rng(7)
    check, right, found, taken = Flicker(covered_overlap=1.0).start(), 0, 0, 0
    for k, seen in enumerate(whole):
        keep = chance.random(len(seen)) > 0.1
        taken += int((~keep).sum())
        outputs = {"detections": seen.select(keep)}
        for finding in check.observe(Moment("gate", k, k * TENTH_NS, outputs=outputs)):
            assert finding.correction is not None
            for place in finding.correction.places:
                there = whole[place.sequence]
                (box,) = there.boxes[there.tracks == int(finding.object)].tolist()
                assert place.box is not None
                found += 1
                right += overlap(place.box, tuple(box)) >= 0.5
    assert found / taken > 0.9
    assert right / found > 0.98


def nearest(boxes: NDArray[np.float32], place: Place) -> float:
    assert place.box is not None
    return max((overlap(place.box, tuple(box)) for box in boxes.tolist()), default=0.0)


def test_a_real_detector_is_caught_and_put_right(assets: Path) -> None:
    detector = load_detector(DetectorSettings("yolox_nano", threads=1, classes=("person",)))
    true, track = truth(assets / "video" / "vtest.mot.txt"), Track(TrackSettings())
    check, found = Flicker().start(), list[Finding]()
    for k, picture in zip(range(52), frames(assets / "video" / "vtest.avi"), strict=False):
        verdict = Verdict(
            "gate", k, k * TENTH_NS, Stage.REFERENCE, 0.5, detector.detect([picture])[0]
        )
        (tracked,) = track.on_item(VerdictBatch("gate", (verdict,))).verdicts
        found += check.observe(Moment.of(tracked))
    places = [p for each in found if each.correction is not None for p in each.correction.places]
    assert [(each.start_sequence, each.sequence) for each in found] == [(18, 23), (42, 43)]
    assert min(nearest(true[place.sequence], place) for place in places) >= 0.5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": ""}, "name must be 1 to 200 printable characters without ':', got ''"),
        ({"output": ""}, "output must be 1 to 200 printable characters without ':', got ''"),
        ({"window_seconds": 0.0}, "window_seconds must be above 0, got 0.0"),
        ({"heights_per_second": -1.0}, "heights_per_second must be above 0, got -1.0"),
        ({"sure_score": 2.0}, "sure_score must be in 0..1, got 2.0"),
    ],
)
def test_settings_say_what_must_be(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError) as caught:
        Flicker(**settings)
    assert str(caught.value) == message
