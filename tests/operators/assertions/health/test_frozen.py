from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from connectors.scene import SceneSettings, write_scene
from operators.assertions.health.frozen import Frozen
from records import Finding, RecordError
from tests.support.health import found, moments, planes
from tests.support.pictures import TENTH_NS

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def noisy(count: int, level: float = 60.0, sigma: float = 1.0) -> list[NDArray[np.uint8]]:
    rng = np.random.default_rng(0)
    return [rng.normal(level, sigma, (36, 64)).round().astype(np.uint8) for _ in range(count)]


def test_a_frozen_feed_is_told_each_second_until_it_moves() -> None:
    live = noisy(600)
    check = Frozen().start()
    assert found(check, moments(live)) == []
    got = found(check, moments([live[-1]] * 100, start=600))
    want = Finding(
        "gate",
        "frozen",
        670,
        670 * TENTH_NS,
        605,
        605 * TENTH_NS,
        1.0,
        "the picture stands still; 90% of looks usually differ",
    )
    assert got[0] == want
    assert [finding.sequence for finding in got] == [670, 680, 690]
    assert {finding.start_sequence for finding in got} == {605}
    assert found(check, moments(live[:50], start=700)) == []


def test_a_real_feed_that_freezes_is_found(real: tuple[NDArray[np.uint8], ...]) -> None:
    check = Frozen().start()
    found(check, moments(real[:600]))
    (first, *_) = found(check, moments([real[599]] * 100, start=600))
    assert first.time_ns <= (600 + 100) * TENTH_NS


def test_a_static_night_scene_is_alive() -> None:
    assert found(Frozen().start(), moments(noisy(3000, level=18.0, sigma=0.4))) == []


def test_a_coded_scene_without_objects_is_alive(tmp_path: Path) -> None:
    path = tmp_path / "night.mp4"
    write_scene(
        path, SceneSettings(width=160, height=90, seconds=60, objects_per_minute=0, noise=1.0)
    )
    assert found(Frozen().start(), moments(planes(path))) == []


def coded_anew(still: NDArray[np.uint8], looks: int, share: float) -> list[NDArray[np.uint8]]:
    """A still picture at 10 Hz; each second's key frame changes some pixels by one level."""
    rng = np.random.default_rng(1)
    rounded_up, shown = np.zeros(still.shape, bool), []
    for _ in range(looks // 10):
        rounded_up ^= rng.random(still.shape) < share
        shown += [(still + rounded_up).astype(np.uint8)] * 10
    return shown


def test_a_frozen_feed_whose_key_frames_are_coded_anew_is_told() -> None:
    live = noisy(600)
    check = Frozen().start()
    assert found(check, moments(live)) == []
    got = found(check, moments(coded_anew(live[-1], 100, 0.06), start=600))
    assert [finding.sequence for finding in got] == [660, 670, 680, 690]
    assert {finding.start_sequence for finding in got} == {605}


def test_a_live_scene_that_changes_by_one_level_at_every_look_is_alive() -> None:
    # As little noise as a key frame of a standing picture brings, but never a still look.
    rng = np.random.default_rng(2)
    still = noisy(1)[0]
    live = [
        (still + rng.choice([-1, 0, 1], still.shape, p=[0.03, 0.94, 0.03])).astype(np.uint8)
        for _ in range(3000)
    ]
    assert found(Frozen().start(), moments(live)) == []


def test_still_looks_that_are_usual_make_it_wait() -> None:
    live = noisy(400)
    # The picture changes once in two seconds only: three of four looks are still.
    slow = [live[k // 20] for k in range(4000)]
    check = Frozen().start()
    assert found(check, moments(slow)) == []
    got = found(check, moments([slow[-1]] * 700, start=4000))
    assert 550 <= got[0].sequence - 4000 <= 620
    assert got[0].message == "the picture stands still; 20% of looks usually differ"


def test_a_feed_that_is_still_from_its_start_is_told_after_a_minute() -> None:
    (first, *_) = found(Frozen().start(), moments(noisy(1) * 700))
    assert first.sequence == 605


def test_faults_say_what_must_be() -> None:
    with pytest.raises(RecordError, match="^still_share must be between 0 and 1, got 0"):
        Frozen(still_share=0)
    with pytest.raises(RecordError, match="^hold_seconds must be above 0, got -1"):
        Frozen(hold_seconds=-1)
    with pytest.raises(RecordError, match="^name must be 1 to 200 printable characters"):
        Frozen(name="a:b")
