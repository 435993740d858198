"""Boxes of indices and their algebra, against sets of indices."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from models.soap.ownership import SMALLEST_SHARE, owners
from models.soap.regions import Box, cells, even_cuts, grid, halo, segments
from models.soap.shapes import axis_groups

if TYPE_CHECKING:
    from models.soap.regions import Range, Shape


def ranges(size: int = 6) -> st.SearchStrategy[Range]:
    edges = st.tuples(st.integers(0, size), st.integers(0, size))
    return edges.map(lambda pair: (min(pair), max(pair)))


boxes = st.tuples(ranges(), ranges()).map(Box)


def indices(box: Box) -> set[tuple[int, ...]]:
    return set(itertools.product(*(range(*r) for r in box.ranges)))


@given(boxes, boxes)
def test_boxes_are_sets_of_indices(first: Box, second: Box) -> None:
    both = first.intersect(second)
    assert (set() if both is None else indices(both)) == indices(first) & indices(second)
    assert first.holds(second) == (indices(second) <= indices(first))
    assert first.elements == len(indices(first))
    if both is not None:
        where = both.within(first)
        assert [s.stop - s.start for s in where] == list(both.shape)
        assert [s.start + r[0] for s, r in zip(where, first.ranges, strict=True)] == [
            r[0] for r in both.ranges
        ]


def test_a_scalar_is_one_element() -> None:
    scalar = Box(())
    assert scalar.elements == 1
    assert scalar.intersect(scalar) == scalar
    assert cells((), []) == (scalar,)


@given(st.lists(boxes, max_size=4))
def test_cells_are_the_tensor_cut_at_every_edge(found: list[Box]) -> None:
    whole = Box.whole((6, 6))
    parts = cells((6, 6), found)
    assert sorted(itertools.chain(*(indices(part) for part in parts))) == sorted(indices(whole))
    for box, part in itertools.product(found, parts):
        assert box.intersect(part) in (None, part)


@given(st.integers(1, 40), st.integers(1, 12))
def test_even_cuts_differ_by_one(size: int, parts: int) -> None:
    sizes = [stop - start for start, stop in segments(size, even_cuts(size, parts))]
    assert len(sizes) == min(size, parts)
    assert sum(sizes) == size
    assert max(sizes) - min(sizes) <= 1


@given(
    st.integers(1, 12), st.integers(1, 4), st.integers(1, 4), st.integers(0, 3),
    st.integers(1, 3), st.data(),
)  # fmt: skip
def test_halos_are_what_windows_read(
    size: int, kernel: int, stride: int, padding: int, dilation: int, data: st.DataObject
) -> None:
    outputs = (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    if outputs < 1:
        return
    start = data.draw(st.integers(0, outputs - 1))
    stop = data.draw(st.integers(start + 1, outputs))
    read = [
        output * stride - padding + dilation * tap
        for output in range(start, stop)
        for tap in range(kernel)
    ]
    (first, last), (before, behind) = halo((start, stop), size, kernel, stride, padding, dilation)
    assert before + last - first + behind == max(read) - min(read) + 1
    inside = [place for place in read if 0 <= place < size]
    if inside:
        assert first <= min(inside)
        assert max(inside) < last
        assert before == max(0, -min(read))
    assert 0 <= first <= last <= size


@given(st.lists(st.sampled_from([1, 2, 3]), max_size=4), st.data())
def test_axes_are_grouped_by_their_elements(sizes: list[int], data: st.DataObject) -> None:
    joined = list(sizes)
    while len(joined) > 1 and data.draw(st.booleans()):
        place = data.draw(st.integers(0, len(joined) - 2))
        joined[place : place + 2] = [joined[place] * joined[place + 1]]
    groups = axis_groups(tuple(sizes), tuple(joined))
    assert list(itertools.chain(*(into for into, _ in groups))) == list(range(len(sizes)))
    assert list(itertools.chain(*(out for _, out in groups))) == list(range(len(joined)))


shapes = st.sampled_from([(7,), (70, 60), (5, 40, 30), ()])


@given(shapes, st.data(), st.integers(0, 9))
def test_every_element_has_one_owner_that_uses_it(
    shape: Shape, data: st.DataObject, turn: int
) -> None:
    box = st.tuples(*(ranges(size) for size in shape)).map(Box)
    uses = data.draw(st.lists(st.tuples(box, st.integers(0, 3)), max_size=4))
    found = owners(shape, uses, turn)
    assert sum(part.elements for part, _ in found) == Box.whole(shape).elements
    for (first, _), (second, _) in itertools.combinations(found, 2):
        assert first.intersect(second) is None
    for part, owner in found:
        users = {device for used, device in uses if used.holds(part)}
        assert owner in (users or {0})


def test_devices_that_share_a_large_parameter_keep_equal_parts_of_it() -> None:
    shape = (4, SMALLEST_SHARE)
    whole = Box.whole(shape)
    got = owners(shape, [(whole, 2), (whole, 0), (whole, 1)])
    widths = segments(SMALLEST_SHARE, even_cuts(SMALLEST_SHARE, 3))
    assert got == [(box, i) for i, box in enumerate(grid([[(0, 4)], widths]))]
