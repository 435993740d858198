from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from operators.assertions.health.blocked import Blocked
from tests.support.health import found, moments

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


def covered(plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
    noise = np.random.default_rng(int(plane.sum())).normal(90, 0.5, plane.shape)
    return noise.round().astype(np.uint8)


def smeared(plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), 8), np.uint8)


def mostly_covered(plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.where(np.arange(64) < 50, np.uint8(90), plane)


@pytest.mark.parametrize("fault", [covered, smeared, mostly_covered])
def test_a_blocked_view_is_found_within_ten_seconds_and_told_while_it_lasts(
    real: tuple[NDArray[np.uint8], ...],
    fault: Callable[[NDArray[np.uint8]], NDArray[np.uint8]],
) -> None:
    check = Blocked().start()
    assert found(check, moments(real[:300])) == []
    got = found(check, moments(map(fault, real[:400]), start=300))
    assert got[0].sequence == 330
    assert got[0].start_sequence == 300
    assert [finding.sequence for finding in got] == list(range(330, 700, 10))
    assert got[0].message.startswith("the view is blocked: ")
    assert found(check, moments(real[:100], start=700)) == []


def test_a_dark_picture_is_not_also_blocked(real: tuple[NDArray[np.uint8], ...]) -> None:
    check = Blocked().start()
    found(check, moments(real[:300]))
    assert found(check, moments([np.full((36, 64), 16, np.uint8)] * 100, start=300)) == []


def test_less_light_and_half_a_view_are_no_block(real: tuple[NDArray[np.uint8], ...]) -> None:
    check = Blocked().start()
    found(check, moments(real[:300]))
    dim = [(plane * 0.5 + 10).astype(np.uint8) for plane in real[300:400]]
    half = [np.where(np.arange(64) < 30, np.uint8(90), plane) for plane in real[400:500]]
    assert found(check, moments(dim + half, start=300)) == []


def test_a_scene_without_texture_has_none_to_lose() -> None:
    flat = np.full((36, 64), 100, np.uint8)
    assert found(Blocked().start(), moments([flat] * 300)) == []
