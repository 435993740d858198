from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.difference import Against, DifferenceDetector, DifferenceSettings
from operators.images import LARGEST_ERROR, block_errors, match_exposure
from records import Frame, RecordError
from tests.support.pictures import TENTH_NS, frames

if TYPE_CHECKING:
    from numpy.typing import NDArray


def screen(
    detector: DifferenceDetector, levels: list[int], start: int = 0
) -> list[tuple[float, int | None]]:
    found = [detector.screen(frame) for frame in frames(levels, start=start).frames]
    return [(one.score, one.copy_of) for one in found]


def copies(detector: DifferenceDetector, levels: list[int]) -> list[int | None]:
    return [copy_of for _, copy_of in screen(detector, levels)]


def test_quiet_frames_point_at_the_last_frame_that_fired() -> None:
    detector = DifferenceDetector(DifferenceSettings(threshold=9.0, hold_seconds=100))
    assert screen(detector, [10, 10, 13, 14, 14, 10]) == [
        (LARGEST_ERROR, None), (0.0, 0), (9.0, 0), (16.0, None), (0.0, 3), (16.0, None),
    ]  # fmt: skip


def test_slow_change_adds_up_until_it_fires() -> None:
    detector = DifferenceDetector(DifferenceSettings(threshold=8.0, hold_seconds=100))
    found = copies(detector, list(range(10, 22)))
    assert [k for k, copy_of in enumerate(found) if copy_of is None] == [0, 3, 6, 9]


def test_a_quiet_stream_is_asked_again_after_the_hold() -> None:
    detector = DifferenceDetector(DifferenceSettings(threshold=8.0, hold_seconds=0.3))
    assert copies(detector, [7] * 8) == [None, 0, 0, None, 3, 3, None, 6]
    never = DifferenceDetector(DifferenceSettings(hold_seconds=float("inf")))
    assert copies(never, [7] * 50) == [None, *[0] * 49]


def test_against_an_earlier_frame_the_answer_of_that_frame_is_copied() -> None:
    settings = DifferenceSettings(
        threshold=8.0, against="earlier", earlier_seconds=0.2, hold_seconds=100
    )
    found = screen(DifferenceDetector(settings), [10, 10, 10, 20, 20, 20, 20])
    assert found == [
        (LARGEST_ERROR, None), (LARGEST_ERROR, None), (0.0, 0), (100.0, None), (100.0, None),
        (0.0, 3), (0.0, 4),
    ]  # fmt: skip


def test_against_the_background_quiet_means_empty() -> None:
    settings = DifferenceSettings(
        threshold=8.0, against="background", background_rate=0.5, hold_seconds=100
    )
    detector = DifferenceDetector(settings)
    (first, second) = frames([10, 10]).frames
    assert detector.screen(first).fired
    detector.learn_empty(first)
    quiet = detector.screen(second)
    assert (quiet.fired, quiet.empty, quiet.score) == (False, True, 0.0)
    (brighter,) = frames([14], start=2).frames
    detector.learn_empty(brighter)
    assert detector.snapshot().references[0].luma[0, 0] == 12.0
    plain = DifferenceDetector(DifferenceSettings())
    plain.learn_empty(first)
    assert plain.snapshot().references == ()


class Picture:
    """Pixels of a given small grey image."""

    def __init__(self, luma: NDArray[np.uint8]) -> None:
        self.image = luma
        self.height, self.width = luma.shape

    def luma(self, width: int, height: int) -> NDArray[np.uint8]:
        assert (height, width) == self.image.shape
        return self.image

    def rgb(self, width: int | None = None, height: int | None = None) -> NDArray[np.uint8]:
        raise AssertionError((width, height))


