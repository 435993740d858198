"""Shards: groups of streams that share a process, its models and their batches.

The engine sends a key to the worker that its hash names. Frames must not travel between processes,
so a process opens the streams of the shards that the engine will send to it, and the shards' keys
are chosen such that shard i goes to process i mod n, for every n up to `MOST_PROCESSES`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cache
from zlib import crc32

from records import RecordError

MOST_PROCESSES = 8
"""The most processes that share the streams of a run."""

MOST_SHARDS = 64
"""The most shards of a run."""

_CYCLE = math.lcm(*range(1, MOST_PROCESSES + 1))
_WORD = 2**64 - 1
_BLOCK_BYTES = 8
_TEXT_END = b"\xff"


@dataclass(frozen=True, slots=True)
class Shards:
    """How the streams of a run are grouped.

    Attributes:
        count: How many shards there are; stays the same when a run is resumed.
        streams: The streams that are known; they are dealt out in turn, others by their name.

    Raises:
        RecordError: `count` is out of range.

    >>> shards = Shards(2, ("gate", "till", "yard"))
    >>> [shards.place(stream) for stream in ("gate", "till", "yard")]
    [0, 1, 0]
    >>> shards.process("till", 2), shards.process("till", 1)
    (1, 0)
    """

    count: int = 1
    streams: tuple[str, ...] = ()
    _places: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MOST_SHARDS:
            raise RecordError(f"shards must be in 1..{MOST_SHARDS}, got {self.count}")
        names = sorted(set(self.streams))
        object.__setattr__(
            self, "_places", {name: place % self.count for place, name in enumerate(names)}
        )

    def place(self, stream: str) -> int:
        """The number of a stream's shard."""
        known = self._places.get(stream)
        return crc32(stream.encode()) % self.count if known is None else known

    def key(self, stream: str) -> str:
        """The key of a stream's shard in the dataflow."""
        return shard_key(self.place(stream))

    def process(self, stream: str, processes: int) -> int:
        """The process that works on a stream."""
        return self.place(stream) % processes


ONE_SHARD = Shards()
"""All streams in one shard."""


@cache
def shard_key(place: int) -> str:
    """The key of a shard: one that the engine sends to process `place` mod n for every n.

    >>> engine_hash(shard_key(3)) % 8, engine_hash(shard_key(3)) % 2
    (3, 1)
    """
    for attempt in range(MOST_SHARDS * _CYCLE):
        key = f"{place}.{attempt}"
        if engine_hash(key) % _CYCLE == place % _CYCLE:
            return key
    raise AssertionError("some key of so many has the wanted remainder")


def engine_hash(key: str) -> int:
    """The hash by which bytewax 0.21 gives a key its worker: SipHash-1-3, keys of zero.

    Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF", INDOCRYPT 2012; Rust hashes
    a text's bytes and then one byte 0xff.
    """
    data = key.encode() + _TEXT_END
    state = [0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573]
    whole = len(data) - len(data) % _BLOCK_BYTES
    blocks = [
        int.from_bytes(data[at : at + _BLOCK_BYTES], "little")
        for at in range(0, whole, _BLOCK_BYTES)
    ]
    blocks.append(int.from_bytes(data[whole:], "little") | (len(data) & 0xFF) << 56)
    for block in blocks:
        state[3] ^= block
        _mix(state)
        state[0] ^= block
    state[2] ^= 0xFF
    for _ in range(3):
        _mix(state)
    return state[0] ^ state[1] ^ state[2] ^ state[3]


def _mix(v: list[int]) -> None:
    """One round of SipHash."""
    v[0] = (v[0] + v[1]) & _WORD
    v[1] = _turned(v[1], 13) ^ v[0]
    v[0] = _turned(v[0], 32)
    v[2] = (v[2] + v[3]) & _WORD
    v[3] = _turned(v[3], 16) ^ v[2]
    v[0] = (v[0] + v[3]) & _WORD
    v[3] = _turned(v[3], 21) ^ v[0]
    v[2] = (v[2] + v[1]) & _WORD
    v[1] = _turned(v[1], 17) ^ v[2]
    v[2] = _turned(v[2], 32)


def _turned(word: int, bits: int) -> int:
    return (word << bits | word >> (64 - bits)) & _WORD
