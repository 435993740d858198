"""What every health check must keep: clean hours, restarts, and strangers' data."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from operators.assertions.api import FRAME, Assertion, Moment
from operators.assertions.health.blocked import Blocked
from operators.assertions.health.clock_skew import ARRIVAL, ClockSkew
from operators.assertions.health.dark import Dark
from operators.assertions.health.flat_signal import FlatSignal
from operators.assertions.health.frozen import Frozen
from operators.assertions.health.gap import Gap
from operators.assertions.health.moved import Moved
from operators.assertions.health.swapped_lead import SwappedLead
from records import Frame, Reading, RecordError
from tests.support.health import Plane, found, looped, moments, planes
from tests.support.pictures import TENTH_NS, undecodable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tests.support.scenes import Street

OF_PICTURES = (Frozen(), Dark(), Blocked(), Moved(), Gap())
ALL: tuple[Assertion, ...] = (*OF_PICTURES, ClockSkew(), FlatSignal("ecg"), SwappedLead("ecg"))
HOUR = 36_000
"""Frames of an hour at 10 Hz."""


def hour(shown: tuple[NDArray[np.uint8], ...]) -> dict[str, int]:
    """How often each check fires in an hour of a video that is played over and over."""
    checks = {assertion.name: assertion.start() for assertion in OF_PICTURES}
    fired = dict.fromkeys(checks, 0)
    for moment in moments(looped(shown, HOUR)):
        for name, check in checks.items():
            fired[name] += len(check.observe(moment))
    return fired


def test_a_clean_hour_of_a_real_video_is_clean(real: tuple[NDArray[np.uint8], ...]) -> None:
    # The cut from the video's end to its start is left in: not even it fires.
    assert hour(real) == dict.fromkeys(("frozen", "dark", "blocked", "moved", "gap"), 0)


def test_a_clean_hour_of_a_synthetic_scene_is_clean(scene: Street) -> None:
    shown = planes(scene.folder / "scene.mp4")
    assert hour(shown) == dict.fromkeys(("frozen", "dark", "blocked", "moved", "gap"), 0)


def troubled() -> list[Moment]:
    """Two minutes in which every check finds something."""
    rng = np.random.default_rng(0)
    texture = rng.uniform(40, 220, (36, 64)).astype(np.float32)
    stretch = []
    for k in range(1200):
        time_ns = (k if k < 900 else k + 300) * TENTH_NS
        plane = np.clip(texture + rng.normal(0, 2, texture.shape), 0, 255).astype(np.uint8)
        if 400 <= k < 500:
            plane = np.full((36, 64), 16, np.uint8)
        if 500 <= k < 600:
            plane = rng.normal(100, 0.5, (36, 64)).astype(np.uint8)
        if k >= 600:
            plane = np.roll(plane, 5, axis=1)
        phases = np.arange(10, dtype=np.float32)[:, None] / 10 + k % 10 - 4.5
        beat = np.exp(-9 * phases**2).astype(np.float32) * np.float32(-1 if k >= 700 else 1)
        if 300 < k < 400:
            beat = np.zeros_like(beat)
        inputs = {
            FRAME: Frame("gate", k, time_ns, Plane(plane)),
            ARRIVAL: k * TENTH_NS + 5 * TENTH_NS,
            "ecg": Reading("ecg", k, k * TENTH_NS, 100.0, beat, ("I",), ("mV",)),
        }
        stretch.append(Moment("gate", k, time_ns, inputs))
    return stretch


@pytest.fixture(params=ALL, ids=lambda assertion: assertion.name)
def assertion(request: pytest.FixtureRequest) -> Assertion:
    one: Assertion = request.param
    return one


def test_a_restart_at_any_time_changes_nothing(assertion: Assertion) -> None:
    stretch = troubled()
    whole = found(assertion.start(), stretch)
    assert whole
    check, got = assertion.start(), []
    for start in range(0, len(stretch), 37):
        got += found(check, stretch[start : start + 37])
        saved = check.snapshot()
        kept = pickle.dumps(saved)
        check.observe(stretch[-1])
        assert pickle.dumps(saved) == kept, "a snapshot is a copy"
        check = assertion.start(pickle.loads(kept))
    assert got == whole


def test_an_assertion_has_the_interface_and_refuses_a_foreign_state(assertion: Assertion) -> None:
    assert isinstance(assertion, Assertion)
    assert assertion.window_seconds > 0
    with pytest.raises(RecordError, match=r"^the state must be a \w+, got str; another assertion"):
        assertion.start("state")


def test_a_moment_without_inputs_and_one_that_cannot_be_decoded_are_no_fault(
    assertion: Assertion,
) -> None:
    damaged: dict[str, Any] = {FRAME: Frame("gate", 1, TENTH_NS, undecodable())}
    check = assertion.start()
    assert check.observe(Moment("gate", 0, 0)) == []
    assert check.observe(Moment("gate", 1, TENTH_NS, damaged)) == []
