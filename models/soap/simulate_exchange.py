"""One exchange of all devices, counted: what `repartition.Repartition` moves for each of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.soap.buckets import ring

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from models.soap.buckets import Devices, Message
    from models.soap.regions import Box


@dataclass(frozen=True, slots=True)
class Holding:
    """A region that one device holds or needs.

    Attributes:
        owner: Which node computes it, or which parameter it is of.
        part: Which part of the node computes it; 0 for parameters and for needs.
        box: The region.
        device: The device.
    """

    owner: str
    part: int
    box: Box
    device: int


@dataclass(frozen=True, slots=True)
class Exchange:
    """One exchange, of all devices.

    Attributes:
        pieces: What is held.
        needs: What is needed; parts on one device that need the same share it.
        readers: For each of these, which node and which of its parts reads it.
        overlaps: Piece, need, and elements that they have in common.
        messages: What goes from device to device.
        held: By device, the bytes of its pieces.
        needed: By device, the bytes of its needs.
        received: By device, the bytes of needs that are not views of its own pieces.
        gathered: By device, the bytes of needs that are put together of several overlaps.
        scattered: By device, the bytes of pieces whose gradients are.
        trained: Whether gradients go back.
        element_bytes: Bytes of an element.
        shared: The devices that hold it whole and add up its gradients: see `buckets`.
    """

    pieces: tuple[Holding, ...]
    needs: tuple[Holding, ...]
    readers: tuple[tuple[tuple[str, int], ...], ...]
    overlaps: tuple[tuple[int, int, int], ...]
    messages: tuple[Message, ...]
    held: Mapping[int, int]
    needed: Mapping[int, int]
    received: Mapping[int, int]
    gathered: Mapping[int, int]
    scattered: Mapping[int, int]
    trained: bool
    element_bytes: int
    shared: Devices = ()

    @property
    def there_and_back(self) -> tuple[Message, ...]:
        """What moves in a step, with gradients."""
        if self.shared:
            return ring(self.pieces[0].box.elements, self.shared, self.element_bytes)
        back = tuple((dst, src, size) for src, dst, size in self.messages if self.trained)
        return (*self.messages, *back)


def count_shared(
    devices: Devices, needs: Mapping[Holding, Sequence[tuple[str, int]]], element_bytes: int
) -> Exchange:
    """Count a parameter that devices share: nothing moves but gradients, in buckets."""
    pieces = tuple(needs)
    held = _by_device(pieces, range(len(pieces)), element_bytes)
    return Exchange(
        pieces=pieces,
        needs=pieces,
        readers=tuple(tuple(needs[need]) for need in pieces),
        overlaps=tuple((i, i, piece.box.elements) for i, piece in enumerate(pieces)),
        messages=(),
        held=held,
        needed=held,
        received={},
        gathered={},
        scattered={},
        trained=True,
        element_bytes=element_bytes,
        shared=devices,
    )


def count(
    pieces: Sequence[Holding],
    needs: Mapping[Holding, Sequence[tuple[str, int]]],
    *,
    trained: bool,
    element_bytes: int,
) -> Exchange:
    """Count an exchange, as `repartition.Repartition` would carry it out."""
    wanted = list(needs)
    common: list[tuple[int, int, int]] = []
    for owner in dict.fromkeys(need.owner for need in wanted):
        held = [i for i, piece in enumerate(pieces) if piece.owner == owner]
        asked = [i for i, need in enumerate(wanted) if need.owner == owner]
        sizes = overlap_sizes([pieces[i].box for i in held], [wanted[i].box for i in asked])
        for i, j in zip(*np.nonzero(sizes), strict=True):
            common.append((held[i], asked[j], int(sizes[i, j])))
    messages: dict[tuple[int, int], int] = defaultdict(int)
    for piece, need, elements in common:
        giver, taker = pieces[piece].device, wanted[need].device
        if giver != taker:
            messages[giver, taker] += elements * element_bytes
    own = {
        need
        for piece, need, elements in common
        if pieces[piece].device == wanted[need].device and elements == wanted[need].box.elements
    }
    gathered = _assembled(wanted, [(need, elements) for _, need, elements in common])
    scattered = _assembled(pieces, [(piece, elements) for piece, _, elements in common])
    received = [i for i in range(len(wanted)) if i not in own or i in gathered]
    return Exchange(
        pieces=tuple(pieces),
        needs=tuple(wanted),
        readers=tuple(tuple(needs[need]) for need in wanted),
        overlaps=tuple(common),
        messages=tuple((*ends, size) for ends, size in sorted(messages.items())),
        held=_by_device(pieces, range(len(pieces)), element_bytes),
        needed=_by_device(wanted, range(len(wanted)), element_bytes),
        received=_by_device(wanted, received, element_bytes),
        gathered=_by_device(wanted, gathered, element_bytes),
        scattered=_by_device(pieces, scattered, element_bytes),
        trained=trained,
        element_bytes=element_bytes,
    )


def overlap_sizes(first: Sequence[Box], second: Sequence[Box]) -> NDArray[np.int64]:
    """How many elements each box has in common with each other one, (first, second)."""
    if not first or not second:
        return np.zeros((len(first), len(second)), np.int64)
    axes = len(first[0].ranges)
    a = np.array([box.ranges for box in first], np.int64).reshape(len(first), 1, axes, 2)
    b = np.array([box.ranges for box in second], np.int64).reshape(1, len(second), axes, 2)
    low, high = np.maximum(a[..., 0], b[..., 0]), np.minimum(a[..., 1], b[..., 1])
    sizes: NDArray[np.int64] = np.maximum(high - low, 0).prod(axis=2)
    return sizes


def _assembled(holdings: Sequence[Holding], overlaps: Sequence[tuple[int, int]]) -> set[int]:
    """Which regions are put together of several overlaps, or of one that does not fill them."""
    times = Counter(i for i, _ in overlaps)
    return {i for i, size in overlaps if times[i] > 1 or size != holdings[i].box.elements}


def _by_device(
    holdings: Sequence[Holding], chosen: Iterable[int], element_bytes: int
) -> dict[int, int]:
    """The bytes of chosen regions by device."""
    sizes: dict[int, int] = defaultdict(int)
    for i in chosen:
        sizes[holdings[i].device] += holdings[i].box.elements * element_bytes
    return dict(sizes)
