"""Worse pictures by stated transforms, and labels that no person gave.

The labels are what an unattended system has (Kang et al., MLSys 2020, section 4.2): the detector's
own boxes, corrected by assertions, and the boxes of which the tracker is sure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from flows.evaluate.assertions_recording import Recording
from operators.assertions.appear import Appear
from operators.assertions.apply import apply_correction
from operators.assertions.consistency import ConsistencyAssertion
from operators.assertions.flicker import Flicker
from operators.track import Track, TrackSettings
from records import UNTRACKED, Stage, Verdict, VerdictBatch
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from operators.assertions.api import Assertion
    from records import Detections

PERSON = "person"
"""The class that is judged."""

RATE_HZ = 10.0
"""Of the clip."""


@dataclass(frozen=True, slots=True)
class Condition:
    """How a picture is made worse.

    Attributes:
        blur: Standard deviation of a Gaussian blur, pixels; 0 for none.
        gamma: The exponent of the grey levels' share of 255; above 1 darkens the dark most.
        gain: Factor on the grey levels after it.
        noise: Standard deviation of each pixel's noise, grey levels.
    """

    blur: float = 0.0
    gamma: float = 1.0
    gain: float = 1.0
    noise: float = 0.0

    def apply(self, picture: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
        """The picture as it would have been, uint8 (height, width, 3); the number seeds noise."""
        value: NDArray[np.float32] = picture.astype(np.float32)
        if self.blur:
            value = np.asarray(cv2.GaussianBlur(value, (0, 0), self.blur), np.float32)
        value = np.power(value / 255, self.gamma, dtype=np.float32) * np.float32(255 * self.gain)
        if self.noise:
            rng = np.random.default_rng(number)
            value += self.noise * rng.standard_normal(value.shape, dtype=np.float32)
        return np.clip(np.rint(value), 0, 255).astype(np.uint8)


CONDITIONS: Mapping[str, Condition] = {
    "day": Condition(),
    "night": Condition(gamma=2.0, gain=0.15, noise=12.0),
    "dark night": Condition(gamma=2.0, gain=0.1, noise=10.0),
    "out of focus": Condition(blur=9.0),
}
"""The clip as it is, and what is made of it."""

LEAST_SCORE = 0.1
"""The least score of boxes that are tracked."""

START_SCORE = 0.2
"""The score that starts a track. Scores fall where pictures are bad; what stays for long and moves
as objects do is real all the same, so few boxes are refused by their scores here."""

SURE_FRAMES = 10
"""A track of so many boxes, a second's, is sure."""

AGREES_SECONDS = 0.5
"""What comes or goes for less is inconsistent, seconds."""


def assertions() -> tuple[Assertion, ...]:
    """The assertions whose corrections are applied, in this order."""
    same = ConsistencyAssertion(
        "consistency", lambda box: box.identifier, temporal_threshold=AGREES_SECONDS
    )
    flicker = Flicker(seen_score=LEAST_SCORE, sure_score=START_SCORE)
    return (flicker, Appear(), *same.assertions())


def track(found: Sequence[Detections]) -> tuple[Verdict, ...]:
    """Consecutive frames' boxes with tracks, as verdicts."""
    verdicts = tuple(
        Verdict("clip", k, round(k * NANOSECONDS / RATE_HZ), Stage.REFERENCE, 1.0, one)
        for k, one in enumerate(found)
    )
    settings = TrackSettings(start_score=START_SCORE, high_score=START_SCORE, rate_hz=RATE_HZ)
    return Track(settings).on_item(VerdictBatch("clip", verdicts)).verdicts


def correct(
    verdicts: Sequence[Verdict], wanted: Sequence[Assertion]
) -> tuple[list[Detections], dict[str, int]]:
    """The boxes after all corrections, and how many boxes each assertion changed."""
    moments = Recording("clip", tuple(verdicts), None, ()).moments()
    answers = {verdict.sequence: verdict.answer for verdict in verdicts}
    changed: dict[str, int] = {}
    for assertion in wanted:
        check = assertion.start()
        changed[assertion.name] = 0
        for correction in (one.correction for m in moments for one in check.observe(m)):
            for place in () if correction is None else correction.places:
                assert correction is not None
                before = answers[place.sequence]
                after = apply_correction(before, correction, place)
                changed[assertion.name] += after is not before
                answers[place.sequence] = after
    return list(answers.values()), changed


def trust_tracks(found: Sequence[Detections]) -> list[Detections]:
    """Give all boxes of sure tracks the score 1: the weak ones are the same object."""
    numbers = np.concatenate([one.tracks for one in found])
    tracks, counts = np.unique(numbers[numbers != UNTRACKED], return_counts=True)
    sure = tracks[counts >= SURE_FRAMES]
    return [
        replace(one, scores=np.where(np.isin(one.tracks, sure), np.float32(1), one.scores))
        for one in found
    ]


def weak_labels(found: Sequence[Detections]) -> tuple[list[Detections], dict[str, int]]:
    """Labels for consecutive frames, and how many boxes each assertion changed.

    Args:
        found: What the detector found, boxes of one class from `LEAST_SCORE` on.
    """
    corrected, changed = correct(track(found), assertions())
    return trust_tracks(corrected), changed