def second_score(settings: DifferenceSettings, a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    detector = DifferenceDetector(settings)
    detector.screen(Frame("gate", 0, 0, Picture(a)))
    return detector.screen(Frame("gate", 1, TENTH_NS, Picture(b))).score


RNG = np.random.default_rng(3)
TEXTURE = RNG.integers(40, 160, (24, 32)).astype(np.uint8)


def test_an_exposure_jump_does_not_fire_when_exposure_is_matched() -> None:
    brighter = np.clip(TEXTURE * 1.3 + 12, 0, 255).astype(np.uint8)
    plain = DifferenceSettings(width=32, height=24)
    matched = DifferenceSettings(width=32, height=24, exposure=True)
    assert second_score(plain, TEXTURE, brighter) > 1000
    assert second_score(matched, TEXTURE, brighter) < 1.0
    moved = TEXTURE.copy()
    moved[4:12, 4:12] = 255
    assert second_score(matched, TEXTURE, moved) > 100


def test_blocks_see_a_small_change_that_the_whole_image_hides() -> None:
    changed = TEXTURE.copy()
    changed[:6, :8] += 40
    whole = DifferenceSettings(width=32, height=24)
    blocks = DifferenceSettings(width=32, height=24, blocks=4)
    assert second_score(whole, TEXTURE, changed) == pytest.approx(100.0)
    assert second_score(blocks, TEXTURE, changed) == pytest.approx(1600.0)
    weights = (0.01, *[0.0] * 15, -8.0)
    weighted = DifferenceSettings(width=32, height=24, blocks=4, weights=weights)
    assert second_score(weighted, TEXTURE, changed) == pytest.approx(1 / (1 + np.exp(-8)))


def test_masked_parts_do_not_count() -> None:
    changed = TEXTURE.copy()
    changed[:, :16] += 40
    left = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))
    masked = DifferenceSettings(width=32, height=24, masks=(left,))
    assert second_score(masked, TEXTURE, changed) < 200
    assert second_score(DifferenceSettings(width=32, height=24), TEXTURE, changed) == 800.0


@given(st.integers(1, 8), st.integers(0, 2**32 - 1))
def test_blocks_average_to_the_whole(blocks: int, seed: int) -> None:
    errors = np.random.default_rng(seed).random((blocks * 3, blocks * 5), dtype=np.float32)
    found = block_errors(errors, blocks)
    assert found.shape == (blocks * blocks,)
    assert found.mean() == pytest.approx(errors.mean(), rel=1e-4)


@given(st.floats(0.3, 3.0), st.floats(-40, 40))
def test_matching_undoes_gain_and_offset(gain: float, offset: float) -> None:
    reference = TEXTURE.astype(np.float32)
    found = match_exposure(reference * gain + offset, reference)
    assert np.abs(found - reference).max() < 0.1


@pytest.mark.parametrize("against", ["fired", "earlier"])
def test_a_restart_from_a_snapshot_gives_what_no_restart_gives(against: Against) -> None:
    settings = DifferenceSettings(
        threshold=8.0,
        hold_seconds=0.4,
        against=against,
        earlier_seconds=0.2,
    )
    levels = [1, 1, 4, 4, 4, 4, 9, 9]
    whole = screen(DifferenceDetector(settings), levels)
    first = DifferenceDetector(settings)
    parts = screen(first, levels[:3])
    parts += screen(DifferenceDetector(settings, first.snapshot()), levels[3:], start=3)
    assert parts == whole


def test_settings_survive_json() -> None:
    settings = DifferenceSettings(blocks=2, weights=(1.0, 2.0, 3.0, 4.0, 5.0), exposure=True)
    assert DifferenceSettings.from_json(settings.to_json()) == settings


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"threshold": -1.0}, "threshold must be in 0..65025, got -1.0"),
        ({"threshold": float("nan")}, "threshold must be in 0..65025, got nan"),
        ({"width": 0}, "width must be in 1..1024 pixels, got 0"),
        ({"height": 4000}, "height must be in 1..1024 pixels, got 4000"),
        ({"hold_seconds": 0.0}, "hold_seconds must be above 0, got 0.0"),
        ({"earlier_seconds": 0.0}, "earlier_seconds must be above 0, got 0.0"),
        ({"against": "x"}, "against must be one of fired, earlier, background, got 'x'"),
        ({"blocks": 99}, "blocks must be in 0..64, got 99"),
        ({"blocks": 2, "weights": (1.0,)}, "weights must be 5 with blocks, got 1"),
        ({"background_rate": 0.0}, "background_rate must be in 0..1, got 0.0"),
    ],
)
def test_settings_say_what_must_be(fields: dict[str, float], message: str) -> None:
    with pytest.raises(RecordError) as caught:
        DifferenceSettings(**fields)  # type: ignore[arg-type]
    assert str(caught.value) == message
