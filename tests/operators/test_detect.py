from __future__ import annotations

import pytest

from operators.detect import Answered, AnsweredBatch, DetectLogic, DetectSettings
from operators.difference import Screened, ScreenedBatch
from records import RecordError
from tests.support.pictures import TENTH_NS, Brightness, frames, person_at


def screened(stream: str, levels: list[int], copies: dict[int, int]) -> ScreenedBatch:
    batch = frames(levels, stream=stream)
    return ScreenedBatch(
        stream,
        tuple(Screened(frame, 1.5, copies.get(frame.sequence)) for frame in batch.frames),
    )


def test_frames_of_several_streams_share_a_call_and_copies_cost_none() -> None:
    detector = Brightness()
    logic = DetectLogic(detector, DetectSettings(batch=3))
    out = logic.on_batch([screened("gate", [5, 5, 7], {1: 0}), screened("till", [0, 9, 11], {})])
    assert out == [
        AnsweredBatch(
            "gate",
            (
                Answered(0, 0, 1.5, None, person_at(5)),
                Answered(1, TENTH_NS, 1.5, 0, None),
                Answered(2, 2 * TENTH_NS, 1.5, None, person_at(7)),
            ),
        ),
        AnsweredBatch(
            "till",
            (
                Answered(0, 0, 1.5, None, person_at(0)),
                Answered(1, TENTH_NS, 1.5, None, person_at(9)),
                Answered(2, 2 * TENTH_NS, 1.5, None, person_at(11)),
            ),
        ),
    ]
    assert detector.batches == [3, 2]


def test_quiet_batches_make_no_call() -> None:
    detector = Brightness()
    out = DetectLogic(detector, DetectSettings()).on_batch([screened("gate", [5], {0: 0})])
    assert [one.answer for one in out[0].frames] == [None]
    assert DetectLogic(detector, DetectSettings()).on_batch([]) == []
    assert detector.batches == []


def test_settings_say_what_must_be() -> None:
    with pytest.raises(RecordError, match=r"^batch must be in 1\.\.256 frames, got 0$"):
        DetectSettings(batch=0)
