"""The values around a retraining queue: what it takes, where items stand, what became of them."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from connectors.kafka.pictures import picture_size
from records import CodecError, Label, RecordError, RetrainingItem
from records.retraining import MOST_CROP_BYTES, PICTURE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Entry = tuple[RetrainingItem, bytes | None]
"""An item and the bytes of its crop; None without a crop."""

BAD_CROP = "bad_crop"
"""The reason of a refusal: the bytes are not those that the item's crop tells of."""

BUSY = "busy"
"""The reason of a refusal: another process was writing for too long."""

TOO_LARGE = "too_large"
"""The reason of a refusal: the item or its crop is larger than the limits."""


class ItemState(StrEnum):
    """Where an item stands."""

    WAITING = "waiting"
    EXPORTED = "exported"
    LABELLED = "labelled"


@dataclass(frozen=True, slots=True)
class StoredItem:
    """An item as it stands in the queue.

    Attributes:
        item: The item.
        state: Where it stands.
        added_ns: When it was added, by the wall clock, nanoseconds since 1970 UTC.
        label: The label that a person gave; None where there is none yet.
    """

    item: RetrainingItem
    state: ItemState
    added_ns: int
    label: Label | None = None


@dataclass(frozen=True, slots=True)
class QueueAdded:
    """What became of items that were added.

    Attributes:
        added: How many were new.
        known: The id of each that was there already.
        refused: The id of each that was refused, and the reason.
        evicted: How many items, old or new, had to leave, by reason and stream.
    """

    added: int = 0
    known: tuple[str, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()
    evicted: Mapping[tuple[str, str], int] = field(default_factory=dict)


def together(parts: Sequence[QueueAdded]) -> QueueAdded:
    """What became of several lots."""
    evicted: Counter[tuple[str, str]] = Counter()
    for part in parts:
        evicted.update(part.evicted)
    return QueueAdded(
        sum(part.added for part in parts),
        tuple(one for part in parts for one in part.known),
        tuple(one for part in parts for one in part.refused),
        dict(evicted),
    )


def check_crop(item: RetrainingItem, data: bytes | None) -> None:
    """Check that these bytes are the crop that an item tells of.

    Raises:
        CodecError: they are more than `MOST_CROP_BYTES`.
        RecordError: they are others, or there are none, or no picture of that size.
    """
    crop = item.crop
    if crop is None or data is None:
        if crop is not None or data is not None:
            raise RecordError(f"{item.id}: a crop must come with its bytes, and bytes with a crop")
        return
    if len(data) > MOST_CROP_BYTES:
        raise CodecError(f"{item.id}: a crop must be at most {MOST_CROP_BYTES} bytes")
    if len(data) != crop.length or hashlib.sha256(data).hexdigest() != crop.sha256:
        raise RecordError(f"{item.id}: the bytes must be those that the crop's SHA-256 tells of")
    if crop.content_type == PICTURE:
        size = picture_size(data, PICTURE)
        if size != (crop.width, crop.height):
            raise RecordError(
                f"{item.id}: the picture must be {crop.width} x {crop.height} pixels, got "
                f"{size[0]} x {size[1]}"
            )
