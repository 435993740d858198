"""The sources of a dataflow: video and Kafka, joined where they bring the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import bytewax.operators as op

from connectors.kafka import KafkaSource, kafka_input
from connectors.video import VideoSettings, VideoSource
from connectors.video.uri import parse_uri
from flows.config import FROM_KAFKA
from flows.kafka import kafka_settings, read_settings
from flows.sinks import MEGABYTE
from records import Verdict, VerdictBatch
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bytewax.dataflow import Dataflow
    from bytewax.operators import KeyedStream

    from connectors.kafka import DeadLetter, Records
    from flows.build import Parts
    from flows.cascades import Cascades
    from flows.config import Configuration, StreamSection
    from records import FrameBatch, Record


@dataclass(frozen=True, slots=True)
class Inputs:
    """What comes into a dataflow.

    Attributes:
        frames: Frames and what befell their streams, keyed by stream.
        verdicts: What other programs detected, keyed by stream; None without Kafka.
        records: Other records that came ready made, keyed by stream; None without Kafka.
        dead_letters: Messages that were not understood; None without Kafka.
    """

    frames: KeyedStream[FrameBatch]
    verdicts: KeyedStream[VerdictBatch] | None = None
    records: KeyedStream[list[Record]] | None = None
    dead_letters: KeyedStream[DeadLetter] | None = None


def open_inputs(flow: Dataflow, configuration: Configuration, parts: Parts) -> Inputs:
    """Add the sources of a configuration to its dataflow."""
    videos = video_settings(configuration.streams, parts.folder, parts.cascades)
    section = configuration.kafka
    video = None
    if videos:
        # Frames must not travel: each process opens the streams that it works on.
        own = [
            name
            for name in videos
            if parts.shards.process(name, parts.member.processes) == parts.member.process
        ]
        source = VideoSource(videos, stop=parts.stop, clock=parts.clock, own=own)
        video = op.input("frames", flow, source)
    if section is None or section.read is None:
        assert video is not None, "a configuration without any input is refused"
        return Inputs(video)
    topics = KafkaSource(
        kafka_settings(section, parts.folder),
        read_settings(section.read),
        stop=parts.stop,
        progress=parts.progress,
    )
    received = kafka_input("kafka", flow, topics)
    frames = received.frames if video is None else op.merge("inputs", video, received.frames)
    return Inputs(
        frames,
        op.filter_map_value("received_verdicts", received.records, _verdicts),
        op.filter_map_value("received_records", received.records, _others),
        op.inspect("buried", received.dead_letters, lambda _, item: parts.buried(item[1])),
    )


def _verdicts(records: Records) -> VerdictBatch | None:
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
