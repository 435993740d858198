"""Cameras for tests: real servers that send endless MPEG-TS in real time over HTTP or RTSP.

They can stall (stay connected but silent), die (close the port and every connection) and come
back at the same address.
"""

from __future__ import annotations

import socket
import socketserver
import struct
import threading
import time
from typing import TYPE_CHECKING, Any, Literal, Self

import av
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from av.video.stream import VideoStream

WIDTH, HEIGHT = 160, 120
"""Size of the cameras' pictures, pixels."""

KEY_FRAME_EVERY = 10
"""Frames between key frames."""

_TS_PACKET = 188
_TS_PACKETS_IN_RTP = 7
_RTP_VERSION_2 = 0x80
_RTP_PAYLOAD_MPEG_TS = 33
_RTP_CLOCK_HZ = 90_000


class Camera:
    """A camera on a port of this machine.

    Args:
        protocol: What it speaks.
        rate_hz: Frames a second.
    """

    def __init__(self, protocol: Literal["http", "rtsp"] = "http", rate_hz: int = 25) -> None:
        self._talk = _talk_http if protocol == "http" else _talk_rtsp
        self._protocol, self.rate_hz = protocol, rate_hz
        self.port = 0
        self._server: socketserver.ThreadingTCPServer | None = None
        self._connections: set[socket.socket] = set()
        self._flows = threading.Event()
        self._dead = threading.Event()

    @property
    def url(self) -> str:
        """Its address, with credentials that nobody may ever see."""
        return f"{self._protocol}://admin:hunter2@127.0.0.1:{self.port}/live?token=hunter2"

    def start(self) -> None:
        """Come up, at the same port as before."""
        camera = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                camera._serve(self.request)

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

        self._dead.clear()
        self._flows.set()
        self._server = Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def kill(self) -> None:
        """Close the port and every connection."""
        self._dead.set()
        if self._server is not None:
            self._server.shutdown()
            for connection in tuple(self._connections):
                # It may have been closed by the other side in the meantime.
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue
            self._server.server_close()
            self._server = None

    def stall(self) -> None:
        """Stay connected, but send nothing."""
        self._flows.clear()

    def flow(self) -> None:
        """Send again."""
        self._flows.set()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.kill()

    def _serve(self, connection: socket.socket) -> None:
        self._connections.add(connection)
        try:
            send = self._talk(connection)
            if send is not None:
                self._stream(send)
        except OSError:
            pass  # the client went away, which is its right
        finally:
            self._connections.discard(connection)

    def _stream(self, send: Callable[[bytes], None]) -> None:
        """Encode moving pictures in real time until killed."""
        container = av.open(_Pipe(send), "w", format="mpegts", buffer_size=_TS_PACKET * 7)
        video: VideoStream = container.add_stream("libx264", rate=self.rate_hz)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.options = {"preset": "ultrafast", "tune": "zerolatency"}
        video.gop_size = KEY_FRAME_EVERY
        began, number = time.monotonic(), 0
        while not self._dead.wait(max(began + number / self.rate_hz - time.monotonic(), 0)):
            if self._flows.is_set():
                picture = np.full((HEIGHT, WIDTH, 3), number % 200, dtype=np.uint8)
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts = number
                container.mux(video.encode(frame))
            number += 1


class _Pipe:
    """What PyAV writes a container to; passes on whole transport packets."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send
        self._rest = b""

    def write(self, data: Any) -> int:
        self._rest += bytes(data)
        most = _TS_PACKET * _TS_PACKETS_IN_RTP
        while len(self._rest) >= _TS_PACKET:
            whole = min(len(self._rest) // _TS_PACKET * _TS_PACKET, most)
            self._send(self._rest[:whole])
            self._rest = self._rest[whole:]
        return len(data)


def _talk_http(connection: socket.socket) -> Callable[[bytes], None] | None:
    if _request(connection) is None:
        return None
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\nConnection: close\r\n\r\n")
    return connection.sendall


def _talk_rtsp(connection: socket.socket) -> Callable[[bytes], None] | None:
    """Answer until PLAY (RFC 2326), then send RTP over the same connection (section 10.12)."""
    while (request := _request(connection)) is not None:
        head, *lines = request.split("\r\n")
        method = head.split(" ")[0]
        fields = dict(line.split(": ", 1) for line in lines if ": " in line)
        extra, body = "", ""
        if method == "OPTIONS":
            extra = "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n"
        elif method == "DESCRIBE":
            body = (
                "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=camera\r\nt=0 0\r\n"
                f"m=video 0 RTP/AVP {_RTP_PAYLOAD_MPEG_TS}\r\na=control:track1\r\n"
            )
            extra = "Content-Type: application/sdp\r\n"
        elif method == "SETUP":
            extra = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
        answer = (
            f"RTSP/1.0 200 OK\r\nCSeq: {fields['CSeq']}\r\nSession: 1\r\n{extra}"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        )
        connection.sendall(answer.encode())
        if method == "PLAY":
            return _rtp_sender(connection)
    return None


def _rtp_sender(connection: socket.socket) -> Callable[[bytes], None]:
    """Wrap transport packets in RTP (RFC 3550) with payload type 33 (RFC 3551)."""
    sent = 0

    def send(payload: bytes) -> None:
        nonlocal sent
        now = int(time.monotonic() * _RTP_CLOCK_HZ) & 0xFFFFFFFF
        header = struct.pack(">BBHII", _RTP_VERSION_2, _RTP_PAYLOAD_MPEG_TS, sent & 0xFFFF, now, 1)
        packet = header + payload
        connection.sendall(struct.pack(">cBH", b"$", 0, len(packet)) + packet)
        sent += 1

    return send


def _request(connection: socket.socket) -> str | None:
    """The next request's head; None when the client went away."""
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(4096)
        if not chunk:
            return None
        data += chunk
    return data.decode()
