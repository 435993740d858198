"""Retraining items: frames and windows that are put aside to be labelled, and their labels."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from typing import TYPE_CHECKING

from records.checks import check_count, check_finite, check_name, check_time
from records.detections import Detections
from records.errors import RecordError

if TYPE_CHECKING:
    from records.finding import Box

PICTURE = "image/jpeg"
"""The content type of a crop that is a picture."""

SIGNAL = "application/msgpack"
"""The content type of a crop that is a Reading, as the codec writes it."""

MOST_FLAGS = 64
"""The most flags of one item."""

MOST_CROP_BYTES = 8 * 2**20
"""The largest crop, bytes."""

FINGERPRINT_BITS = 64
"""The bits of a picture's fingerprint."""

HUMAN = "human"
"""The source of labels that people gave."""

REFERENCE = "reference"
"""The source of labels that are the reference detector's answer."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_UNSAFE = re.compile(r"[^A-Za-z0-9]+")
_LONGEST_SLUG = 40
_NAME_BYTES = 8
_CORNERS = 4


class Origin(StrEnum):
    """Why an item was put aside: a finding, a mistake that the audit saw, or the random share."""

    ASSERTION = "assertion"
    AUDIT = "audit"
    RANDOM = "random"


@dataclass(frozen=True, slots=True)
class Flag:
    """What one finding says of an item.

    Attributes:
        assertion: The assertion's name.
        severity: The finding's severity, above 0.
        episode: The episode that the finding belongs to.
        model_wrong: Probability that the model is wrong; None while it is not calibrated.
    """

    assertion: str
    severity: float
    episode: str
    model_wrong: float | None = None

    def __post_init__(self) -> None:
        check_name("assertion", self.assertion)
        check_finite("severity", self.severity)
        if self.severity <= 0:
            raise RecordError(f"severity must be above 0, got {self.severity}")
        if not isinstance(self.episode, str) or not self.episode:
            raise RecordError(f"episode must be text, got {self.episode!r}")
        _check_probability("model_wrong", self.model_wrong)


@dataclass(frozen=True, slots=True)
class Label:
    """What is in an item: the boxes of a frame, or the class of a window.

    Attributes:
        source: Who says so: assertions, joined by "+", the reference detector or a person.
        boxes: What is in the frame, boxes in pixels of the full frame; None for a window.
        class_name: The class of a window; empty for a frame.
        probability: Of a weak label, that what the assertions changed is right; the rest is the
            model's own answer. None while that is not calibrated, and for other labels.

    Raises:
        RecordError: a field breaks its contract; the message names it.
    """

    source: str
    boxes: Detections | None = None
    class_name: str = ""
    probability: float | None = None

    def __post_init__(self) -> None:
        check_name("source", self.source)
        if self.boxes is not None and not isinstance(self.boxes, Detections):
            raise RecordError(f"boxes must be Detections or None, got {self.boxes!r}")
        if (self.boxes is None) == (self.class_name == ""):
            raise RecordError("a label must have either boxes or class_name")
        if self.boxes is None:
            check_name("class_name", self.class_name)
        _check_probability("probability", self.probability)


@dataclass(frozen=True, slots=True)
class Crop:
    """The picture or signal that is kept beside an item; its bytes travel apart from it.

    Attributes:
        content_type: `PICTURE` or `SIGNAL`.
        sha256: SHA-256 of its bytes, hexadecimal.
        length: Their number.
        width: Width of the picture, pixels; 0 for a signal.
        height: Height of the picture, pixels; 0 for a signal.
        region: The part of the frame that the picture shows, in pixels of the full frame; None
            for a signal.

    Raises:
        RecordError: a field breaks its contract; the message names it.
    """

    content_type: str
    sha256: str
    length: int
    width: int = 0
    height: int = 0
    region: Box | None = None

    def __post_init__(self) -> None:
        if self.content_type not in (PICTURE, SIGNAL):
            raise RecordError(
                f"content_type must be {PICTURE} or {SIGNAL}, got {self.content_type!r}"
            )
        if not isinstance(self.sha256, str) or not _SHA256.fullmatch(self.sha256):
            raise RecordError(f"sha256 must be 64 hexadecimal digits, got {self.sha256!r}")
        for name in ("length", "width", "height"):
            check_count(name, getattr(self, name))
        if not 0 < self.length <= MOST_CROP_BYTES:
            raise RecordError(f"length must be 1 to {MOST_CROP_BYTES} bytes, got {self.length}")
        pictured = self.content_type == PICTURE
        if (self.region is not None) != pictured or (self.width * self.height > 0) != pictured:
            raise RecordError("width, height and region must be given for a picture, and only then")
        if self.region is None:
            return
        if len(self.region) != _CORNERS:
            raise RecordError(f"region must be x1, y1, x2, y2, got {self.region!r}")
        for corner in self.region:
            check_finite("region", corner)
        if not (self.region[0] < self.region[2] and self.region[1] < self.region[3]):
            raise RecordError(f"region must have x1 < x2 and y1 < y2, got {self.region}")


@dataclass(frozen=True, slots=True)
class RetrainingItem:
    """One frame, or one window of a signal, that is worth a label.

    Attributes:
        stream: The stream's name.
        sequence: The number of the frame or window in the stream.
        time_ns: Its event time, nanoseconds since 1970 UTC.
        origins: Why it was put aside, each reason once, at least one.
        priority: How long it is kept when space is short, 0..1; the lowest leaves first.
        propensity: The probability with which it was put aside, above 0, at most 1: that of the
            draw for an item of the random share alone, 1 for one that a rule takes for sure. Its
            inverse is the item's weight in an unbiased estimate over all frames (Horvitz &
            Thompson, JASA 1952).
        flags: What findings say of it, the most severe first.
        uncertainty: How unsure the model was, 0..1.
        label: A weak label, or the reference's answer; None where there is none.
        crop: What is kept beside it; None for nothing.
        fingerprint: The picture's fingerprint, 64 bits; None without a picture.
        uri: Where the stream came from; with `sequence`, where the frame can be found again.
        model: The reference detector in force.
        configuration: SHA-256 of the configuration in force, hexadecimal.

    Raises:
        RecordError: a field breaks its contract; the message names it.

    >>> item = RetrainingItem("gate/1", 7, 700, (Origin.RANDOM,), priority=1.0, propensity=0.01)
    >>> item.id, item.name
    ('gate/1:7:700', 'gate_1-7-4eb8877874613371')
    """

    stream: str
    sequence: int
    time_ns: int
    origins: tuple[Origin, ...]
    priority: float
    propensity: float
    flags: tuple[Flag, ...] = ()
    uncertainty: float = 0.0
    label: Label | None = None
    crop: Crop | None = None
    fingerprint: int | None = None
    uri: str = ""
    model: str = ""
    configuration: str = ""

    def __post_init__(self) -> None:
        check_name("stream", self.stream)
        check_count("sequence", self.sequence)
        check_time("time_ns", self.time_ns)
        kinds = [one for one in self.origins if isinstance(one, Origin)]
        if not self.origins or len(set(kinds)) < len(self.origins):
            raise RecordError(f"origins must be different Origins, got {self.origins!r}")
        for name in ("priority", "uncertainty", "propensity"):
            check_finite(name, getattr(self, name))
            _check_probability(name, getattr(self, name))
        if self.propensity == 0:
            raise RecordError("propensity must be above 0, got 0")
        if len(self.flags) > MOST_FLAGS:
            raise RecordError(f"flags must be at most {MOST_FLAGS}, got {len(self.flags)}")
        if bool(self.flags) != (Origin.ASSERTION in self.origins):
            raise RecordError("flags must be there for the origin assertion, and only then")
        if self.fingerprint is not None:
            fits = isinstance(self.fingerprint, int) and self.fingerprint >> FINGERPRINT_BITS == 0
            if not fits:
                raise RecordError(f"fingerprint must have 64 bits, got {self.fingerprint!r}")

    @property
    def id(self) -> str:
        """The deterministic identity, ``stream:sequence:time_ns``.

        The time is part of it since a live stream counts its frames anew in each run.
        """
        return f"{self.stream}:{self.sequence}:{self.time_ns}"

    @property
    def name(self) -> str:
        """A name for files, as unique as the id: letters, digits, ``_`` and ``-`` only."""
        slug = _UNSAFE.sub("_", self.stream)[:_LONGEST_SLUG]
        digest = blake2b(self.id.encode("utf-8", "surrogatepass"), digest_size=_NAME_BYTES)
        return f"{slug}-{self.sequence}-{digest.hexdigest()}"


def _check_probability(name: str, value: float | None) -> None:
    if value is None:
        return
    check_finite(name, value)
    if not 0 <= value <= 1:
        raise RecordError(f"{name} must be in 0..1, got {value}")
