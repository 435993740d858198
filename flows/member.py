"""One process among those that share the streams of a run, and what only one of them does."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition
from typing_extensions import override

from flows.shards import MOST_PROCESSES
from records import SightflowError

if TYPE_CHECKING:
    from bytewax.outputs import DynamicSink, StatelessSinkPartition

_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):\d{1,5}")
_ONLY_PART = "0"


@dataclass(frozen=True, slots=True)
class Member:
    """One process of a run.

    Attributes:
        process: Its number, from 0.
        addresses: ``host:port`` of every process, in the order of their numbers; the same for all.
            Empty for a run in one process. Who can reach these ports can run code in the processes:
            the engine sends pickled items, so keep them in a private network.

    Raises:
        SightflowError: a value is out of range.
    """

    process: int = 0
    addresses: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for address in self.addresses:
            if not _ADDRESS.fullmatch(address):
                raise SightflowError(f"an address must be host:port, got {address!r}")
        if len(self.addresses) > MOST_PROCESSES:
            raise SightflowError(
                f"at most {MOST_PROCESSES} processes may share a run, got {len(self.addresses)}"
            )
        if not 0 <= self.process < self.processes:
            raise SightflowError(
                f"the process must be one of 0 to {self.processes - 1}, got {self.process}"
            )

    @property
    def processes(self) -> int:
        """How many processes there are."""
        return max(len(self.addresses), 1)

    @property
    def is_first(self) -> bool:
        """Whether it prepares the run, and does what only one process may do."""
        return self.process == 0


ALONE = Member()
"""A run in one process."""


class OneProcessSink(FixedPartitionedSink[Any, None]):
    """A sink of which there is one in a run, in its first process: all items go there.

    Args:
        sink: What writes.
        member: Which process this is.
    """

    def __init__(self, sink: DynamicSink[Any], member: Member) -> None:
        self._sink, self._member = sink, member

    @override
    def list_parts(self) -> list[str]:
        return [_ONLY_PART] if self._member.is_first else []

    @override
    def build_part(self, step_id: str, for_part: str, resume_state: None) -> _OnlyPart:
        del for_part, resume_state
        return _OnlyPart(self._sink.build(step_id, 0, 1))


class _OnlyPart(StatefulSinkPartition[Any, None]):
    def __init__(self, part: StatelessSinkPartition[Any]) -> None:
        self._part = part

    @override
    def write_batch(self, values: list[Any]) -> None:
        # Sinks of this kind ignore the key, which the engine keeps to itself.
        self._part.write_batch([("", value) for value in values])

    @override
    def snapshot(self) -> None:
        return None

    @override
    def close(self) -> None:
        self._part.close()
