"""Tables of flat frames: what the cascade sees of them, and what a simulation needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from flows.evaluate.table import Table
from tests.support.pictures import TENTH_NS, Brightness, BrightnessScorer, Flat, SizeScorer

if TYPE_CHECKING:
    from collections.abc import Sequence


def flat_table(levels: Sequence[int], sizes: Sequence[int], group: int = 4) -> Table:
    """A table of flat frames of these grey levels and packet sizes, a keyframe every `group`."""
    n = len(levels)
    images = np.array([Flat(level).rgb(8, 8) for level in levels], np.uint8).reshape(n, 8, 8, 3)
    found = Brightness().detect(list(images))
    counts = np.array([answer.count("person") for answer in found], np.int64)
    coded_bytes = np.array(sizes, np.int64)
    flags = np.zeros(n, np.bool_)
    return Table(
        time_ns=np.arange(n) * TENTH_NS,
        coded_bytes=coded_bytes,
        keyframe=np.arange(n) % group == 0,
        reordered=flags,
        counts=counts,
        truth=counts >= 1,
        lumas=np.array([Flat(level).luma(96, 72) for level in levels], np.uint8).reshape(n, 72, 96),
        images=images,
        packet_scores=SizeScorer().score(coded_bytes, flags, flags),
        specialised_scores=BrightnessScorer().score(images),
    )
