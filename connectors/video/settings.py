"""The settings of one video stream."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from connectors.pace import Speed
from connectors.video.uri import parse_uri
from records.checks import check_count, check_time
from records.errors import RecordError

MOST_FRAMES_IN_MEMORY = 65_536
"""The most decoded frames that one stream may be allowed to keep alive."""

MOST_SECONDS = 3_600.0
"""The longest time, in seconds, that a time limit may be set to."""

MOST_DECODE_THREADS = 64
"""The most threads that one stream may decode with."""

LEAST_PACKET_BYTES = 2**16
"""The least memory for packets that a stream may be given, bytes."""

MOST_PACKET_BYTES = 2**34
"""The most memory for packets that a stream may be given, bytes."""

Decode = Literal["ahead", "on_demand"]
"""When frames are decoded."""

Drop = Literal["oldest", "newest"]
"""Which frame of a live stream goes when the flow is behind."""


@dataclass(frozen=True, slots=True)
class VideoSettings:
    """Where a video stream comes from and how it is read.

    Attributes:
        uri: A file's path; a folder of segments, read in natural order (``seg2`` before
            ``seg10``); an ``rtsp``, ``rtsps``, ``http``, ``https``, ``rtmp``, ``rtmps``, ``rtp``,
            ``udp``, ``srt`` or ``tcp`` URL; or a webcam as ``webcam:0`` or ``/dev/video0``. May
            hold credentials: never shown.
        start_ns: Event time of the first frame, nanoseconds since 1970 UTC. None takes, for
            files, the time at which the container says it was made, or 0 when it says nothing;
            for live streams, the clock at the first frame.
        live: Whether the stream goes on by itself: it is reconnected when it is lost, and frames
            are dropped when the flow is behind. None lets the URI decide: network and webcam are
            live, files are not.
        batch_frames: Frames in a batch, at least 1: exactly so many for files (the last batch may
            be shorter), at most so many for live streams.
        frames_in_memory: The most decoded frames of this stream that are alive in the process,
            ahead of the flow and held by it together; the codec's own reference frames come on
            top. At least `batch_frames`, and at least 2 for live streams. A flow that keeps more
            than ``frames_in_memory - batch_frames`` frames of a file and waits for the next
            batch waits for ever.
        drop: Which frame of a live stream goes when the flow is behind.
        stall_seconds: A live stream without a packet for so long is lost; above 0.
        open_seconds: The longest time that opening a live stream may take; above 0.
        reconnect_first_seconds: The wait before the first attempt to reconnect; doubled after
            each attempt that fails. Above 0.
        reconnect_most_seconds: The longest wait between attempts; at least
            `reconnect_first_seconds`.
        frames_at_most: Stop after so many frames, at least 1; None reads to the end.
        decode_threads: Threads of the decoder. 0 is the codec's choice of threads within a
            frame, which gives the same frames in every run. Above 1, files are decoded several
            frames at a time: faster on many cores, but which frames of a damaged file are lost
            may then differ from run to run. Live streams and decoding on demand always use
            threads within a frame.
        decode: "ahead" decodes every frame before the flow asks. "on_demand" reads packets only,
            and decodes a frame when its pixels are asked for, from the keyframe of its group of
            pictures on: groups that no stage asks for cost no decoding, and pixels are the same.
            A frame that cannot be decoded raises SourceError when it is asked for.
            `frames_in_memory` then bounds the decoded frames that are kept for asking again, and
            for live streams the frames that wait for the flow or are held by it too.
        packet_bytes_in_memory: With "on_demand", how much memory the packets of the latest
            groups of pictures may take, bytes, in 65,536..2**34, 1,024 bytes of overhead a
            packet included. A frame's pixels can be asked for until its group falls out: half a
            minute of video at 16 Mbit/s with the usual 64 MiB.
        speed: How quickly a file plays, seconds of event time in a second, 0.001 to 1,000,000;
            None is as quickly as the flow takes it. Live streams have none.

    Raises:
        RecordError: a value is out of range; the message names the field.

    >>> VideoSettings("rtsp://camera.local/main").is_live
    True
    >>> VideoSettings("gate.mp4", batch_frames=0)
    Traceback (most recent call last):
    ...
    records.errors.RecordError: batch_frames must be in 1..64 (frames_in_memory), got 0
    """

    uri: str = field(repr=False)
    start_ns: int | None = None
    live: bool | None = None
    batch_frames: int = 16
    frames_in_memory: int = 64
    drop: Drop = "oldest"
    stall_seconds: float = 8.0
    open_seconds: float = 5.0
    reconnect_first_seconds: float = 0.25
    reconnect_most_seconds: float = 1.0
    frames_at_most: int | None = None
    decode_threads: int = 0
    decode: Decode = "ahead"
    packet_bytes_in_memory: int = 2**26
    speed: float | None = None

    def __post_init__(self) -> None:
        parse_uri(self.uri)
        if self.start_ns is not None:
            check_time("start_ns", self.start_ns)
        if self.live not in (None, True, False):
            raise RecordError(f"live must be true, false or absent, got {self.live!r}")
        if self.drop not in ("oldest", "newest"):
            raise RecordError(f"drop must be 'oldest' or 'newest', got {self.drop!r}")
        if self.decode not in ("ahead", "on_demand"):
            raise RecordError(f"decode must be 'ahead' or 'on_demand', got {self.decode!r}")
        self._check_counts()
        Speed(self.speed)
        if self.speed is not None and self.is_live:
            raise RecordError(f"speed must be absent for a live stream, got {self.speed}")
        for name in ("stall_seconds", "open_seconds", "reconnect_first_seconds"):
            _check_seconds(name, getattr(self, name))
        _check_seconds("reconnect_most_seconds", self.reconnect_most_seconds)
        if self.reconnect_most_seconds < self.reconnect_first_seconds:
            raise RecordError(
                f"reconnect_most_seconds must be at least reconnect_first_seconds "
                f"({self.reconnect_first_seconds}), got {self.reconnect_most_seconds}"
            )

    def _check_counts(self) -> None:
        for name in ("batch_frames", "frames_in_memory", "decode_threads"):
            check_count(name, getattr(self, name))
        check_count("packet_bytes_in_memory", self.packet_bytes_in_memory)
        if not LEAST_PACKET_BYTES <= self.packet_bytes_in_memory <= MOST_PACKET_BYTES:
            raise RecordError(
                f"packet_bytes_in_memory must be in {LEAST_PACKET_BYTES}..{MOST_PACKET_BYTES}, "
                f"got {self.packet_bytes_in_memory}"
            )
        least = 2 if self.is_live else 1
        if not least <= self.frames_in_memory <= MOST_FRAMES_IN_MEMORY:
            raise RecordError(
                f"frames_in_memory must be in {least}..{MOST_FRAMES_IN_MEMORY}, "
                f"got {self.frames_in_memory}"
            )
        if not 1 <= self.batch_frames <= self.frames_in_memory:
            raise RecordError(
                f"batch_frames must be in 1..{self.frames_in_memory} (frames_in_memory), "
                f"got {self.batch_frames}"
            )
        if self.decode_threads > MOST_DECODE_THREADS:
            raise RecordError(
                f"decode_threads must be in 0..{MOST_DECODE_THREADS}, got {self.decode_threads}"
            )
        if self.frames_at_most is not None:
            check_count("frames_at_most", self.frames_at_most)
            if self.frames_at_most < 1:
                raise RecordError("frames_at_most must be at least 1, got 0")

    @property
    def is_on_demand(self) -> bool:
        """Whether frames are decoded only when their pixels are asked for."""
        return self.decode == "on_demand"

    @property
    def is_live(self) -> bool:
        """Whether the stream is read as a live one."""
        return parse_uri(self.uri).live if self.live is None else self.live


def _check_seconds(name: str, value: object) -> None:
    ok = (
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    ) and 0 < value <= MOST_SECONDS
    if not ok:
        raise RecordError(f"{name} must be above 0 and at most {MOST_SECONDS:.0f}, got {value!r}")
