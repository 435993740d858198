"""The one primitive of communication: from the regions that are held to those that are needed.

A need is filled by adding up its overlaps with every piece that is held. That serves new
partitions, halos, uneven parts, other devices, and sums that are split over devices, whose pieces
hold terms of the same region. Backwards, each piece takes up the gradients of its overlaps.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import distributed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from torch import Tensor

    from models.soap.regions import Box


@dataclass(frozen=True, slots=True)
class Piece:
    """A region of a tensor on a device.

    Attributes:
        tensor: Which tensor.
        box: Which region.
        device: Where.
    """

    tensor: str
    box: Box
    device: int


@dataclass(frozen=True, slots=True)
class _Overlap:
    """What a piece gives to a need: places among this rank's pieces and needs, and the region."""

    piece: int
    need: int
    box: Box


class Repartition:
    """One rank's share of an exchange. All ranks must build it from the same pieces and needs.

    Args:
        pieces: What is held. Pieces of the same tensor that overlap are terms of a sum.
        needs: What is needed; each must be covered by pieces.
        rank: This rank, a device of the pieces.

    Attributes:
        pieces: The pieces on this rank.
        needs: The needs on this rank.
        given: Where every need of this rank is just one of its own pieces, and it takes no part in
            messages: which piece each need is. Else None.
        elements_sent: Elements that `forward` sends from this rank.
        elements_received: Elements that it brings to this rank, and `backward` sends.
    """

    def __init__(self, pieces: Sequence[Piece], needs: Sequence[Piece], rank: int) -> None:
        self.pieces = tuple(piece for piece in pieces if piece.device == rank)
        self.needs = tuple(need for need in needs if need.device == rank)
        self._local: list[_Overlap] = []
        self._out: dict[int, list[_Overlap]] = defaultdict(list)
        self._in: dict[int, list[_Overlap]] = defaultdict(list)
        self.elements_sent = self.elements_received = 0
        by_tensor: dict[str, list[tuple[int, Piece]]] = defaultdict(list)
        for place, piece in _numbered(pieces):
            by_tensor[piece.tensor].append((place, piece))
        for to, need in _numbered(needs):
            for place, piece in by_tensor[need.tensor]:
                box = piece.box.intersect(need.box)
                if box is not None and rank in {piece.device, need.device}:
                    self._add(_Overlap(place, to, box), piece.device, need.device, rank)
        self.given = self._given()

    def forward(self, held: Sequence[Tensor], like: Tensor) -> list[Tensor]:
        """The needs on this rank.

        Args:
            held: This rank's pieces. They may come back as needs, and must not be changed.
            like: A tensor of their dtype and device.
        """
        return self.start(held, like)()

    def start(self, held: Sequence[Tensor], like: Tensor) -> Callable[[], list[Tensor]]:
        """Begin what `forward` does, and go on with other work meanwhile.

        Returns:
            What waits for the needs on this rank and gives them; to be called once.
        """
        if self.given is not None:
            needs = [held[piece] for piece in self.given]
            return lambda: needs
        outgoing = {
            peer: [held[o.piece][o.box.within(self.pieces[o.piece].box)] for o in overlaps]
            for peer, overlaps in self._out.items()
        }
        arrives = _exchange(outgoing, self._in, like)

        def finish() -> list[Tensor]:
            arrived: dict[int, list[tuple[Box, Tensor]]] = defaultdict(list)
            for o in self._local:
                values = held[o.piece][o.box.within(self.pieces[o.piece].box)]
                arrived[o.need].append((o.box, values))
            for o, values in arrives():
                arrived[o.need].append((o.box, values))
            return [_assemble(need.box, arrived[i], like) for i, need in enumerate(self.needs)]

        return finish

    def backward(self, gradients: Sequence[Tensor], like: Tensor) -> list[Tensor]:
        """The gradients of this rank's pieces, from those of its needs."""
        outgoing = {
            peer: [gradients[o.need][o.box.within(self.needs[o.need].box)] for o in overlaps]
            for peer, overlaps in self._in.items()
        }
        got = _exchange(outgoing, self._out, like)()
        arrived: dict[int, list[tuple[Box, Tensor]]] = defaultdict(list)
        for o in self._local:
            values = gradients[o.need][o.box.within(self.needs[o.need].box)]
            arrived[o.piece].append((o.box, values))
        for o, values in got:
            arrived[o.piece].append((o.box, values))
        return [_sum(piece.box, arrived[i], like) for i, piece in enumerate(self.pieces)]

    def _given(self) -> tuple[int, ...] | None:
        if self._out or self._in or len(self._local) != len(self.needs):
            return None
        pieces = {o.need: o.piece for o in self._local}
        same = all(self.pieces[o.piece].box == self.needs[o.need].box for o in self._local)
        whole = same and len(pieces) == len(self.needs)
        return tuple(pieces[need] for need in range(len(self.needs))) if whole else None

    def _add(self, overlap: _Overlap, giver: int, taker: int, rank: int) -> None:
        if giver == taker:
            self._local.append(overlap)
        elif giver == rank:
            self._out[taker].append(overlap)
            self.elements_sent += overlap.box.elements
        else:
            self._in[giver].append(overlap)
            self.elements_received += overlap.box.elements


