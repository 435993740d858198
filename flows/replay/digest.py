"""One hash of all that was decided, so that two replays can be compared at a glance."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

from connectors.codec import encode, kind_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from records import Record

_LENGTH_BYTES = 4


class RecordDigest:
    """SHA-256 over records as the codec writes them, by stream and kind.

    Each stream has one hash for each kind of record, over its records in order, each with its
    length before it; all these, ordered by stream and kind, give one. So it depends on every record
    and its place among those of its kind, and neither on batches nor on where they were written.

    >>> from records import EventKind, StreamEvent
    >>> one, two = RecordDigest(), RecordDigest()
    >>> lost, ended = (StreamEvent("gate", 5, kind) for kind in (EventKind.LOST, EventKind.ENDED))
    >>> one.add("gate", [lost, ended])
    >>> two.add("gate", [lost]), two.add("gate", [ended])
    (None, None)
    >>> one.hexdigest() == two.hexdigest() != RecordDigest().hexdigest()
    True
    """

    def __init__(self) -> None:
        self._hashes: dict[tuple[str, str], Any] = {}

    def add(self, stream: str, records: Sequence[Record]) -> None:
        """Add records of a stream, in order."""
        for record in records:
            data = encode(record)
            key = stream, kind_of(record)
            if key not in self._hashes:
                self._hashes[key] = sha256()
            self._hashes[key].update(len(data).to_bytes(_LENGTH_BYTES, "little") + data)

    def hexdigest(self) -> str:
        """The hash, hexadecimal."""
        whole = sha256()
        for (stream, kind), one in sorted(self._hashes.items()):
            whole.update(f"{stream}:{kind}:{one.hexdigest()}\n".encode())
        return whole.hexdigest()
