from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from operators.retraining_pictures import RetrainingPictures
from operators.retraining_settings import Candidate, Candidates, Dropped, Nominations
from records import FrameBatch
from tests.support.pictures import coded
from tests.support.queues import item

if TYPE_CHECKING:
    from records import Pixels, RetrainingItem
    from records.finding import Box

BYTES = 100


@dataclass
class Taker:
    """Frames take 100 bytes each; a picture is the frame's number, in each fifth there is none."""

    bytes_at_most: int = 10 * BYTES
    asked: list[tuple[str, int, Box | None]] = field(default_factory=list)

    def keep(self, pixels: Pixels) -> tuple[Pixels, int]:
        return pixels, BYTES

    def picture(self, pixels: Pixels, item: RetrainingItem, box: Box | None) -> Candidate | None:
        number = int(pixels.luma(1, 1)[0, 0])
        self.asked.append((item.stream, number, box))
        if number % 5 == 4:
            return None
        return Candidate(replace(item, fingerprint=number), bytes([number]))


def frames(first: int, count: int, stream: str = "gate") -> FrameBatch:
    batch = coded([10] * count, range(first, first + count), start=first)
    return FrameBatch(stream, tuple(replace(one, stream=stream) for one in batch.frames))


def nominated(*numbers: int, left: int, stream: str = "gate") -> Nominations:
    items = tuple(item(k, stream) for k in numbers)
    return Nominations(stream, items, left=(left, 0), boxes={2: (1.0, 2.0, 3.0, 4.0)})


def shown(found: Candidates | None) -> list[tuple[int, bytes | None]]:
    assert found is not None
    return [(one.item.sequence, one.data) for one in found.candidates]


def test_only_frames_that_are_nominated_are_asked_for_their_picture() -> None:
    taker = Taker()
    logic = RetrainingPictures(taker)
    assert logic.on_item(frames(0, 5)) is None
    assert logic.on_item(frames(0, 5, "roof")) is None
    found = logic.on_item(nominated(1, 2, left=3))
    assert found == Candidates(
        "gate",
        tuple(Candidate(replace(item(k), fingerprint=k), bytes([k])) for k in (1, 2)),
    )
    assert taker.asked == [("gate", 1, None), ("gate", 2, (1.0, 2.0, 3.0, 4.0))]
    assert shown(logic.on_item(nominated(3, left=3, stream="roof"))) == [(3, b"\x03")]


def test_an_item_without_a_picture_goes_on_and_is_counted() -> None:
    logic = RetrainingPictures(Taker())
    logic.on_item(frames(0, 6))
    wanted = replace(nominated(3, 4, 9, left=4), dropped={Dropped.LATE: 2})
    found = logic.on_item(wanted)
    assert shown(found) == [(3, b"\x03"), (4, None), (9, None)]
    assert found is not None
    assert found.dropped == {Dropped.LATE: 2, Dropped.NO_PICTURE: 2}


def test_frames_that_left_are_let_go_of_and_the_oldest_when_there_are_too_many_bytes() -> None:
    logic = RetrainingPictures(Taker())
    logic.on_item(frames(0, 10))
    assert logic.on_item(nominated(left=1)) is None
    assert shown(logic.on_item(nominated(1, 2, left=2))) == [(1, None), (2, b"\x02")]
    logic.on_item(frames(10, 5))  # 3 to 14: two too many
    assert shown(logic.on_item(nominated(3, 5, 14, left=14))) == [
        (3, None),
        (5, b"\x05"),
        (14, None),
    ]
    assert RetrainingPictures(Taker(bytes_at_most=50)).on_item(frames(0, 3)) is None


def test_what_was_dropped_before_is_told_without_items() -> None:
    logic = RetrainingPictures(Taker())
    assert logic.on_item(Nominations("gate", (), {Dropped.LATE: 1})) == Candidates(
        "gate", (), {Dropped.LATE: 1}
    )


def test_a_restart_loses_frames_and_no_item() -> None:
    logic = RetrainingPictures(Taker())
    logic.on_item(frames(0, 5))
    assert logic.snapshot() is None
    assert shown(RetrainingPictures(Taker()).on_item(nominated(1, left=3))) == [(1, None)]
