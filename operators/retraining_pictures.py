"""Pictures of nominated frames: the last seconds of each stream wait for what is nominated.

Frames are nominated after they have gone by, so they are kept for a while, with pixels that nobody
has converted yet. Only those that are nominated are asked for a picture. Memory is bounded by the
bytes of each stream; the oldest frame is let go of first, and an item whose frame is gone goes on
without a picture and is counted. No pixels survive a restart.

Frames must come before what is nominated of them: they do where nominations follow from verdicts
that follow from the same frames.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import bytewax.operators as op
from bytewax.dataflow import operator
from bytewax.operators import KeyedStream
from typing_extensions import override

from operators.keyed import KeyedLogic
from operators.retraining_settings import Candidate, Candidates, Dropped, Nominations
from records import FrameBatch

if TYPE_CHECKING:
    from records import Pixels, RetrainingItem
    from records.finding import Box

Shown = FrameBatch | Nominations
"""Frames, and what is nominated of them."""


class PictureTaker(Protocol):
    """Keeps frames, and makes pictures of those that are nominated."""

    @property
    def bytes_at_most(self) -> int:
        """How much the frames of one stream that wait may take, bytes."""

    def keep(self, pixels: Pixels) -> tuple[Pixels, int]:
        """A frame's pixels as they are to be kept, and how much they take, bytes."""

    def picture(self, pixels: Pixels, item: RetrainingItem, box: Box | None) -> Candidate | None:
        """The item with its picture; None when the pixels cannot be had any more.

        Args:
            pixels: What was kept.
            item: What is nominated of their frame.
            box: What that is about; None for the whole frame.
        """


@dataclass(slots=True)
class _Kept:
    """The pixels of one stream that wait, by sequence, the oldest first."""

    frames: dict[int, tuple[Pixels, int]] = field(default_factory=dict)
    bytes: int = 0

    def add(self, sequence: int, pixels: Pixels, size: int) -> None:
        self.frames[sequence] = pixels, size
        self.bytes += size

    def let_go(self, up_to: int, bytes_at_most: int) -> None:
        """Let go of the frames up to a sequence, and of more while there are too many bytes."""
        while self.frames:
            oldest = next(iter(self.frames))
            if oldest > up_to and self.bytes <= bytes_at_most:
                return
            self.bytes -= self.frames.pop(oldest)[1]


class RetrainingPictures(KeyedLogic[Shown, Candidates, None]):
    """The frames of some streams, and the pictures of those that are nominated.

    Args:
        taker: Makes the pictures.
    """

    def __init__(self, taker: PictureTaker) -> None:
        self._taker = taker
        self._streams: dict[str, _Kept] = {}

    @override
    def on_item(self, item: Shown) -> Candidates | None:
        """Keep frames, or join what is nominated with them; None when there is nothing to tell."""
        kept = self._streams.setdefault(item.stream, _Kept())
        if isinstance(item, FrameBatch):
            for frame in item.frames:
                kept.add(frame.sequence, *self._taker.keep(frame.pixels))
                kept.let_go(-1, self._taker.bytes_at_most)
            return None
        dropped = Counter(item.dropped)
        candidates = []
        for one in item.items:
            found = self._picture(kept, one, item.boxes.get(one.sequence))
            dropped[Dropped.NO_PICTURE] += found is None
            candidates.append(found or Candidate(one))
        if item.left is not None:
            kept.let_go(item.left[0], self._taker.bytes_at_most)
        if not candidates and not item.dropped:
            return None
        return Candidates(item.stream, tuple(candidates), dict(+dropped))

    @override
    def snapshot(self) -> None:
        """Nothing: frames do not survive a restart."""
        return

    def _picture(self, kept: _Kept, item: RetrainingItem, box: Box | None) -> Candidate | None:
        entry = kept.frames.get(item.sequence)
        return None if entry is None else self._taker.picture(entry[0], item, box)


@operator
def add_pictures(
    step_id: str,
    frames: KeyedStream[FrameBatch],
    nominated: KeyedStream[Nominations],
    taker: PictureTaker,
    shard_of: Callable[[str], str],
) -> KeyedStream[Candidates]:
    """Add their pictures to the nominations of each stream.

    Args:
        step_id: The step's name.
        frames: The frames, keyed by stream.
        nominated: What is nominated of them, keyed by stream.
        taker: Makes the pictures.
        shard_of: The shard of a stream, as for the cascade: frames stay in their process.
    """
    both: KeyedStream[Shown] = op.merge("both", frames, nominated)
    sharded = op.map("shards", both, lambda item: (shard_of(item[0]), item[1]))
    found = op.stateful_batch("pictures", sharded, lambda _: RetrainingPictures(taker).as_bytewax())
    return op.map("streams", found, lambda item: (item[1].stream, item[1]))
