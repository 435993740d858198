"""The sources of a dataflow: video, signals and Kafka, joined where they bring the same."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import bytewax.operators as op

from connectors.kafka import KafkaSource, kafka_input
from connectors.video import VideoSettings, VideoSource
from connectors.video.uri import parse_uri
from connectors.wfdb import WfdbSettings, WfdbSource
from flows.config import FROM_KAFKA
from flows.kafka import kafka_settings, read_settings
from flows.lidar import Sighted, open_lidars
from flows.sinks import MEGABYTE
from records import Reading, Verdict, VerdictBatch
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from bytewax.dataflow import Dataflow
    from bytewax.operators import KeyedStream

    from connectors.kafka import DeadLetter, Records
    from flows.build import Parts
    from flows.cascades import Cascades
    from flows.config import Configuration, SignalSection, StreamSection
    from records import FrameBatch, Record, StreamEvent


@dataclass(frozen=True, slots=True)
class Inputs:
    """What comes into a dataflow.

    Attributes:
        frames: Frames and what befell their streams, keyed by stream; None where none can come.
        verdicts: What other programs detected, keyed by stream; None without Kafka.
        records: Other records that came ready made, keyed by stream; None without Kafka.
        dead_letters: Messages that were not understood; None without Kafka.
        signals: Blocks of samples and what befell their streams; None where none can come.
        sighted: Scans of LIDARs; None without.
    """

    frames: KeyedStream[FrameBatch] | None
    verdicts: KeyedStream[VerdictBatch] | None = None
    records: KeyedStream[list[Record]] | None = None
    dead_letters: KeyedStream[DeadLetter] | None = None
    signals: KeyedStream[Reading | StreamEvent] | None = None
    sighted: Sighted | None = None


def open_inputs(flow: Dataflow, configuration: Configuration, parts: Parts) -> Inputs:
    """Add the sources of a configuration to its dataflow."""
    video, signals = _video_source(flow, configuration, parts), None
    if configuration.signals:
        played = wfdb_settings(configuration.signals, parts.folder)
        own = {name: one for name, one in played.items() if _is_own(name, parts)}
        source = WfdbSource(played, stop=parts.stop, clock=parts.clock, own=own)
        signals = op.input("signals", flow, source)
    section, lidars = configuration.kafka, parts.lidars
    if section is None or section.read is None:
        sighted = None if lidars is None else open_lidars(flow, lidars, parts, None)
        return Inputs(video, signals=signals, sighted=sighted)
    topics = KafkaSource(
        kafka_settings(section, parts.folder),
        read_settings(section.read),
        stop=parts.stop,
        progress=parts.progress,
    )
    received = kafka_input("kafka", flow, topics)
    # What befell the streams is told already, with the other records.
    readings: KeyedStream[Any] = op.flat_map_value("readings", received.records, _readings)
    if configuration.classifier is not None:
        signals = readings if signals is None else op.merge("all_signals", signals, readings)
    return Inputs(
        received.frames if video is None else op.merge("inputs", video, received.frames),
        op.filter_map_value("received_verdicts", received.records, _received_verdicts),
        op.filter_map_value("received_records", received.records, _others),
        op.inspect("buried", received.dead_letters, lambda _, item: parts.buried(item[1])),
        signals,
        None if lidars is None else open_lidars(flow, lidars, parts, readings),
    )


def _video_source(
    flow: Dataflow, configuration: Configuration, parts: Parts
) -> KeyedStream[FrameBatch] | None:
    videos = video_settings(configuration.streams, parts.folder, parts.cascades)
    if not videos:
        return None
    # Frames must not travel: each process opens the streams that it works on.
    own = [name for name in videos if _is_own(name, parts)]
    source = VideoSource(videos, stop=parts.stop, clock=parts.clock, own=own)
    return op.input("frames", flow, source)


def _is_own(stream: str, parts: Parts) -> bool:
    return parts.shards.process(stream, parts.member.processes) == parts.member.process


def _readings(records: Records) -> list[Reading]:
    return [record for record in records if isinstance(record, Reading)]


def wfdb_settings(signals: Mapping[str, SignalSection], folder: Path) -> dict[str, WfdbSettings]:
    """The records of each signal, relative paths counted from `folder`; folders by name.

    Raises:
        RecordError: a signal has no record.
    """
    return {
        name: WfdbSettings(
            tuple(path for text in section.records for path in _headers(folder / text)),
            block_seconds=section.block_seconds,
            start_ns=None if section.start is None else _nanoseconds(section.start),
            pause_seconds=section.pause_seconds,
            speed=math.inf if section.speed is None else section.speed,
        )
        for name, section in signals.items()
    }


def _headers(path: Path) -> list[Path]:
    return sorted(path.glob("*.hea")) if path.is_dir() else [path]


def _nanoseconds(time: datetime) -> int:
    # In whole microseconds, since a float of seconds would lose some.
    return int(time.timestamp()) * NANOSECONDS + time.microsecond * 1000


def _received_verdicts(records: Records) -> VerdictBatch | None:
    verdicts = tuple(record for record in records if isinstance(record, Verdict))
    return VerdictBatch(verdicts[0].stream, verdicts) if verdicts else None


def _others(records: Records) -> list[Record] | None:
    return [record for record in records if not isinstance(record, Verdict)] or None


def video_settings(
    streams: Mapping[str, StreamSection], folder: Path, cascades: Cascades | None = None
) -> dict[str, VideoSettings]:
    """The video settings of each stream that is no Kafka one, relative paths from `folder`.

    Args:
        streams: The streams.
        folder: Where relative paths count from.
        cascades: Tell which streams are decoded on demand where the configuration does not.
    """
    return {
        name: _video(section, folder, packets=_begins_with_packets(cascades, name))
        for name, section in streams.items()
        if section.uri != FROM_KAFKA
    }


def _begins_with_packets(cascades: Cascades | None, stream: str) -> bool:
    return cascades is not None and any(plan.packets for plan in cascades.plans(stream))


def _video(section: StreamSection, folder: Path, *, packets: bool) -> VideoSettings:
    others = {"uri", "start", "decode", "packet_megabytes", "zone", "masks", "trained"}
    values = section.model_dump(exclude=others)
    path = parse_uri(section.uri).path
    uri = section.uri if path is None else str(folder / path)
    return VideoSettings(
        uri=uri,
        start_ns=None if section.start is None else _nanoseconds(section.start),
        decode=section.decode or ("on_demand" if packets else "ahead"),
        packet_bytes_in_memory=section.packet_megabytes * MEGABYTE,
        **values,
    )
