"""The compressed packets of a stream's recent groups of pictures, within a memory bound."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.packet import Packet
    from av.stream import Stream

    from connectors.video.decoder import FrameDecoder

PACKET_OVERHEAD_BYTES = 1_024
"""What a packet takes in memory besides its data, bytes, rounded up."""


class Group:
    """A keyframe and the packets coded after it, up to the next keyframe.

    Attributes:
        codec: Decodes it, and the other groups of its container.
        ordinal: Its number in the stream.
        first: The number of the first packet that is kept.
        packets: The packets that are kept, in the order of coding; none once it was let go of.
        key_ticks: When its keyframe is shown.
        is_open: Whether frames coded after its keyframe are shown before it; these may refer to
            the group before.
        size: Width and height of its frames, pixels; declared ones until one was decoded.
        is_touched: Whether a packet of it was given to the decoder.
        memory: What its packets take, bytes.
    """

    __slots__ = (
        "codec",
        "first",
        "is_open",
        "is_touched",
        "key_ticks",
        "memory",
        "ordinal",
        "packets",
        "size",
    )

    def __init__(
        self, codec: FrameDecoder, ordinal: int, first: int, key_ticks: int, size: tuple[int, int]
    ) -> None:
        self.codec, self.ordinal, self.first = codec, ordinal, first
        self.key_ticks, self.size = key_ticks, size
        self.packets: list[Packet[Stream]] = []
        self.is_open = self.is_touched = False
        self.memory = 0

    @property
    def end(self) -> int:
        """The number after its last packet so far."""
        return self.first + len(self.packets)


class PacketWindow:
    """The recent groups of one stream. Safe for a thread that adds and another that looks.

    Args:
        most_bytes: How much memory the packets may take, bytes. The newest group stays even when
            it alone takes more, until it is shortened.
    """

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self._lock = threading.Lock()
        self._groups: deque[Group] = deque()
        self._codec: FrameDecoder | None = None
        self._size = (0, 0)
        self._ordinal = self._number = self._memory = 0
        self._at_start = True

    def begin(self, codec: FrameDecoder, size: tuple[int, int]) -> None:
        """Go on with another container.

        Args:
            codec: Decodes its packets.
            size: Width and height that it declares, pixels.
        """
        self._codec, self._size, self._at_start = codec, size, True

    def add(self, packet: Packet[Stream], ticks: int) -> Group | None:
        """Keep a packet as the last of its group; None when the container had no keyframe yet.

        Args:
            packet: The packet.
            ticks: When its frame is shown.
        """
        assert self._codec is not None, "begin() comes before add()"
        if packet.is_keyframe:
            group = Group(self._codec, self._ordinal, self._number, ticks, self._size)
            self._ordinal += 1
            self._at_start = False
            with self._lock:
                self._groups.append(group)
        elif self._at_start:
            return None
        else:
            group = self._groups[-1]
            if ticks < group.key_ticks:
                group.is_open = True
        group.packets.append(packet)
        memory = packet.size + PACKET_OVERHEAD_BYTES
        group.memory += memory
        self._memory += memory
        self._number += 1
        if self._memory > self.most_bytes:
            self._let_go()
        return group

    @property
    def overflows(self) -> bool:
        """Whether the newest group alone takes more than it may."""
        return self._memory > self.most_bytes

    def _let_go(self) -> None:
        with self._lock:
            while self._memory > self.most_bytes and len(self._groups) > 1:
                oldest = self._groups.popleft()
                self._memory -= oldest.memory
                oldest.packets = []

    def shorten(self, group: Group, count: int) -> None:
        """Let go of so many packets at the beginning of the newest group."""
        gone = group.packets[:count]
        memory = sum(packet.size + PACKET_OVERHEAD_BYTES for packet in gone)
        group.memory -= memory
        self._memory -= memory
        group.packets = group.packets[count:]
        group.first += len(gone)

    def neighbour(self, group: Group, step: int) -> Group | None:
        """The group so many before (negative) or after, if it is kept and of the same container."""
        with self._lock:
            place = group.ordinal - self._groups[0].ordinal + step if self._groups else -1
            if not 0 <= place < len(self._groups):
                return None
            found = self._groups[place]
        return found if found.codec is group.codec and found.packets else None

    def clear(self) -> None:
        """Let go of everything."""
        with self._lock:
            for group in self._groups:
                group.packets = []
            self._groups.clear()
            self._memory, self._at_start = 0, True
