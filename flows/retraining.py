"""The retraining queue in a dataflow: what is worth a label is put aside while streams run.

::

    verdicts, findings ─► nominate ─► pictures ─► admit ─► queue, Kafka
    frames ──────────────────────────────┘

Signals go the same way, with the samples of their windows in place of pictures.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import bytewax.operators as op

from connectors.queue_kafka import prepare
from connectors.queue_sink import QueueSink
from flows.retraining_counts import RetrainingTally
from flows.retraining_pictures import FramePictures, keep_window
from flows.retraining_settings import (
    admission_settings,
    frame_nominations,
    picture_settings,
    queue_settings,
    window_nominations,
)
from operators.retraining import admit
from operators.retraining_nomination import nominate
from operators.retraining_pictures import add_pictures
from operators.retraining_signals import CutSettings, add_signals

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bytewax.operators import KeyedStream

    from connectors.kafka.prepared import Prepared
    from connectors.metrics import Metrics
    from connectors.queue_items import Entry
    from flows.assertions import Assertions
    from flows.config import Configuration
    from flows.counts import RunCounts
    from flows.signals import Classifier
    from operators.alerting import AlertOrigin
    from operators.assertions.monitor import Monitored
    from operators.retraining_settings import AdmissionSettings, Candidates, NominationSettings
    from records import ClassificationBatch, FrameBatch, Reading, StreamEvent, VerdictBatch


@dataclass(frozen=True, slots=True)
class Retraining:
    """What puts items aside, and where.

    Attributes:
        frames: Which frames are nominated.
        windows: Which windows of signals are nominated.
        pictures: Makes the pictures.
        admission: Which nominated items are admitted.
        tally: Counts them.
        queue: Writes them to the queue's file; None for none.
        kafka: The name of the flow that sends them to Kafka; None for none.
    """

    frames: NominationSettings
    windows: NominationSettings
    pictures: FramePictures
    admission: AdmissionSettings
    tally: RetrainingTally
    queue: QueueSink | None = None
    kafka: str | None = None


def load_retraining(
    configuration: Configuration,
    folder: Path,
    assertions: Assertions | None,
    origin: AlertOrigin,
    counts: RunCounts,
    metrics: Metrics,
) -> Retraining | None:
    """What puts items aside in a run; None where its configuration asks for none.

    Args:
        configuration: The configuration.
        folder: Where its relative paths count from.
        assertions: What looks at verdicts and classifications; None for nothing.
        origin: The reference detector, and the configuration's SHA-256.
        counts: Counts what is put aside.
        metrics: Counts it too.
    """
    section = configuration.retraining
    if section is None:
        return None
    path, queue = folder / (section.queue or ""), None
    tally = RetrainingTally(counts, metrics, path.name)
    if section.queue is not None:
        queue = QueueSink(path, queue_settings(section), time.time_ns, tally.added)
    return Retraining(
        frame_nominations(configuration, assertions, origin),
        window_nominations(configuration, assertions, origin),
        FramePictures(picture_settings(section), section.picture_bytes_at_most),
        admission_settings(section),
        tally,
        queue,
        configuration.name if section.kafka else None,
    )


def frames_aside(
    frames: KeyedStream[FrameBatch],
    decided: KeyedStream[VerdictBatch],
    monitored: KeyedStream[Monitored] | None,
    retraining: Retraining,
    shard_of: Callable[[str], str],
) -> KeyedStream[Candidates]:
    """The frames of each stream that are put aside.

    Args:
        frames: All frames.
        decided: The verdicts, as the assertions see them.
        monitored: What the assertions find; None without any.
        retraining: What puts them aside.
        shard_of: The shard of a stream: its frames stay in their process.
    """
    if monitored is None:
        monitored = op.filter_map_value("nothing_found", decided, _nothing)
    nominated = nominate("frames_nominated", decided, monitored, retraining.frames)
    pictured = add_pictures("frames_pictured", frames, nominated, retraining.pictures, shard_of)
    return admit("frames_admitted", pictured, retraining.admission)


def windows_aside(
    signals: KeyedStream[Reading | StreamEvent],
    classified: KeyedStream[ClassificationBatch],
    monitored: KeyedStream[Monitored] | None,
    retraining: Retraining,
    classifier: Classifier,
) -> KeyedStream[Candidates]:
    """The windows of each signal that are put aside; as for frames.

    Args:
        signals: The samples.
        classified: The classes of their windows.
        monitored: What the assertions find; None without any.
        retraining: What puts them aside.
        classifier: Who cut the windows.
    """
    if monitored is None:
        monitored = op.filter_map_value("no_window_found", classified, _nothing)
    nominated = nominate("windows_nominated", classified, monitored, retraining.windows)
    cut = CutSettings(classifier.model.window, classifier.settings.tolerance_seconds)
    pictured = add_signals("windows_cut", signals, nominated, cut, keep_window)
    return admit("windows_admitted", pictured, retraining.admission)


def put_aside(
    aside: list[KeyedStream[Candidates]], retraining: Retraining | None
) -> list[KeyedStream[list[Prepared]]]:
    """Write what is put aside to the queue; the messages that are to go to Kafka.

    Args:
        aside: What is put aside, frames and windows.
        retraining: Where it goes; None for nowhere.
    """
    if retraining is None or not aside:
        return []
    tally, flow = retraining.tally, retraining.kafka
    admitted = op.merge("aside", *aside)
    told = op.inspect("aside_dropped", admitted, lambda _, item: tally.dropped(item[1]))
    if retraining.queue is not None:
        op.output("queue", op.filter_map_value("entries", told, _entries), retraining.queue)
    elif flow is not None:
        told = op.inspect("aside_sent", told, lambda _, item: tally.sent(item[1]))
    if flow is None:
        return []
    return [op.map_value("aside_messages", told, lambda found: _messages(found, flow))]


def _nothing(_: object) -> Monitored | None:
    return None


def _entries(found: Candidates) -> list[Entry] | None:
    return [(one.item, one.data) for one in found.candidates] or None


def _messages(found: Candidates, flow: str) -> list[Prepared]:
    return [prepare((one.item, one.data), flow) for one in found.candidates]
