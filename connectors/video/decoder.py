"""The decoder of one video stream, which lets only whole frames through."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av

from connectors.video.damage import Damage, OpenError
from connectors.video.pixels import MOST_PIXELS, AvPixels, size_is_allowed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.packet import Packet
    from av.stream import Stream
    from av.video.codeccontext import VideoCodecContext

ONE_FRAME_A_PACKET = frozenset(
    {"av1", "libdav1d", "h264", "hevc", "mjpeg", "msmpeg4", "msmpeg4v2", "png"}
)
"""Codecs of which every packet must give a frame (others have packets that show nothing)."""

_WHOLE_PICTURES = (0, 1)
"""FFmpeg's field orders "unknown" and "progressive"; with others a packet may be half a frame."""


class FrameDecoder:
    """Turns packets into frames and damage.

    Args:
        codec: The stream's decoder, not open yet.
        threads: Threads that decode; 0 is the codec's choice.
        framewise: Whether more than one thread may decode several frames at a time.
    """

    def __init__(self, codec: VideoCodecContext, *, threads: int, framewise: bool) -> None:
        codec.options = {"max_pixels": str(MOST_PIXELS)}
        # A frame gets the object that its packet carries: what the packet tells of it.
        codec.copy_opaque = True
        codec.thread_type = "FRAME" if threads > 1 and framewise else "SLICE"
        codec.thread_count = threads
        self._codec = codec
        self._frames_due = self._frames_out = 0
        self._key_seen = False
        self._convertible: tuple[int, int, str] | None = None

    def decode(self, packet: Packet[Stream]) -> Iterator[av.VideoFrame | Damage]:
        """The frames that this packet completes, in order of presentation."""
        if packet.is_corrupt:
            yield Damage("corrupt_packet")
            return
        try:
            frames = self._codec.decode(packet)
        except av.FFmpegError as error:
            yield Damage("decode_error", 1, str(error.strerror))
            return
        # Before the first key frame, as when joining a live stream, none can be expected.
        self._key_seen = self._key_seen or packet.is_keyframe
        self._frames_due += self._key_seen and not packet.is_discard
        yield from self._whole(frames)

    def flush(self) -> Iterator[av.VideoFrame | Damage]:
        """The frames that the decoder still holds, and the count of those that never came."""
        try:
            yield from self._whole(self._codec.decode(None))
        except av.error.EOFError:
            pass  # nothing was decoded since the last flush
        except av.FFmpegError as error:
            yield Damage("decode_error", 1, str(error.strerror))
        unseen = self._frames_due - self._frames_out
        if unseen > 0 and gives_a_frame_a_packet(self._codec):
            yield Damage("no_frame", unseen, "packets of which the decoder made no frame")

    def reset(self) -> None:
        """Forget what was decoded, to begin anew at a keyframe."""
        self._codec.flush_buffers()
        self._frames_due = self._frames_out = 0
        self._key_seen = False

    def _whole(self, frames: list[av.VideoFrame]) -> Iterator[av.VideoFrame | Damage]:
        """The frames that are whole, each let go of as soon as it is handed out."""
        self._frames_out += len(frames)
        frames.reverse()
        while frames:
            damage = self._damage(frames[-1])
            if damage is None:
                yield frames.pop()
            else:
                frames.pop()
                yield damage

    def _damage(self, frame: av.VideoFrame) -> Damage | None:
        """Why a frame cannot be used; None when it can."""
        if frame.is_corrupt:
            return Damage("corrupt_frame")
        shape = (frame.width, frame.height, frame.format.name)
        if shape == self._convertible:
            return None
        if not size_is_allowed(frame.width, frame.height):
            return Damage("too_large", 1, f"{frame.width}x{frame.height} pixels")
        try:
            AvPixels(frame).luma(1, 1)
        except (av.FFmpegError, ValueError):
            return Damage("unsupported_format", 1, frame.format.name)
        self._convertible = shape
        return None


def gives_a_frame_a_packet(codec: VideoCodecContext) -> bool:
    """Whether every packet of this stream must give one frame."""
    return codec.name in ONE_FRAME_A_PACKET and codec.field_order in _WHOLE_PICTURES


def check_on_demand(codec: VideoCodecContext) -> None:
    """Raise OpenError unless the frames of this stream can be told from its packets."""
    if not gives_a_frame_a_packet(codec):
        raise OpenError(
            "not_on_demand",
            f"{codec.name} video may have packets that are no whole frame; "
            "decode must be 'ahead' for it, not 'on_demand'",
        )
