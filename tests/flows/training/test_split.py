from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flows.training.split import Part, Split
from records import Origin, RetrainingItem
from records.units import NANOSECONDS

MINUTE_NS = 60 * NANOSECONDS


@given(st.floats(0.1, 0.8), st.integers(0, 2**40), st.text(min_size=1, max_size=20))
def test_each_part_has_its_share_wherever_a_stream_begins(
    share: float, first: int, stream: str
) -> None:
    split = Split(share, 60.0, seed=3)
    parts = [split.part(stream, (first + k) * MINUTE_NS) for k in range(200)]
    counts = np.bincount(parts, minlength=3) / 200
    np.testing.assert_allclose(counts, [1 - share, share / 2, share / 2], atol=0.03)


def test_a_block_has_one_part_and_the_seed_decides_it() -> None:
    split = Split(0.4, 60.0)
    inside = {split.part("gate", 7 * MINUTE_NS + k * NANOSECONDS) for k in range(60)}
    assert len(inside) == 1
    times = [k * MINUTE_NS for k in range(50)]
    mine = [split.part("gate", one) for one in times]
    assert mine != [split.part("till", one) for one in times]
    assert mine != [Split(0.4, 60.0, seed=1).part("gate", one) for one in times]
    assert set(mine) == set(Part)


def test_blocks_are_numbered_without_a_gap() -> None:
    split = Split(0.4, 60.0)
    items = [
        RetrainingItem(stream, 0, minute * MINUTE_NS, (Origin.RANDOM,), 1.0, 0.5)
        for stream, minute in (("a", 0), ("a", 5), ("b", 5), ("a", 5))
    ]
    blocks = split.blocks(items)
    assert sorted(set(blocks.tolist())) == [0, 1, 2]
    assert blocks[1] == blocks[3]
    assert split.parts(items).tolist() == [split.part(one.stream, one.time_ns) for one in items]
