"""Pictures of nominated frames, and signals of nominated windows, as the queue keeps them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from connectors.codec import encode
from connectors.queue_pictures import detached, take_picture
from operators.retraining_settings import Candidate
from operators.retraining_value import HASH_SIZE, fingerprint
from records import Crop, RecordError, SourceError
from records.retraining import SIGNAL

if TYPE_CHECKING:
    from connectors.queue_pictures import PictureSettings
    from records import Pixels, Reading, RetrainingItem
    from records.finding import Box

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class FramePictures:
    """Keeps frames without their pixels being asked for, and makes pictures of those nominated.

    Attributes:
        settings: How pictures are made.
        bytes_at_most: How much the frames of one stream that wait may take, bytes.
    """

    settings: PictureSettings
    bytes_at_most: int

    def keep(self, pixels: Pixels) -> tuple[Pixels, int]:
        """A frame's pixels as they are to be kept, and how much they take, bytes."""
        return detached(pixels)

    def picture(self, pixels: Pixels, item: RetrainingItem, box: Box | None) -> Candidate | None:
        """The item with its picture; None when the pixels cannot be had any more."""
        try:
            made = take_picture(pixels, box, self.settings, HASH_SIZE)
        except (RecordError, SourceError) as error:
            _log.warning("no picture for the retraining queue", item=item.id, reason=str(error))
            return None
        kept = replace(item, crop=made.crop, fingerprint=fingerprint(made.luma))
        return Candidate(kept, made.data)


def keep_window(item: RetrainingItem, window: Reading) -> Candidate:
    """The item of a window with its samples."""
    data = encode(window)
    crop = Crop(SIGNAL, hashlib.sha256(data).hexdigest(), len(data))
    return Candidate(replace(item, crop=crop), data)
