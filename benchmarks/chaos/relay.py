"""A relay before a broker, that can be cut: for its clients the broker then died in mid-sentence.

The broker of the tests forgets what it acknowledged in the moments before it ends. Behind the
relay it comes to rest first: its clients lose the connection, with requests and answers under way,
and what was acknowledged is on the disk.
"""

from __future__ import annotations

import asyncio
import struct
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Coroutine

HOST = "127.0.0.1"
"""Where the relay and the broker listen."""

_LENGTH = struct.Struct(">I")
_START_SECONDS = 10.0


class Relay:
    """Passes bytes between clients and a broker, and puts its own port into the broker's answers.

    Args:
        broker_port: Where the broker listens.

    Attributes:
        port: Where the relay listens.
    """

    def __init__(self, broker_port: int) -> None:
        self._broker_port = broker_port
        self._writers: set[asyncio.StreamWriter] = set()
        self._open = True
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay", daemon=True)
        self.port = 0

    def cut(self) -> None:
        """End every connection at once, and refuse further ones."""
        self._call(self._cut())

    def mend(self) -> None:
        """Let clients in again."""
        self._open = True

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._cut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, work: Coroutine[None, None, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(_START_SECONDS)

    async def _listen(self) -> None:
        server = await asyncio.start_server(self._serve, HOST, 0)
        self.port = server.sockets[0].getsockname()[1]

    async def _cut(self) -> None:
        self._open = False
        for writer in tuple(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            if not self._open:
                return
            answers, requests = await asyncio.open_connection(HOST, self._broker_port)
            self._writers.add(requests)
            try:
                await asyncio.gather(_pass_on(reader, requests), self._answer(answers, writer))
            finally:
                self._writers.discard(requests)
                requests.transport.abort()
        except (OSError, asyncio.IncompleteReadError):
            return  # one side went away, which is what this is for
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on answer after answer; a host is followed by its port, whatever the version."""
        before = HOST.encode() + _LENGTH.pack(self._broker_port)
        after = HOST.encode() + _LENGTH.pack(self.port)
        while True:
            head = await reader.readexactly(_LENGTH.size)
            body = await reader.readexactly(_LENGTH.unpack(head)[0])
            writer.write(head + body.replace(before, after))
            await writer.drain()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(2**16):
        writer.write(data)
        await writer.drain()
    writer.transport.abort()
