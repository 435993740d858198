"""What a packet tells of its frame without being decoded, and the order frames are shown in."""

from __future__ import annotations

import heapq
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from connectors.video.damage import Damage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from av.packet import Packet
    from av.stream import Stream

    from connectors.video.demand import OnDemandDecoder
    from connectors.video.demand_pixels import OnDemandPixels
    from connectors.video.pixels import AvPixels

MOST_REORDERED = 16
"""How many packets may be coded before a frame and shown after it: the limit of H.264 and HEVC."""

LOOK_AHEAD = 32
"""How many packets of a file are read beyond the frame that is handed out.

A decoder holds frames back until it has seen what follows them; with the packets that follow at
hand it need not be drained, which would make it begin anew at the keyframe.
"""


class Coding(NamedTuple):
    """How a frame is coded.

    Attributes:
        coded_bytes: The size of its packet, bytes.
        keyframe: Whether it is coded by itself.
        reordered: Whether it is shown before a frame of its group that was coded earlier.
    """

    coded_bytes: int = 0
    keyframe: bool = False
    reordered: bool = False


class Picture(NamedTuple):
    """A frame as a container gives it, decoded or not.

    Attributes:
        ticks: Presentation time in the container's ticks; None where it has none.
        number: Its place in the order of coding; 0 where that is not kept.
        duration: How long it is shown, ticks; None or 0 where that is unknown.
        coding: How it is coded.
        pixels: Its pixels.
    """

    ticks: int | None
    number: int
    duration: int | None
    coding: Coding
    pixels: AvPixels | OnDemandPixels


class CodingReader:
    """Reads how frames are coded from packets in the order of coding.

    A frame is reordered when a packet since the last keyframe, which counts, is shown later.
    """

    def __init__(self) -> None:
        self._latest: int | None = None

    def read(self, packet: Packet[Stream]) -> Coding:
        """How the next packet is coded."""
        ticks, keyframe, latest = packet.pts, packet.is_keyframe, self._latest
        reordered = False
        if keyframe or latest is None:
            self._latest = ticks
        elif ticks is not None:
            reordered = ticks < latest
            if not reordered:
                self._latest = ticks
        return Coding(packet.size, keyframe, reordered)


class PresentationOrder:
    """Puts pictures that come in the order of coding into the order of presentation.

    A picture goes out as soon as none that is still to come can be shown before it: when a
    packet's decoding time reaches its presentation time. Then the decoder can give it, too.

    Args:
        look_ahead: How many pictures more to hold back.
    """

    def __init__(self, look_ahead: int) -> None:
        self._look_ahead = look_ahead
        self._held: list[Picture] = []
        self._ready: deque[Picture] = deque()

    def push(self, picture: Picture, decoding_ticks: int | None) -> Iterator[Picture]:
        """Take the next picture; the ones whose turn has come."""
        held, ready = self._held, self._ready
        if picture.coding.keyframe and held:
            # Nothing before a keyframe is shown after it: where the times say so, they begin anew.
            anew = max(map(_ticks, held)) >= _ticks(picture)
            while held and (anew or decoding_ticks is None):
                ready.append(heapq.heappop(held))
        heapq.heappush(held, picture)
        if decoding_ticks is not None:
            while held and _ticks(held[0]) <= decoding_ticks:
                ready.append(heapq.heappop(held))
        while len(held) > MOST_REORDERED:
            ready.append(heapq.heappop(held))
        while len(ready) > self._look_ahead:
            yield ready.popleft()

    def rest(self) -> Iterator[Picture]:
        """Everything that is left, at the end."""
        while self._ready:
            yield self._ready.popleft()
        while self._held:
            yield heapq.heappop(self._held)


class Undecoded:
    """Makes pictures of packets without decoding them.

    Args:
        decoder: Gets the packets, and decodes those that are asked for.
        codes_in_order: Whether every frame is coded in its turn of being shown.
        live: Hands pictures out at once, and takes it for granted to join between two keyframes.
    """

    def __init__(self, decoder: OnDemandDecoder, *, codes_in_order: bool, live: bool) -> None:
        self._decoder = decoder
        self._codes_in_order = codes_in_order
        self._live = live
        self._coding = CodingReader()

    def pictures(self, packets: Iterable[Packet[Stream] | Damage]) -> Iterator[Picture | Damage]:
        """The pictures of these packets in order of presentation, and the damage."""
        order = PresentationOrder(0 if self._live else LOOK_AHEAD)
        for number, packet in enumerate(packets):
            item = packet if isinstance(packet, Damage) else self._picture(packet, number)
            if isinstance(item, Picture):
                assert not isinstance(packet, Damage), "damage makes no picture"
                yield from order.push(item, packet.dts)
            elif item is not None:
                yield item
        yield from order.rest()

    def _picture(self, packet: Packet[Stream], number: int) -> Picture | Damage | None:
        if packet.is_corrupt:
            return Damage("corrupt_packet")
        ticks = shown_ticks(packet, codes_in_order=self._codes_in_order)
        if ticks is None:
            return Damage("no_time", 1, "packets that do not tell when their frame is shown")
        coding = self._coding.read(packet)
        pixels = self._decoder.add(packet, ticks)
        if packet.is_discard:
            return None
        if pixels is None:
            joined = Damage("no_frame", 1, "packets before the first keyframe")
            return None if self._live else joined
        return Picture(ticks, number, packet.duration, coding, pixels)


def shown_ticks(packet: Packet[Stream], *, codes_in_order: bool) -> int | None:
    """When the frame of a packet is shown, ticks; None when the packet does not tell."""
    return packet.dts if packet.pts is None and codes_in_order else packet.pts


def _ticks(picture: Picture) -> int:
    assert picture.ticks is not None, "only pictures with a time are put in order"
    return picture.ticks
