"""The difference detector: has the picture changed enough to ask the next stage?

NoScope (Kang et al., VLDB 2017), section 5: the mean squared error between a frame and a reference
image, on a small image, over the whole image or over a grid of blocks. The reference image is

- *fired*: the last frame that fired, so that a slow change adds up until it fires;
- *earlier*: the frame that was shown so many seconds earlier;
- *background*: a running average of frames that are known to be empty.

A frame that does not fire is *quiet*. Against an earlier frame it takes that frame's answer;
against the background it is empty. (The released NoScope code says "nothing there" in both cases,
and parked objects vanish.)
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from operators.images import LARGEST_ERROR, block_errors, keep_mask, match_exposure
from records import RecordError
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from records import Frame

MOST_PIXELS_A_SIDE = 1024
"""The largest side of the compared image, pixels; a larger one would cost more than it tells."""

MOST_BLOCKS = 64
"""The most blocks along one side of the image."""

MOST_EARLIER = 4096
"""The most frames that are remembered to be compared with later."""

Against = Literal["fired", "earlier", "background"]
"""What a frame is compared with."""


@dataclass(frozen=True, slots=True)
class DifferenceSettings:
    """How the difference detector compares frames.

    Attributes:
        threshold: Fire when the score is above this. The score is the mean squared error, squared
            grey levels (0..65025); with blocks the largest of any block, or with weights their
            logistic score, 0..1.
        width: Width of the compared image, pixels.
        height: Height of the compared image, pixels.
        hold_seconds: Fire at the latest this long after the last frame that fired, in seconds of
            event time, however quiet the picture is; ``inf`` never does.
        against: What a frame is compared with.
        earlier_seconds: With ``earlier``: how much earlier, seconds of event time.
        background_rate: With ``background``: the share of a new empty frame in the average, 0..1.
        blocks: Blocks along each side of the image; 0 compares it as a whole.
        weights: One weight a block, row by row, and a last one alone (the bias), of a logistic
            model of "the answer changed" (section 5); empty takes the largest block.
        exposure: Whether gain and offset of the frame are matched to the reference first, so that
            a jump of the exposure does not fire.
        masks: Polygons that are left out, corners (x, y) in shares of the frame, 0..1.

    Raises:
        RecordError: a setting is out of its range.
    """

    threshold: float = 5.0
    width: int = 96
    height: int = 72
    hold_seconds: float = 5.0
    against: Against = "fired"
    earlier_seconds: float = 1.0
    background_rate: float = 0.05
    blocks: int = 0
    weights: tuple[float, ...] = ()
    exposure: bool = False
    masks: tuple[tuple[tuple[float, float], ...], ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= LARGEST_ERROR:
            raise RecordError(f"threshold must be in 0..{LARGEST_ERROR:.0f}, got {self.threshold}")
        for field in ("width", "height"):
            if not 1 <= getattr(self, field) <= MOST_PIXELS_A_SIDE:
                raise RecordError(
                    f"{field} must be in 1..{MOST_PIXELS_A_SIDE} pixels, got {getattr(self, field)}"
                )
        for field in ("hold_seconds", "earlier_seconds"):
            if not getattr(self, field) > 0:
                raise RecordError(f"{field} must be above 0, got {getattr(self, field)}")
        if self.against not in get_args(Against):
            choice = ", ".join(get_args(Against))
            raise RecordError(f"against must be one of {choice}, got {self.against!r}")
        if not 0 < self.background_rate <= 1:
            raise RecordError(f"background_rate must be in 0..1, got {self.background_rate}")
        self._check_blocks()

    def _check_blocks(self) -> None:
        most = min(self.width, self.height, MOST_BLOCKS)
        if not 0 <= self.blocks <= most:
            raise RecordError(f"blocks must be in 0..{most}, got {self.blocks}")
        want = self.blocks**2 + 1
        if self.weights and (not self.blocks or len(self.weights) != want):
            raise RecordError(f"weights must be {want} with blocks, got {len(self.weights)}")

    def to_json(self) -> dict[str, Any]:
        """The settings as plain JSON values; JSON knows no infinity, so it is null there."""
        hold = None if math.isinf(self.hold_seconds) else self.hold_seconds
        masks = [[[x, y] for x, y in mask] for mask in self.masks]
        own = {"hold_seconds": hold, "weights": list(self.weights), "masks": masks}
        return {**asdict(self), **own}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> DifferenceSettings:
        """The settings of `to_json`'s values.

        Raises:
            KeyError, RecordError, TypeError, ValueError: they are no settings.

        >>> settings = DifferenceSettings(hold_seconds=math.inf, masks=(((0, 0), (1, 0), (0, 1)),))
        >>> DifferenceSettings.from_json(settings.to_json()) == settings
        True
        """
        hold = value["hold_seconds"]
        return cls(
            **{
                **value,
                "hold_seconds": math.inf if hold is None else hold,
                "weights": tuple(value["weights"]),
                "masks": tuple(tuple((x, y) for x, y in mask) for mask in value["masks"]),
            }
        )


@dataclass(frozen=True, slots=True)
class Screened:
    """What the difference detector says of a frame.

    Attributes:
        score: Its score; see `DifferenceSettings.threshold`.
        copy_of: The sequence of the frame whose answer it takes; None when it takes no answer.
        empty: Whether it is quiet against the background, and so has nothing in it.
    """

    score: float
    copy_of: int | None = None
    empty: bool = False

    @property
    def fired(self) -> bool:
        """Whether the next stage must be asked."""
        return self.copy_of is None and not self.empty


@dataclass(frozen=True, slots=True)
class Reference:
    """An image that frames are compared with.

    Attributes:
        luma: float32 (height, width), grey levels.
        sequence: The frame it was taken from; the newest of an average.
        time_ns: That frame's event time, nanoseconds.
    """

    luma: NDArray[np.float32]
    sequence: int
    time_ns: int


@dataclass(frozen=True, slots=True)
class DifferenceState:
    """What survives a restart. The references are never changed once made.

    Attributes:
        references: The frames that are remembered, oldest first; one unless ``earlier``.
        fired_ns: Event time of the last frame that fired, nanoseconds; None before the first.
    """

    references: tuple[Reference, ...] = ()
    fired_ns: int | None = None


class DifferenceDetector:
    """The difference detector of one stream: a state machine over its frames, in order.

    Args:
        settings: How it compares.
        resume: The state to go on from; None at a new start.
    """

    def __init__(self, settings: DifferenceSettings, resume: DifferenceState | None = None) -> None:
        self._settings = settings
        self._state = resume or DifferenceState()
        size = (settings.height, settings.width)
        self._keep = keep_mask(settings.masks, size) if settings.masks else None

    def snapshot(self) -> DifferenceState:
        """The state to go on from after a restart; it is never changed afterwards."""
        return self._state

    def screen(self, frame: Frame) -> Screened:
        """Compare the next frame."""
        settings, state = self._settings, self._state
        luma = self._luma(frame)
        reference = self._reference(frame)
        score = LARGEST_ERROR if reference is None else self.score(luma, reference.luma)
        overdue = state.fired_ns is None or self._overdue(frame, state.fired_ns)
        quiet = reference is not None and score <= settings.threshold and not overdue
        references = state.references
        if settings.against == "earlier":
            references = (*references, Reference(luma, frame.sequence, frame.time_ns))
            references = references[-MOST_EARLIER:]
        elif settings.against == "fired" and not quiet:
            references = (Reference(luma, frame.sequence, frame.time_ns),)
        self._state = DifferenceState(references, state.fired_ns if quiet else frame.time_ns)
        if not quiet or reference is None:
            return Screened(score)
        if settings.against == "background":
            return Screened(score, empty=True)
        return Screened(score, copy_of=reference.sequence)

    def learn_empty(self, frame: Frame) -> None:
        """Take a frame that is known to be empty into the background."""
        if self._settings.against != "background":
            return
        luma, rate = self._luma(frame), self._settings.background_rate
        if self._state.references:
            luma = self._state.references[-1].luma * (1 - rate) + luma * rate
        reference = Reference(luma, frame.sequence, frame.time_ns)
        self._state = DifferenceState((reference,), self._state.fired_ns)

    def score(self, luma: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
        """The score of one image against another, both float32 (height, width)."""
        settings = self._settings
        if settings.exposure:
            luma = match_exposure(luma, reference)
        change = luma - reference
        if not settings.blocks and self._keep is None:
            flat = change.ravel()
            return float(np.dot(flat, flat)) / flat.size
        errors = change * change
        if self._keep is not None:
            errors = errors * self._keep
        if not settings.blocks:
            return float(errors.mean())
        blocks = block_errors(errors, settings.blocks)
        if not settings.weights:
            return float(blocks.max())
        logit = float(np.dot(blocks, settings.weights[:-1])) + settings.weights[-1]
        return 1 / (1 + math.exp(-max(min(logit, 500.0), -500.0)))

    def _luma(self, frame: Frame) -> NDArray[np.float32]:
        return frame.pixels.luma(self._settings.width, self._settings.height).astype(np.float32)

    def _reference(self, frame: Frame) -> Reference | None:
        """What a frame is compared with; None when there is nothing yet."""
        references = self._state.references
        if self._settings.against != "earlier":
            return references[-1] if references else None
        latest_ns = frame.time_ns - self._settings.earlier_seconds * NANOSECONDS
        found = None
        for place, reference in enumerate(references):
            if reference.time_ns > latest_ns:
                break
            found = place
        if found is None:
            return None
        self._state = DifferenceState(references[found:], self._state.fired_ns)
        return references[found]

    def _overdue(self, frame: Frame, fired_ns: int) -> bool:
        if math.isinf(self._settings.hold_seconds):
            return False
        return frame.time_ns - fired_ns >= self._settings.hold_seconds * NANOSECONDS