def _numbered(pieces: Iterable[Piece]) -> Iterable[tuple[int, Piece]]:
    """Each piece with its place among the pieces of its device."""
    counts: dict[int, int] = defaultdict(int)
    for piece in pieces:
        yield counts[piece.device], piece
        counts[piece.device] += 1


def _exchange(
    outgoing: dict[int, list[Tensor]], incoming: dict[int, list[_Overlap]], like: Tensor
) -> Callable[[], list[tuple[_Overlap, Tensor]]]:
    """Send one message to each peer that takes, and receive one from each that gives.

    Returns:
        What waits for the messages and tells what arrived.
    """
    messages = {
        # What is alone and contiguous is sent from where it lies.
        peer: each[0].reshape(-1).contiguous()
        if len(each) == 1
        else torch.cat([values.reshape(-1) for values in each])
        for peer, each in sorted(outgoing.items())
    }
    buffers = {
        peer: like.new_empty(sum(o.box.elements for o in overlaps))
        for peer, overlaps in sorted(incoming.items())
    }
    requests = _post(messages, buffers)

    def finish() -> list[tuple[_Overlap, Tensor]]:
        for request in requests:
            request.wait()
        # Until here the messages must stay.
        messages.clear()
        got = []
        for peer, buffer in buffers.items():
            overlaps = incoming[peer]
            parts = buffer.split([o.box.elements for o in overlaps])
            got += [(o, part.reshape(o.box.shape)) for o, part in zip(overlaps, parts, strict=True)]
        return got

    return finish


def _post(messages: dict[int, Tensor], buffers: dict[int, Tensor]) -> list[distributed.Work]:
    """Start to send each message and to fill each buffer."""
    work = [distributed.P2POp(distributed.isend, m, peer) for peer, m in messages.items()]
    work += [distributed.P2POp(distributed.irecv, b, peer) for peer, b in buffers.items()]
    if work and distributed.get_backend() == "nccl":
        # One by one, NCCL would wait for a send before it posts the next receive.
        return distributed.batch_isend_irecv(work)
    # One by one, gloo takes a third less time.
    requests = (each.op(each.tensor, each.peer) for each in work)
    return [request for request in requests if request is not None]


def _assemble(box: Box, arrived: Sequence[tuple[Box, Tensor]], like: Tensor) -> Tensor:
    """A region from all that arrived of it, which covers it."""
    if sum(part.elements for part, _ in arrived) != box.elements:
        return _sum(box, arrived, like)
    # Parts that cover it and are no larger together do not overlap: nothing is to be added.
    if len(arrived) == 1:
        return arrived[0][1]
    total = like.new_empty(box.shape)
    for part, values in arrived:
        total[part.within(box)] = values
    return total


def _sum(box: Box, arrived: Sequence[tuple[Box, Tensor]], like: Tensor) -> Tensor:
    """A region from what arrived of it; what did not is zero."""
    if len(arrived) == 1 and arrived[0][0] == box:
        return arrived[0][1]
    total = like.new_zeros(box.shape)
    for part, values in arrived:
        total[part.within(box)] += values
    return total
