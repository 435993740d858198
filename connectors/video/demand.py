"""Decoding on demand: only the groups of pictures are decoded of which a stage asks for pixels."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

from connectors.video.coding import MOST_REORDERED
from connectors.video.damage import Damage
from connectors.video.demand_pixels import OnDemandPixels
from connectors.video.groups import PACKET_OVERHEAD_BYTES, PacketWindow
from records.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import av
    from av.packet import Packet
    from av.stream import Stream

    from connectors.video.decoder import FrameDecoder
    from connectors.video.groups import Group
    from connectors.video.settings import VideoSettings

_MOST_FAILURES = 4_096
"""How many frames that cannot be decoded are remembered, so that they are not tried again."""


@dataclass(frozen=True, slots=True)
class DecodeCounts:
    """What decoding on demand has done so far.

    Attributes:
        groups: Groups of pictures of which at least one packet was decoded.
        packets: Packets decoded; one that is decoded twice counts twice.
        frames: Frames that came out.
        starts: How often decoding began anew at a keyframe.
        failures: Frames asked for that could not be had.
    """

    groups: int = 0
    packets: int = 0
    frames: int = 0
    starts: int = 0
    failures: int = 0


@dataclass(slots=True)
class _Run:
    """One pass of a codec over consecutive packets, begun at a keyframe."""

    codec: FrameDecoder
    began: int
    """The ordinal of the group that it began with."""
    group: Group
    """The group of the next packet."""
    number: int
    """The number of the next packet."""
    held_back: set[int] = field(default_factory=set)
    """The numbers of the packets whose frames did not come out yet."""


class OnDemandDecoder:
    """Keeps the recent packets of a stream, and decodes up to the frames that are asked for.

    A frame is reached from the present place when that lies in the same group, else from its
    group's keyframe; frames shown before their keyframe from the keyframe of the group before.
    Frames passed on the way are kept, so that asking in order decodes nothing twice. One thread
    may add packets while others ask.

    When a single group takes more memory than all packets may, it is decoded from its beginning
    and the packets that were passed are let go of.

    Args:
        stream: The stream's name.
        settings: Its settings: `frames_in_memory` bounds the decoded frames that are kept,
            `packet_bytes_in_memory` the packets.
    """

    def __init__(self, stream: str, settings: VideoSettings) -> None:
        self._stream = stream
        self._most_frames = settings.frames_in_memory
        self._window = PacketWindow(settings.packet_bytes_in_memory)
        self._decoding = threading.Lock()
        self._run: _Run | None = None
        self._kept: OrderedDict[int, av.VideoFrame] = OrderedDict()
        self._failed: OrderedDict[int, str] = OrderedDict()
        self._damage = ""
        self._untold = 0
        self._counts = DecodeCounts()

    @property
    def counts(self) -> DecodeCounts:
        """What was decoded so far."""
        return self._counts

    @property
    def frames_kept(self) -> int:
        """How many decoded frames are kept."""
        return len(self._kept)

    def begin(self, codec: FrameDecoder, size: tuple[int, int]) -> None:
        """Go on with another container.

        Args:
            codec: Decodes its packets; for this decoder alone from now on.
            size: Width and height that it declares, pixels.
        """
        self._window.begin(codec, size)

    def add(self, packet: Packet[Stream], ticks: int) -> OnDemandPixels | None:
        """Keep a packet; the pixels of its frame, or None before the first keyframe.

        Args:
            packet: The packet; packets come in the order of coding.
            ticks: When its frame is shown.
        """
        group = self._window.add(packet, ticks)
        if group is None:
            return None
        if self._window.overflows:
            self._shorten(group)
        return OnDemandPixels(self, group, group.end - 1, leading=ticks < group.key_ticks)

    def take_failures(self) -> int:
        """How many frames could not be had since the last call."""
        if not self._untold:
            return 0
        with self._decoding:
            untold, self._untold = self._untold, 0
        return untold

    def close(self) -> None:
        """Let go of all packets and frames; pixels can no longer be asked for."""
        with self._decoding:
            self._window.clear()
            self._kept.clear()
            self._run = None

    def frame(self, group: Group, number: int, *, leading: bool) -> av.VideoFrame:
        """Decode up to a frame.

        Args:
            group: Its group.
            number: Its packet's number.
            leading: Whether it is shown before its group's keyframe.

        Raises:
            SourceError: its packets were let go of, or it is damaged.
        """
        with self._decoding:
            found = self._kept.get(number)
            if found is not None:
                self._kept.move_to_end(number)
            elif number not in self._failed:
                found = self._reach(group, number, leading=leading)
                if found is None:
                    self._note_failure(group, number)
            if found is not None:
                group.size = (found.width, found.height)
                return found
            raise SourceError(f"{self._stream}: {self._failed[number]}")

    def _reach(self, group: Group, number: int, *, leading: bool) -> av.VideoFrame | None:
        """Try each place to decode from, the nearest first."""
        self._damage = "the decoder made nothing of it"
        for start in self._starts(group, number, leading=leading):
            if start is not None:
                self._begin(start)
            found = self._advance(group, number)
            if found is not None:
                return found
        return None

    def _starts(self, group: Group, number: int, *, leading: bool) -> Iterator[Group | None]:
        """The groups to begin with in turn; None goes on from the present place."""
        before = self._window.neighbour(group, -1)
        run = self._run
        if run is not None and run.codec is group.codec and run.began + leading <= group.ordinal:
            near = run.group is group or (leading and run.group is before)
            goes_over = run.number == group.first
            if number in run.held_back or (run.number <= number and (near or goes_over)):
                yield None
        whole = bool(group.packets) and group.packets[0].is_keyframe
        if leading and before is not None:
            yield before
        if whole:
            yield group
        # Where intra refresh stands in for keyframes, pictures are whole a little later.
        if not leading and before is not None:
            yield before

    def _advance(self, group: Group, number: int) -> av.VideoFrame | None:
        """Decode on until the frame comes out; drains the codec when nothing else helps."""
        run = self._run
        assert run is not None, "a run was begun or goes on"
        packet = self._next_packet(run, group)
        while packet is not None:
            found = self._keep(run, run.codec.decode(packet), number)
            if found is not None:
                return found
            packet = self._next_packet(run, group)
        # A drained codec must begin anew.
        self._run = None
        return self._keep(run, run.codec.flush(), number)

    def _next_packet(self, run: _Run, wanted: Group) -> Packet[Stream] | None:
        """The packet to decode next on the way; None when none leads any nearer."""
        if run.number >= run.group.end:
            after = self._window.neighbour(run.group, 1)
            on_the_way = run.group.ordinal < wanted.ordinal
            leaning = run.group is wanted and after is not None and self._may_lean(after)
            if after is None or not (on_the_way or leaning):
                return None
            run.group = after
        group = run.group
        past = group.ordinal > wanted.ordinal and run.number - group.first > MOST_REORDERED
        if past or not group.first <= run.number < group.end:
            return None
        packet = group.packets[run.number - group.first]
        if packet.opaque is None:
            # PyAV tells these apart by identity: a new object for each packet.
            packet.opaque = (run.number,)
        run.held_back.add(run.number)
        run.number += 1
        self._count(packets=1, groups=int(not group.is_touched))
        group.is_touched = True
        return packet

    def _may_lean(self, group: Group) -> bool:
        """Whether packets of a group refer to the one before, or it is too early to tell.

        Such packets also push out what the codec held back, without draining it.
        """
        begins = len(group.packets) == 1 and self._window.neighbour(group, 1) is None
        return group.is_open or begins

    def _keep(
        self, run: _Run, items: Iterable[av.VideoFrame | Damage], number: int
    ) -> av.VideoFrame | None:
        """Keep the frames that came out; the one of this number, if it is among them."""
        found = None
        for item in items:
            if isinstance(item, Damage):
                self._damage = item.detail or item.reason
                continue
            self._count(frames=1)
            (place,) = cast("tuple[int]", item.opaque)
            run.held_back.discard(place)
            self._kept[place] = item
            while len(self._kept) > self._most_frames:
                self._kept.popitem(last=False)
            if place == number:
                found = item
        return found

    def _shorten(self, group: Group) -> None:
        """Decode the first part of a group that is too long, and let go of its packets."""
        with self._decoding:
            memory, drop = group.memory, 0
            while memory > self._window.most_bytes // 2:
                memory -= group.packets[drop].size + PACKET_OVERHEAD_BYTES
                drop += 1
            run = self._run
            if (run is None or run.group is not group) and group.packets[0].is_keyframe:
                run = self._begin(group)
            while run is not None and run.group is group and run.number < group.first + drop:
                packet = self._next_packet(run, group)
                assert packet is not None, "the packets up to there are kept"
                self._keep(run, run.codec.decode(packet), -1)
            self._window.shorten(group, drop)

    def _begin(self, group: Group) -> _Run:
        group.codec.reset()
        self._run = _Run(group.codec, group.ordinal, group, group.first)
        self._count(starts=1)
        return self._run

    def _count(self, **more: int) -> None:
        counts = self._counts
        self._counts = replace(counts, **{k: getattr(counts, k) + n for k, n in more.items()})

    def _note_failure(self, group: Group, number: int) -> None:
        if group.first <= number < group.end:
            problem = f"the frame cannot be decoded: {self._damage}"
        else:
            problem = (
                "the packets of the frame are no longer kept; ask for its pixels earlier, or raise "
                f"packet_bytes_in_memory (is {self._window.most_bytes})"
            )
        self._failed[number] = problem
        while len(self._failed) > _MOST_FAILURES:
            self._failed.popitem(last=False)
        self._untold += 1
        self._count(failures=1)
