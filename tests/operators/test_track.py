from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from operators.track import Track, TrackSettings
from records import Detections, RecordError, Stage, Verdict, VerdictBatch
from tests.support.pictures import TENTH_NS


def verdict(sequence: int, boxes: list[tuple[int, str]], *, score: float = 0.9) -> Verdict:
    """One verdict with a 20 by 40 pixel box at each x."""
    answer = Detections.of(
        [[x, 10, x + 20, 50] for x, _ in boxes], [score] * len(boxes), [c for _, c in boxes]
    )
    return Verdict("gate", sequence, sequence * TENTH_NS, Stage.REFERENCE, score, answer)


def tracks(logic: Track, *verdicts: Verdict) -> list[list[int]]:
    batch = logic.on_item(VerdictBatch("gate", verdicts))
    for before, after in zip(verdicts, batch.verdicts, strict=True):
        assert replace(after, answer=before.answer) == before
    return [one.answer.tracks.tolist() for one in batch.verdicts]


def test_objects_keep_their_number_in_the_order_of_their_boxes() -> None:
    logic = Track(TrackSettings())
    moving = [
        verdict(0, [(10, "person"), (200, "person")]),
        verdict(1, [(203, "person"), (12, "person")]),
        verdict(2, [(14, "person"), (206, "person")]),
    ]
    got = tracks(logic, *moving)
    assert got[0] == [-1, -1]
    assert sorted(got[1]) == [1, 2]
    assert got[2] == got[1][::-1]


def test_classes_never_share_a_track() -> None:
    logic = Track(TrackSettings(confirm_frames=1))
    got = tracks(
        logic,
        verdict(0, [(10, "person"), (10, "car")]),
        verdict(1, [(10, "car"), (10, "person")]),
        verdict(2, [(10, "car")]),
        verdict(3, [(10, "person"), (10, "car")]),
    )
    car, person = got[1]
    assert car != person
    assert got[2:] == [[car], [person, car]]


def test_a_copied_answer_keeps_its_tracks() -> None:
    logic = Track(TrackSettings())
    seen = [verdict(0, [(10, "person")]), verdict(1, [(11, "person")])]
    copied = replace(seen[1], sequence=2, time_ns=2 * TENTH_NS, stage=Stage.DIFFERENCE,
                     copied_from=1)  # fmt: skip
    assert tracks(logic, *seen, copied, verdict(3, [(12, "person")])) == [[-1], [1], [1], [1]]


def test_a_track_ends_after_the_stated_time_without_the_object() -> None:
    for gap, same in ((5, True), (40, False)):
        logic = Track(TrackSettings(lost_seconds=2.0))
        before = tracks(logic, *(verdict(k, [(10, "person")]) for k in range(4)))[-1]
        empty = [verdict(4 + k, []) for k in range(gap)]
        tracks(logic, *empty)
        after = tracks(logic, *(verdict(4 + gap + k, [(10, "person")]) for k in range(4)))[-1]
        assert (before == after) is same


def test_ended_tracks_leave_no_state_behind() -> None:
    logic = Track(TrackSettings(lost_seconds=0.3, confirm_frames=1))
    for k in range(0, 400, 4):
        tracks(
            logic, verdict(k, [(k, "person")]), verdict(k + 1, [(k, "person")]),
            verdict(k + 2, []), verdict(k + 3, []),
        )  # fmt: skip
    state = logic.snapshot()
    assert len(state.numbers) <= 4
    assert state.next_number > 4


def test_a_restart_from_a_snapshot_gives_what_no_restart_gives() -> None:
    rng = np.random.default_rng(7)
    path = np.cumsum(rng.integers(0, 4, 30))
    run = [verdict(k, [(int(x), "person"), (300 - int(x), "person")]) for k, x in enumerate(path)]
    whole = tracks(Track(TrackSettings()), *run)
    first = Track(TrackSettings())
    parts = tracks(first, *run[:11])
    saved = first.snapshot()
    tracks(first, *run[11:])
    parts += tracks(Track(TrackSettings(), saved), *run[11:])
    assert parts == whole


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"start_score": 1.5}, "start_score must be in 0..1, got 1.5"),
        ({"confirm_frames": 0}, "confirm_frames must be at least 1, got 0"),
        ({"lost_seconds": 0.0}, "lost_seconds must be above 0, got 0.0"),
        ({"rate_hz": float("inf")}, "rate_hz must be above 0, got inf"),
    ],
)
def test_settings_say_what_must_be(fields: dict[str, float], message: str) -> None:
    with pytest.raises(RecordError) as caught:
        TrackSettings(**fields)  # type: ignore[arg-type]
    assert str(caught.value) == message
