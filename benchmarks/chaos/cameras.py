"""Cameras that send a coded clip, frame by frame at the frame's moment."""

from __future__ import annotations

import socketserver
import threading
import time
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any, Self

import av

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

_ANSWER = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
_MOST_REQUEST_BYTES = 65_536
_CODING: dict[str, object] = {"preset": "ultrafast", "tune": "zerolatency"}
_FLUSHED = {"flush_packets": "1"}


def coded(
    pictures: Sequence[NDArray[np.uint8]], rate_hz: int, frames: int, transport: str
) -> list[bytes]:
    """Pictures again and again as H.264 in a stream that does not end.

    Args:
        pictures: RGB, uint8 (height, width, 3).
        rate_hz: Frames a second; one in so many is a key frame.
        frames: How many frames there are.
        transport: The container, as FFmpeg calls it: flv, mpegts.

    Returns:
        What is to be sent for each frame.
    """
    pipe = _Pipe()
    sent = []
    with av.open(pipe, "w", format=transport, options=_FLUSHED) as container:
        video = container.add_stream("libx264", rate=rate_hz)
        height, width, _ = pictures[0].shape
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.options, video.gop_size = _CODING, rate_hz
        for number, picture in enumerate(islice(cycle(pictures), frames)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = number
            container.mux(video.encode(frame))
            sent.append(pipe.take())
    return sent


class ClipCamera:
    """A camera on a port of this machine; for one connection.

    Args:
        frames: What is sent for each frame.
        rate_hz: Frames a second.
        delay_seconds: By how much its frames are later than those of a camera without a delay, so
            that cameras do not send in step.

    Attributes:
        departures: When each frame was sent, seconds of the monotonic clock.
    """

    def __init__(self, frames: Sequence[bytes], rate_hz: int, delay_seconds: float) -> None:
        self._frames, self._rate_hz, self._delay = frames, rate_hz, delay_seconds
        self._stop = threading.Event()
        self.departures: list[float] = []
        camera = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                camera._serve(self.request)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/live"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _serve(self, connection: socket.socket) -> None:
        connection.recv(_MOST_REQUEST_BYTES)
        try:
            connection.sendall(_ANSWER)
            self._stream(connection)
        except OSError:
            return  # the client went away, which is its right

    def _stream(self, connection: socket.socket) -> None:
        """Send in real time until stopped; each connection begins with frame 0."""
        self.departures = []
        begun = time.monotonic() + self._delay
        for number, data in enumerate(self._frames):
            if self._stop.wait(max(begun + number / self._rate_hz - time.monotonic(), 0)):
                return
            self.departures.append(time.monotonic())
            connection.sendall(data)
        self._stop.wait()


class _Pipe:
    """What PyAV writes a container to."""

    def __init__(self) -> None:
        self._data = bytearray()

    def write(self, data: Any) -> int:  # noqa: ANN401 - a buffer
        self._data += data
        return len(data)

    def take(self) -> bytes:
        """What was written since the last call."""
        data, self._data = bytes(self._data), bytearray()
        return data
