"""The bytewax source of Kafka topics, and the step that parts what it emits."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import bytewax.operators as op
from bytewax.dataflow import Dataflow, operator
from bytewax.inputs import FixedPartitionedSource
from bytewax.operators import KeyedStream  # noqa: TC002 - bytewax reads the fields of KafkaStreams

from connectors.kafka.batching import Item, Received, Records
from connectors.kafka.messages import DeadLetter
from connectors.kafka.positions import ReaderState
from connectors.kafka.reader import KafkaReader
from records import FrameBatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from connectors.kafka.cluster import Place
    from connectors.kafka.settings import KafkaSettings
    from connectors.kafka.source_settings import KafkaSourceSettings


class KafkaSource(FixedPartitionedSource[Item, ReaderState]):
    """Reads topics; loses nothing, and says so loudly where something was lost before it came.

    Emits ``(key, FrameBatch | records | DeadLetter)``; `kafka_input` parts them. Its parts are
    readers, each of which owns the partitions that `reader_of` gives it, also those that are added
    while it runs. Each keeps the offsets of its partitions in its snapshot; what a group committed
    is never resumed from. Messages of transactions that were aborted are not seen.

    Args:
        settings: How the cluster is reached.
        wanted: What is read.
        stop: When set, every reader ends.
        progress: Told the topic and partition, the next offset and the end of each partition now
            and then, from the worker that reads it; for the lag.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        wanted: KafkaSourceSettings,
        *,
        stop: threading.Event | None = None,
        progress: Callable[[Place, int, int], None] | None = None,
    ) -> None:
        self._settings, self._wanted = settings, wanted
        self._stop = threading.Event() if stop is None else stop
        self._progress = _unwatched if progress is None else progress

    def list_parts(self) -> list[str]:
        """The readers, by number."""
        return [f"{index:04d}" for index in range(self._wanted.readers)]

    def build_part(
        self, step_id: str, for_part: str, resume_state: ReaderState | None
    ) -> KafkaReader:
        """Start one reader, or take it up where its snapshot was made.

        Raises:
            SourceError: the cluster does not answer, a topic is missing, or messages were lost.
        """
        del step_id
        return KafkaReader(
            self._settings, self._wanted, int(for_part), self._stop, self._progress, resume_state
        )


@dataclass(frozen=True)
class KafkaStreams:
    """What came from Kafka.

    Attributes:
        frames: Frames and what befell their streams, keyed by stream.
        records: Records, keyed by stream.
        dead_letters: Messages that were not understood, keyed by ``topic:partition``.
    """

    frames: KeyedStream[FrameBatch]
    records: KeyedStream[Records]
    dead_letters: KeyedStream[DeadLetter]


@operator
def kafka_input(step_id: str, flow: Dataflow, source: KafkaSource) -> KafkaStreams:
    """Read topics.

    Args:
        step_id: Unique.
        flow: The dataflow.
        source: What is read.
    """
    received = op.input("read", flow, source)
    return KafkaStreams(
        op.filter_map_value("frames", received, _frames),
        op.filter_map_value("records", received, _records),
        op.filter_map_value("dead_letters", received, _dead_letters),
    )


def _frames(received: Received) -> FrameBatch | None:
    return received if isinstance(received, FrameBatch) else None


def _records(received: Received) -> Records | None:
    return received if isinstance(received, tuple) else None


def _dead_letters(received: Received) -> DeadLetter | None:
    return received if isinstance(received, DeadLetter) else None


def _unwatched(place: Place, offset: int, end: int) -> None:
    del place, offset, end
