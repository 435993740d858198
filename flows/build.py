"""From a configuration to a bytewax dataflow.

::

    frames ─► events ─────────────────────────────────────────┐
       ├────► observe ─► windows ─────────────────────────────┤
       └────► cascade ─► track ─┬─► verdicts, audit, contract ─┼─► records ─► every sink
                                └─► episodes ─────────────────┘

The items between the steps are batches, keyed by stream; the sinks take lists of records.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from typing_extensions import override

from connectors.video import VideoSettings, VideoSource
from connectors.video.uri import parse_uri
from flows.sinks import MEGABYTE
from flows.windows import observe_settings, window_proxies, window_settings
from models.detectors import DetectorSettings
from operators.alerting import AlertOrigin, CountRule, episodes
from operators.cascade import cascade
from operators.observe import observe
from operators.track import TrackSettings, track
from operators.window import window
from records.units import NANOSECONDS

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from bytewax.operators import KeyedStream
    from bytewax.outputs import Sink

    from flows.cascades import Cascades
    from flows.config import AlertSection, Configuration, StreamSection, WindowSection
    from records import Alert, Clock, FrameBatch, Record, VerdictBatch

Records = tuple[str, "Sequence[Record]"]
"""What a sink takes: a stream's name and records of that stream."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a dataflow is built from, besides its configuration.

    Attributes:
        cascades: The cascades and their models.
        origin: What stands behind the alerts.
        sinks: The sinks, by the name of their step.
        observe: Called with every item that goes to the sinks, in the worker that made it.
        entered: Called with every batch of frames that a source emits.
        stop: Set it to end all sources; what they have emitted is still decided.
        clock: The time for live sources.
        folder: Where relative paths in the configuration count from.
    """

    cascades: Cascades
    origin: AlertOrigin
    sinks: Mapping[str, Sink[Records]]
    observe: Callable[[Records], None]
    entered: Callable[[FrameBatch], None]
    stop: threading.Event
    clock: Clock
    folder: Path


def build(configuration: Configuration, parts: Parts) -> Dataflow:
    """Build the dataflow of a configuration. Nothing runs yet."""
    flow = Dataflow(flow_id(configuration.name))
    source = VideoSource(
        video_settings(configuration.streams, parts.folder, parts.cascades),
        stop=parts.stop,
        clock=parts.clock,
    )
    frames = op.inspect(
        "entered", op.input("frames", flow, source), lambda _, item: parts.entered(item[1])
    )
    made = parts.cascades
    decided = cascade("cascade", frames, made.settings, made.models, _shard, made.streams)
    if configuration.track is not None:
        settings = TrackSettings(**configuration.track.model_dump())
        decided = track("track", decided, settings)
    outputs = [
        op.filter_map_value("events", frames, _events),
        op.filter_map_value("verdicts", decided, _verdicts),
    ]
    if configuration.alerts:
        rules = [count_rule(alert) for alert in configuration.alerts]
        outputs.append(
            op.map_value("alerts", episodes("rules", decided, rules, parts.origin), list)
        )
    for place, section in enumerate(configuration.windows):
        outputs += _windows(f"windows_{place}", frames, section, configuration, parts)
    _write(outputs, parts)
    return flow


def _windows(
    step: str,
    frames: KeyedStream[FrameBatch],
    section: WindowSection,
    configuration: Configuration,
    parts: Parts,
) -> list[KeyedStream[list[Record]]]:
    """The estimates of one section's windows, and what is to be said of them."""
    observed = observe(
        f"{step}_observe",
        frames,
        observe_settings(section, configuration),
        parts.cascades.models.reference,
        window_proxies(section, parts.cascades),
        _shard,
    )
    told = window(f"{step}_window", observed, window_settings(section))
    return [
        op.map_value(f"{step}_estimates", told.estimates, _one),
        op.map_value(f"{step}_events", told.events, _one),
    ]


def _one(record: Record) -> list[Record]:
    return [record]


def _write(outputs: list[KeyedStream[list[Record]]], parts: Parts) -> None:
    records = op.inspect("observe", op.merge("records", *outputs), lambda _, i: parts.observe(i))
    for name, sink in parts.sinks.items():
        op.output(name, records, sink)
    if not parts.sinks:
        # The engine wants an output, and a run without sinks may still be watched.
        op.output("nowhere", records, Nowhere())


class _NowherePartition(StatelessSinkPartition[Any]):
    @override
    def write_batch(self, items: list[Any]) -> None:
        """Let the records go."""


class Nowhere(DynamicSink[Any]):
    """The output of a run that only observes."""

    @override
    def build(self, step_id: str, worker_index: int, worker_count: int) -> _NowherePartition:
        return _NowherePartition()


def _events(batch: FrameBatch) -> list[Record] | None:
    return list(batch.events) or None


def _verdicts(batch: VerdictBatch) -> list[Record] | None:
    return [*batch.verdicts, *batch.reports] or None


def _alerts(changes: tuple[Alert, ...]) -> list[Record]:
    return list(changes)


def _shard(_: str) -> str:
    """One shard: the streams of a process share the models and their batches."""
    return "0"


def flow_id(name: str) -> str:
    """A name as the engine wants it: without dots, which part its step ids.

    >>> flow_id("shop.north")
    'shop_north'
    """
    return name.replace(".", "_")


def video_settings(
    streams: Mapping[str, StreamSection], folder: Path, cascades: Cascades | None = None
) -> dict[str, VideoSettings]:
    """The video settings of each stream, relative paths counted from `folder`.

    Args:
        streams: The streams.
        folder: Where relative paths count from.
        cascades: Tell which streams are decoded on demand where the configuration does not.
    """
    return {
        name: _video(section, folder, packets=_begins_with_packets(cascades, name))
        for name, section in streams.items()
    }


def _begins_with_packets(cascades: Cascades | None, stream: str) -> bool:
    return cascades is not None and any(plan.packets for plan in cascades.plans(stream))


def _video(section: StreamSection, folder: Path, *, packets: bool) -> VideoSettings:
    others = {"uri", "start", "decode", "packet_megabytes", "zone", "masks", "trained"}
    values = section.model_dump(exclude=others)
    path = parse_uri(section.uri).path
    uri = section.uri if path is None else str(folder / path)
    start_ns = None
    if section.start is not None:
        # In whole microseconds, since a float of seconds would lose some.
        seconds = int(section.start.timestamp())
        start_ns = seconds * NANOSECONDS + section.start.microsecond * 1000
    return VideoSettings(
        uri=uri,
        start_ns=start_ns,
        decode=section.decode or ("on_demand" if packets else "ahead"),
        packet_bytes_in_memory=section.packet_megabytes * MEGABYTE,
        **values,
    )


def detector_settings(configuration: Configuration, folder: Path) -> DetectorSettings:
    """The detector's settings."""
    section = configuration.detector
    return DetectorSettings(
        model=section.model,
        weights=None if section.weights is None else str(folder / section.weights),
        device=section.device,
        score_at_least=section.score_at_least,
        iou_at_most=section.overlap_at_most,
        batch_size=section.batch,
        threads=section.threads,
        classes=tuple(section.classes),
    )


def count_rule(section: AlertSection) -> CountRule:
    """The rule of an alert section."""
    values = section.model_dump()
    values["streams"] = tuple(section.streams)
    if section.update_seconds is None:
        values["update_seconds"] = math.inf
    return CountRule(**values)
