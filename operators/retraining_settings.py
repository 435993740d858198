"""How items are nominated and admitted to the retraining queue, and what passes between."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from records import RecordError
from records.checks import check_count, check_name
from records.retraining import FINGERPRINT_BITS
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from records import RetrainingItem
    from records.finding import Box


class Dropped(StrEnum):
    """Why something that was found led to no item.

    LATE: the frame had left before the finding came. EPISODE_FULL: enough of its episode were
    admitted. NEAR_DUPLICATE: a picture much like it was. NO_PICTURE: its picture, or signal, was
    not to be had any more; the item itself is there.
    """

    LATE = "late"
    EPISODE_FULL = "episode_full"
    NEAR_DUPLICATE = "near_duplicate"
    NO_PICTURE = "no_picture"


@dataclass(frozen=True, slots=True)
class NominationSettings:
    """Which frames are nominated.

    Attributes:
        random_seconds: The random share draws one frame in each cell of so many seconds of event
            time; 0 draws none.
        hold_seconds: How long frames wait for findings about them, seconds of event time; at least
            the longest window of the assertions. 0 for flows without assertions: frames wait for
            nothing.
        most_held: The most frames of one stream that wait; the oldest then waits no more.
        most_places: A finding whose correction changes several frames nominates so many of them,
            evenly spread.
        clear_seconds: An episode ends when nothing was found for so long, seconds.
        ignored: The assertions that nominate nothing: those about the input, for pictures of a
            faulty camera teach a model nothing.
        seed: Of the random share.
        uris: Where each stream comes from, for the items.
        model: The reference detector, for the items.
        configuration: SHA-256 of the configuration, for the items.

    Raises:
        RecordError: a setting is out of its range.
    """

    random_seconds: float = 600.0
    reference_seconds: float = 0.0
    hold_seconds: float = 3.0
    most_held: int = 10_000
    most_places: int = 3
    clear_seconds: float = 5.0
    ignored: frozenset[str] = frozenset()
    seed: int = 0
    uris: Mapping[str, str] = field(default_factory=dict)
    model: str = ""
    configuration: str = ""

    def __post_init__(self) -> None:
        for name in ("random_seconds", "reference_seconds", "hold_seconds"):
            if not 0 <= getattr(self, name) < math.inf:
                raise RecordError(f"{name} must be at least 0, got {getattr(self, name)}")
        for name in ("random_seconds", "reference_seconds"):
            if 0 < getattr(self, name) < 1 / NANOSECONDS:
                raise RecordError(f"{name} must be 0 or at least 1e-09, got {getattr(self, name)}")
        for name in ("most_held", "most_places"):
            if getattr(self, name) < 1:
                raise RecordError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not self.clear_seconds > 0:
            raise RecordError(f"clear_seconds must be above 0, got {self.clear_seconds}")
        for assertion in self.ignored:
            check_name("ignored", assertion)
        check_count("seed", self.seed)


@dataclass(frozen=True, slots=True)
class Nominations:
    """The frames that are nominated.

    Attributes:
        stream: The stream's name.
        items: One for each frame, in order; without crop and fingerprint, and with the probability
            of the random draw as propensity where they were drawn.
        dropped: What was found and nominated nothing, by reason.
        left: Sequence and event time of the last frame that left: nothing up to there will be
            nominated any more. None before the first.
        boxes: What the findings of an item are about, by its sequence: corners x1, y1, x2, y2,
            pixels of the full frame. None are there for the whole frame.
    """

    stream: str
    items: tuple[RetrainingItem, ...]
    dropped: Mapping[Dropped, int] = field(default_factory=dict)
    left: tuple[int, int] | None = None
    boxes: Mapping[int, Box] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AdmissionSettings:
    """Which nominated items are admitted. The random share is always.

    Attributes:
        most_per_episode: The most items of one episode.
        near_bits: A picture whose fingerprint differs in at most so many bits from that of one of
            the last items that a rule admitted is a near-duplicate, 0..64; -1 drops none.
        remembered: How many fingerprints and episodes of a stream are remembered.

    Raises:
        RecordError: a setting is out of its range.
    """

    most_per_episode: int = 3
    near_bits: int = 4
    remembered: int = 1000

    def __post_init__(self) -> None:
        for name in ("most_per_episode", "remembered"):
            if getattr(self, name) < 1:
                raise RecordError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not -1 <= self.near_bits <= FINGERPRINT_BITS:
            raise RecordError(f"near_bits must be -1 to {FINGERPRINT_BITS}, got {self.near_bits}")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A nominated item with what the flow has kept of its frame.

    Attributes:
        item: The item, with crop and fingerprint where there is a picture.
        data: The bytes of the crop; None without one.
    """

    item: RetrainingItem
    data: bytes | None = None


@dataclass(frozen=True, slots=True)
class Candidates:
    """What is to be admitted, or was.

    Attributes:
        stream: The stream's name.
        candidates: In order of sequence.
        dropped: What was not admitted, by reason.
    """

    stream: str
    candidates: tuple[Candidate, ...]
    dropped: Mapping[Dropped, int] = field(default_factory=dict)
