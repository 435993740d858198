"""Which frames of an episode are shown, and what their boxes mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from flows.why import why
from flows.why_frames import LEAST_FRAMES, Look, shown_frames
from records import Correction, CorrectionKind, Place, Stage
from tests.support.explained import found, recorded, seen
from tests.support.records import FRAME_NS, START_NS

if TYPE_CHECKING:
    from pathlib import Path

    from flows.why_frames import Shown
    from records import Finding

GHOSTS = "assertions: {outputs: {flicker: null}, alerts: {only: [ghost], clear_seconds: 0.5}}"


def moments(shown: tuple[Shown, ...]) -> dict[int, tuple[str, ...]]:
    return {one.verdict.sequence: one.moments for one in shown}


def correction(
    kind: CorrectionKind, first: int, boxes: list[tuple[float, float, float, float]], name: str
) -> Correction:
    places = tuple(
        Place(first + k, START_NS + (first + k) * FRAME_NS, box, 0.75)
        for k, box in enumerate(boxes)
    )
    return Correction(kind, places, name)


def test_an_episode_is_shown_from_before_it_began_until_after_it_ended(tmp_path: Path) -> None:
    counts = [0] * 15 + [2, 2, 2, 2, 3, 5, 2] + [0] * 25
    verdicts = [seen(place, *[0.9] * count) for place, count in enumerate(counts)]
    log = recorded(tmp_path, verdicts, rule=", for_seconds: 0.3")
    shown = shown_frames(why(log, "gate:crowd:18"))
    assert moments(shown) == {
        5: ("before",),
        15: ("begins",),
        18: ("opened",),
        20: ("peak",),
        21: ("last",),
        25: ("closed",),
        35: ("after",),
    }
    assert [one.value for one in shown] == [0, 2, 2, 5, 2, 0, 0]


def test_short_episodes_have_frames_between(tmp_path: Path) -> None:
    verdicts = [seen(place, *[0.9] * (2 * (place > 0))) for place in range(9)]
    shown = shown_frames(why(recorded(tmp_path, verdicts), "gate:crowd:1"))
    assert moments(shown) == {
        0: ("before",),
        1: ("opened",),
        4: ("between",),
        6: ("between",),
        8: ("last", "latest"),
    }
    few = shown_frames(why(recorded(tmp_path / "few", verdicts[:3]), "gate:crowd:1"))
    assert moments(few) == {0: ("before",), 1: ("opened",), 2: ("last", "latest")}
    alone = [seen(place, *[0.9] * 2) for place in range(1)]
    one = shown_frames(why(recorded(tmp_path / "alone", alone), "gate:crowd:0"))
    assert moments(one) == {0: ("opened", "last", "latest")}
    assert LEAST_FRAMES == 5


def test_boxes_are_told_apart_by_what_they_mean_for_the_rule(tmp_path: Path) -> None:
    verdict = seen(3, 0.9, 0.8, 0.4, 0.7)
    answer = verdict.answer
    classes = ["person", "person", "person", "car"]
    mixed = type(answer).of(answer.boxes, answer.scores, classes, tracks=[1, -1, 2, 3])
    verdicts = [seen(0), seen(1), seen(2), seen(3, answer=mixed, score=0.9), seen(4)]
    shown = shown_frames(why(recorded(tmp_path, verdicts), "gate:crowd:3"))
    (opened,) = (one for one in shown if "opened" in one.moments)
    assert [(one.look, one.label) for one in opened.boxes] == [
        (Look.OTHER, "car 0.70 #3"),
        (Look.LOW, "person 0.40 #2"),
        (Look.COUNTED, "0.90 #1"),
        (Look.COUNTED, "0.80"),
    ]
    assert opened.boxes[2].box == (0, 50, 20, 90)
    assert opened.value == 2


def test_copied_frames_keep_saying_so(tmp_path: Path) -> None:
    verdicts = [seen(0), seen(1, 0.9, 0.9)]
    verdicts += [
        seen(k, 0.9, 0.9, stage=Stage.DIFFERENCE, score=2.0, copied_from=1) for k in (2, 3)
    ]
    shown = shown_frames(why(recorded(tmp_path, verdicts), "gate:crowd:1"))
    assert [one.verdict.copied_from for one in shown] == [None, None, 1, 1]


def ghosts(tmp_path: Path, finding: Finding, corrected: int, more: str) -> tuple[Shown, ...]:
    verdicts = [
        seen(k, 0.9, 0.8, corrected=("ghost",) if k == corrected else ()) for k in range(12)
    ]
    (tmp_path / "own.py").write_text(
        "from operators.assertions import assertion\n\n@assertion(window=1.0)\n"
        "def ghost(inputs, outputs):\n    return 0\n",
        encoding="utf-8",
    )
    asked = more.replace("alerts", "files: [own.py], alerts", 1)
    return shown_frames(why(recorded(tmp_path, [*verdicts, finding], more=asked), "gate:ghost:1:6"))


def test_boxes_that_a_correction_adds_are_no_common_boxes(tmp_path: Path) -> None:
    added = correction(CorrectionKind.INTERPOLATE, 4, [(30, 50, 50, 90)] * 2, "person")
    shown = ghosts(tmp_path, found(6, "ghost", start=4, correction=added), 5, GHOSTS)
    assert moments(shown) == {
        0: ("before",),
        4: ("begins",),
        5: ("corrected",),
        6: ("opened", "last"),
        11: ("closed", "after"),
    }
    looks = {one.verdict.sequence: [(box.look, box.label) for box in one.boxes] for one in shown}
    theirs = [(Look.CONCERNED, "person 0.90 #1"), (Look.ADDED, "added person 0.75")]
    plain = [(Look.OTHER, "person 0.80 #2"), (Look.CONCERNED, "person 0.90 #1")]
    assert looks == {0: plain, 4: theirs, 5: theirs, 6: plain, 11: plain}
    assert [one.value for one in shown] == [0, 0, 0, 1, 0]


def test_boxes_that_a_correction_dropped_are_shown_where_they_were(tmp_path: Path) -> None:
    dropped = correction(CorrectionKind.DROP, 6, [(200, 20, 240, 80)], "")
    shown = ghosts(tmp_path, found(6, "ghost", correction=dropped), 6, GHOSTS)
    (opened,) = (one for one in shown if "opened" in one.moments)
    assert opened.boxes[-1].look is Look.DROPPED
    assert (opened.boxes[-1].box, opened.boxes[-1].label) == ((200, 20, 240, 80), "dropped 0.75")
    assert np.isclose(opened.value or 0, 1.0)
