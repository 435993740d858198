"""2,000,000 records: the memory stays at the level that it has after 10,000.

``sightflow run`` reads detections in JSON and writes verdicts to another topic; the messages are
made while it runs, a bounded number ahead of it. Its resident memory is read beside it.
"""

from __future__ import annotations

import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.chaos.bars import ChaosError, Row, Trial
from benchmarks.chaos.flow import TopicFlow
from benchmarks.chaos.messages import KINDS, detection, ends, fill, running_broker
from tests.support.kafka_broker import create

if TYPE_CHECKING:
    from connectors.kafka import KafkaSettings

RECORDS, QUICK_RECORDS = 2_000_000, 40_000
"""How many records go through."""

LEVEL_RECORDS = 10_000
"""After so many the level is taken."""

MOST_GROWTH_BYTES = 50_000_000
"""By how much memory may grow beyond it."""

AHEAD = 40_000
"""How many messages are made ahead of the run."""

CHUNK = 5_000
"""How many are made at once."""

STUCK_SECONDS = 120.0
"""When the run writes nothing for so long, it is stuck, seconds."""

_POLL_SECONDS = 0.1
_KIBIBYTE = 1024


def resident_bytes(pid: int) -> int:
    """The resident memory of a process, bytes."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * _KIBIBYTE


def bars(trial: Trial) -> list[Row]:
    """One row."""
    records = trial.size(RECORDS, QUICK_RECORDS)
    with running_broker(trial.folder) as broker:
        source, target = broker.settings(), broker.settings()
        (topic,) = create(source, "detections")
        create(target, *KINDS)
        # Without transactions, so that each record is one offset of the topic written.
        with TopicFlow(
            trial.folder / "flow", topic, target, transactions=False, recover=False, logged=False
        ) as flow:
            curve = _followed(flow, source, target, records)
            flow.end()
    level = next(size for count, size in curve if count >= LEVEL_RECORDS)
    peak = max(size for count, size in curve if count >= LEVEL_RECORDS)
    growth = peak - level
    return [
        Row(
            f"memory over {records} records",
            f"{growth / 1e6:+.1f} MB beyond the {level / 1e6:.0f} MB after {LEVEL_RECORDS}",
            f"< {MOST_GROWTH_BYTES / 1e6:.0f} MB",
            growth < MOST_GROWTH_BYTES,
            {
                "records": records, "level_bytes": level, "peak_bytes": peak,
                "curve": curve[:: max(1, len(curve) // 40)],
            },
        )
    ]  # fmt: skip


def _followed(
    flow: TopicFlow, source: KafkaSettings, target: KafkaSettings, records: int
) -> list[tuple[int, int]]:
    """Feed a run to the end; the records written, and its resident memory then, bytes."""
    numbers, made = iter(range(records)), 0
    topic, out = source.topic("detections"), target.topic("detections")
    curve: list[tuple[int, int]] = []
    written, since = 0, time.monotonic()
    while written < records:
        if flow.failed:
            raise ChaosError(f"the run failed: {flow.told[-2000:]}")
        if made < min(records, written + AHEAD):
            made += fill(source, topic, map(detection, islice(numbers, CHUNK)))
        else:
            time.sleep(_POLL_SECONDS)
        before, written = written, ends(target, out)
        if written > before:
            since = time.monotonic()
            curve.append((written, resident_bytes(flow.pid)))
        elif time.monotonic() - since > STUCK_SECONDS:
            raise ChaosError(f"the run is stuck at {written} records: {flow.told[-2000:]}")
    return curve
