from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from operators.difference import (
    LARGEST_ERROR,
    DifferenceDetector,
    DifferenceSettings,
    mean_squared_error,
    screen_nothing,
)
from records import RecordError
from tests.support.pictures import frames


def screen(
    detector: DifferenceDetector, levels: list[int], start: int = 0
) -> list[tuple[int, float, int | None]]:
    batch = detector.on_item(frames(levels, start=start))
    assert batch.stream == "gate"
    return [(one.frame.sequence, one.score, one.copy_of) for one in batch.frames]


def test_quiet_frames_point_at_the_last_frame_that_fired() -> None:
    detector = DifferenceDetector(DifferenceSettings(threshold=9.0, hold_seconds=100))
    assert screen(detector, [10, 10, 13, 14, 14, 10]) == [
        (0, LARGEST_ERROR, None),
        (1, 0.0, 0),
        (2, 9.0, 0),
        (3, 16.0, None),
        (4, 0.0, 3),
        (5, 16.0, None),
    ]


def test_slow_change_adds_up_until_it_fires() -> None:
    detector = DifferenceDetector(DifferenceSettings(threshold=8.0, hold_seconds=100))
    screened = screen(detector, list(range(10, 22)))
    fired = [sequence for sequence, _, copy_of in screened if copy_of is None]
    assert fired == [0, 3, 6, 9]


def test_a_quiet_stream_is_asked_again_after_the_hold() -> None:
    detector = DifferenceDetector(DifferenceSettings(threshold=8.0, hold_seconds=0.3))
    assert [copy_of for _, _, copy_of in screen(detector, [7] * 8)] == [
        None, 0, 0, None, 3, 3, None, 6,
    ]  # fmt: skip


def test_an_infinite_hold_never_asks_again() -> None:
    detector = DifferenceDetector(DifferenceSettings(hold_seconds=float("inf")))
    assert [copy_of for _, _, copy_of in screen(detector, [7] * 50)] == [None, *[0] * 49]


def test_a_restart_from_a_snapshot_gives_what_no_restart_gives() -> None:
    settings = DifferenceSettings(threshold=8.0, hold_seconds=0.4)
    levels = [1, 1, 4, 4, 4, 4, 9, 9]
    whole = screen(DifferenceDetector(settings), levels)
    first = DifferenceDetector(settings)
    parts = screen(first, levels[:3])
    parts += screen(DifferenceDetector(settings, first.snapshot()), levels[3:], start=3)
    assert parts == whole


def test_without_a_difference_detector_every_frame_passes() -> None:
    batch = screen_nothing(frames([3, 3]))
    assert [(one.score, one.copy_of) for one in batch.frames] == [(LARGEST_ERROR, None)] * 2


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"threshold": -1.0}, "threshold must be in 0..65025, got -1.0"),
        ({"threshold": float("nan")}, "threshold must be in 0..65025, got nan"),
        ({"width": 0}, "width must be in 1..1024 pixels, got 0"),
        ({"height": 4000}, "height must be in 1..1024 pixels, got 4000"),
        ({"hold_seconds": 0.0}, "hold_seconds must be above 0, got 0.0"),
    ],
)
def test_settings_say_what_must_be(fields: dict[str, float], message: str) -> None:
    with pytest.raises(RecordError) as caught:
        DifferenceSettings(**fields)  # type: ignore[arg-type]
    assert str(caught.value) == message


IMAGES = hnp.arrays(np.uint8, (7, 5))


@given(IMAGES, IMAGES, st.integers(0, 255))
def test_mean_squared_error_is_that_of_the_definition(
    a: np.ndarray[tuple[int, int], np.dtype[np.uint8]],
    b: np.ndarray[tuple[int, int], np.dtype[np.uint8]],
    level: int,
) -> None:
    want = float(np.mean((a.astype(np.float64) - b) ** 2))
    assert mean_squared_error(a, b) == pytest.approx(want, rel=1e-5)
    assert mean_squared_error(a, b) == mean_squared_error(b, a)
    flat = np.full((7, 5), level, np.uint8)
    assert mean_squared_error(flat, flat) == 0.0
