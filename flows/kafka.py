"""From a configuration's Kafka section to what reads and writes a cluster."""

from __future__ import annotations

import datetime as dt
import math
from typing import TYPE_CHECKING

from connectors.kafka import (
    AtTime,
    KafkaSettings,
    KafkaSinkSettings,
    KafkaSourceSettings,
    TopicKind,
)
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from pathlib import Path

    from flows.config import KafkaReadSection, KafkaSection

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_NANOSECONDS_A_MICROSECOND = NANOSECONDS // 1_000_000


def kafka_settings(section: KafkaSection, folder: Path) -> KafkaSettings:
    """How the cluster is reached.

    Args:
        section: The section.
        folder: Where relative paths count from.

    Raises:
        RecordError: two values do not go together.
    """
    values = section.model_dump(exclude={"servers", "read", "write", "username", "password"})
    for name in ("ca_file", "certificate_file", "key_file"):
        if values[name] is not None:
            values[name] = str(folder / values[name])
    for name in ("username", "password"):
        secret = getattr(section, name)
        values[name] = None if secret is None else secret.get_secret_value()
    return KafkaSettings(section.servers, **values)


def read_settings(section: KafkaReadSection) -> KafkaSourceSettings:
    """What is read.

    Raises:
        RecordError: a topic's kind is not told, or `start` needs a group.
    """
    values = section.model_dump(exclude={"topics", "start", "end", "late_seconds"})
    return KafkaSourceSettings(
        {name: None if kind is None else TopicKind(kind) for name, kind in section.topics.items()},
        start=section.start if isinstance(section.start, str) else _at(section.start),
        end=_at(section.end) if isinstance(section.end, dt.datetime) else section.end,
        late_seconds=math.inf if section.late_seconds is None else section.late_seconds,
        **values,
    )


def write_settings(section: KafkaSection, flow: str) -> KafkaSinkSettings:
    """How records and dead letters are written.

    Raises:
        RecordError: two values do not go together.
    """
    if section.write is None:
        # Dead letters alone: each is written at once, there is nothing to commit together.
        return KafkaSinkSettings(flow, transactions=False)
    return KafkaSinkSettings(flow, **section.write.model_dump(exclude={"kinds"}))


def _at(value: dt.datetime) -> AtTime:
    microseconds = (value - _EPOCH) // dt.timedelta(microseconds=1)
    return AtTime(microseconds * _NANOSECONDS_A_MICROSECOND)
