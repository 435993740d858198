"""One opened container and its video stream: what it says, its packets, its frames."""

from __future__ import annotations

import errno
import os
import time
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING

import av
from av.stream import Discard, Disposition

from connectors.video.coding import Coding, CodingReader, Picture, Undecoded
from connectors.video.damage import UNTIMELY, Damage, OpenError, reason_of
from connectors.video.decoder import FrameDecoder, check_on_demand
from connectors.video.pixels import MOST_PIXELS, AvPixels, size_is_allowed
from connectors.video.timeline import LONGEST_GAP_NS, SECOND_NS, USUAL_STEP_NS, ticks_to_ns
from records.checks import LATEST_TIME_NS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.stream import VideoStream

    from connectors.video.demand import OnDemandDecoder
    from connectors.video.uri import Address

MOST_READ_ERRORS = 64
"""After so many failed reads in a row the rest of a file is given up."""


class VideoContainer:
    """An opened container and the first video stream in it.

    Args:
        address: What to open.
        live: A read that fails ends it; a file is read on behind the failure.
        open_seconds: The longest time that opening may take, seconds; None for no limit.
        stall_seconds: The longest time without a video packet, seconds; None for no limit.
        decode_threads: Threads that decode; 0 is the codec's choice.
        on_demand: Whether frames are to be decoded on demand: always with threads within a frame.

    Raises:
        OpenError: it cannot be opened, holds no video that can be decoded, or none that can be
            decoded on demand where that is asked for.
    """

    def __init__(
        self,
        address: Address,
        *,
        live: bool,
        open_seconds: float | None = None,
        stall_seconds: float | None = None,
        decode_threads: int = 0,
        on_demand: bool = False,
    ) -> None:
        self.failure: OpenError | None = None
        self._live = live
        self._stall_seconds = stall_seconds
        self._packets_read = 0
        self._seeked = False
        self._end_ticks: int | None = None
        try:
            self._container: InputContainer = av.open(
                address.url,
                format=address.demuxer,
                options={**address.options, "max_pixels": str(MOST_PIXELS)},
                metadata_errors="replace",
                timeout=(open_seconds, stall_seconds),
            )
        except UNTIMELY as error:
            raise OpenError("timed_out", f"no video within {open_seconds} s") from error
        except av.FFmpegError as error:
            raise OpenError(reason_of(error), str(error.strerror)) from error
        try:
            self._stream = self._pick()
            if on_demand:
                check_on_demand(self._stream.codec_context)
        except OpenError:
            self._container.close()
            raise
        codec = self._stream.codec_context
        framewise = not live and not on_demand
        self._decoder = FrameDecoder(codec, threads=decode_threads, framewise=framewise)

    def _pick(self) -> VideoStream:
        """The first video stream; the others are thrown away as early as FFmpeg can."""
        videos = self._container.streams.video
        moving = [video for video in videos if not video.disposition & Disposition.attached_pic]
        if not moving:
            raise OpenError("no_video", "holds no video stream")
        stream = moving[0]
        if stream.codec_context is None:
            raise OpenError("no_decoder", "holds video of a codec that cannot be decoded")
        # 0 x 0 is a size that only the first frame will tell.
        if stream.width and not size_is_allowed(stream.width, stream.height):
            raise OpenError("too_large", f"frames of {stream.width}x{stream.height} are too large")
        for other in self._container.streams:
            if other.index != stream.index:
                other.discard = Discard.all
        return stream

    @property
    def description(self) -> str:
        """Codec, size and rate in one line."""
        stream = self._stream
        rate = f" at {float(self._rate):g} Hz" if self._rate else ""
        return f"{stream.codec_context.name} {stream.width}x{stream.height}{rate}"

    @property
    def time_base(self) -> Fraction | None:
        """Seconds a tick; None when the container has no clock."""
        return self._stream.time_base or None

    @property
    def step_ns(self) -> int:
        """The usual time between frames, nanoseconds."""
        step_ns = int(SECOND_NS / self._rate) if self._rate else USUAL_STEP_NS
        return min(max(step_ns, 1), LONGEST_GAP_NS)

    @property
    def codes_in_order(self) -> bool:
        """Whether every frame is coded in its turn of being shown."""
        return not self._stream.codec_context.has_b_frames

    @property
    def _rate(self) -> Fraction | None:
        return self._stream.average_rate or self._stream.guessed_rate or None

    @property
    def created_ns(self) -> int | None:
        """When the container says it was made, nanoseconds since 1970 UTC; None if it does not."""
        said = self._container.metadata.get("creation_time", "")
        try:
            made = datetime.fromisoformat(said)
        except ValueError:
            return None
        made = made if made.tzinfo else made.replace(tzinfo=UTC)
        made_ns = (made - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000
        return made_ns if 0 <= made_ns <= LATEST_TIME_NS else None

    def seek(self, ticks: int) -> bool:
        """Go to the last key frame that is shown at or before `ticks`; whether that worked."""
        try:
            self._container.seek(ticks, stream=self._stream, backward=True)
        except av.FFmpegError:
            return False
        self._seeked = True
        return True

    def frames(self) -> Iterator[Picture | Damage]:
        """Decode to the end, in order of presentation.

        Frames and packets that are damaged come out as Damage. After the end, `failure` says
        what ended it, if it was not the plain end of the input. No frame is kept alive here.
        """
        return map(self._noted, map(_picture, self._decoded()))

    def _noted(self, item: Picture | Damage) -> Picture | Damage:
        if not isinstance(item, Damage):
            end = (item.ticks or 0) + (item.duration or 0)
            if self._end_ticks is None or end > self._end_ticks:
                self._end_ticks = end
        return item

    def _decoded(self) -> Iterator[av.VideoFrame | Damage]:
        coding = CodingReader()
        for packet in self.packets():
            if isinstance(packet, Damage):
                yield packet
            else:
                packet.opaque = coding.read(packet)
                yield from self._decoder.decode(packet)
        yield from self._decoder.flush()

    def frames_on_demand(self, decoder: OnDemandDecoder) -> Iterator[Picture | Damage]:
        """The same frames as frames(), to be decoded only when their pixels are asked for.

        Frames that turn out damaged when they are decoded come out too.

        Args:
            decoder: Gets the packets; the container may be closed before it.
        """
        stream = self._stream
        decoder.begin(self._decoder, (stream.width, stream.height))
        undecoded = Undecoded(decoder, codes_in_order=self.codes_in_order, live=self._live)
        return map(self._noted, undecoded.pictures(self.packets()))

    def packets(self) -> Iterator[Packet[Stream] | Damage]:
        """The packets with data. Failed reads count only when something came after them."""
        failed_reads = 0
        while failed_reads < MOST_READ_ERRORS:
            try:
                for packet in self._video_packets():
                    if failed_reads:
                        yield Damage("read_error", failed_reads)
                        failed_reads, self.failure = 0, None
                    self._packets_read += 1
                    if packet.size:  # an empty packet would tell the decoder to end
                        yield packet
            except UNTIMELY:
                self.failure = OpenError("stalled", f"no packet for {self._stall_seconds} s")
                return
            except av.FFmpegError as error:
                self.failure = OpenError(reason_of(error), str(error.strerror))
                if self._live:
                    return
                failed_reads += 1
            else:
                return

    def _video_packets(self) -> Iterator[Packet[Stream]]:
        packets = self._container.demux()
        if self._stall_seconds is None:
            yield from self._all_packets(packets)
            return
        waits_since = time.monotonic()
        while True:
            try:
                packet = next(packets)
            except (StopIteration, IndexError):
                # At the end PyAV trips over streams that appeared after opening: IndexError.
                return
            waited_seconds = time.monotonic() - waits_since
            # PyAV ends with one packet a stream that has neither data nor time.
            real = packet.dts is not None or packet.size
            if real and packet.stream_index == self._stream.index:
                yield packet
                waits_since = time.monotonic()
            # FFmpeg's own limit may pass unseen: other streams go on, or an RTSP read that ran
            # out of time first gives the frame that its parser had held back.
            if self._stall_seconds is not None and waited_seconds > self._stall_seconds:
                raise av.error.TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))

    def _all_packets(self, packets: Iterator[Packet[Stream]]) -> Iterator[Packet[Stream]]:
        index = self._stream.index
        try:
            for packet in packets:
                if packet.stream_index == index and (packet.size or packet.dts is not None):
                    yield packet
        except IndexError:
            return

    def missing(self) -> tuple[int, str]:
        """How many frames the container declared but does not hold, and how that is known.

        To be asked after the end of frames().
        """
        declared = self._stream.frames
        if declared and not self._seeked:
            lost = declared - self._packets_read
            return max(lost, 0), f"{self._packets_read} of the {declared} frames declared"
        duration = self._declared_ticks()
        if duration is None or self._end_ticks is None or self.time_base is None:
            return 0, ""
        come = self._end_ticks - (self._stream.start_time or 0)
        lost_ns = ticks_to_ns(duration - come, self.time_base)
        lost = min(lost_ns, LATEST_TIME_NS) // self.step_ns
        seconds = [float(ticks * self.time_base) for ticks in (come, duration)]
        # The last frame's own duration is often not stored.
        return (lost, "{:.2f} of the {:.2f} s declared".format(*seconds)) if lost > 1 else (0, "")

    def _declared_ticks(self) -> int | None:
        if self._stream.duration:
            return self._stream.duration
        duration = self._container.duration
        if not duration or self.time_base is None or len(self._container.streams) > 1:
            return None
        return int(Fraction(duration, av.time_base) / self.time_base)

    def close(self) -> None:
        """Close the container."""
        self._container.close()


def _picture(item: av.VideoFrame | Damage) -> Picture | Damage:
    if isinstance(item, Damage):
        return item
    ticks = item.dts if item.pts is None else item.pts
    coding = item.opaque if isinstance(item.opaque, Coding) else Coding()
    return Picture(ticks, 0, item.duration, coding, AvPixels(item))
