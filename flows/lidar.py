"""LIDARs in a dataflow: scans from files and Kafka, joined with what cameras saw at the time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import bytewax.operators as op

from connectors.lidar import ScanSettings, scan_of
from connectors.lidar_calibration import read_calibration
from connectors.lidar_source import LidarSource
from operators.assertions.agree import Agree
from operators.assertions.agreement import AgreeSettings
from operators.assertions.missing_partner import MissingPartner
from operators.assertions.only_on import OnlyOn
from operators.join import join
from operators.join_settings import JoinSettings
from records import EventKind, Reading, RecordError, StreamEvent
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bytewax.dataflow import Dataflow
    from bytewax.operators import KeyedStream

    from flows.build import Parts
    from flows.config import LidarSection
    from operators.assertions.api import Assertion, MomentBatch
    from operators.join_settings import Sensed
    from records import Record, VerdictBatch
    from records.range_boxes import RangeBoxes

FOREVER_SECONDS = 1e9
"""How long frames wait for scans of a file, seconds of event time; the join bounds their number."""

BAD_SCAN = "lidar_scan"
"""The reason of an event: a reading was no scan."""


@dataclass(frozen=True, slots=True)
class Lidars:
    """The LIDARs of a flow.

    Attributes:
        sections: What the configuration says of each, by the name of its stream.
        scans: How boxes become scans, likewise.
        files: The file of each that is read from one.
    """

    sections: Mapping[str, LidarSection]
    scans: Mapping[str, ScanSettings]
    files: Mapping[str, Path]


def load_lidars(sections: Mapping[str, LidarSection], folder: Path) -> Lidars:
    """Read the calibrations.

    Args:
        sections: The sections, by the name of their stream.
        folder: Where relative paths count from.

    Raises:
        SightflowError: a calibration cannot be read, or is needed.
    """
    scans = {}
    for name, section in sections.items():
        calibration = None
        if section.calibration is not None:
            path = folder / section.calibration
            calibration = read_calibration(path, section.width, section.height)
        elif section.path is None:
            raise RecordError(f"{name} needs a calibration: readings hold no projection")
        start = section.start
        scans[name] = ScanSettings(
            name,
            section.rate_hz,
            0 if start is None else int(start.timestamp() * 10**6) * (NANOSECONDS // 10**6),
            calibration,
            section.sensor_coordinates,
        )
    files = {name: folder / one.path for name, one in sections.items() if one.path is not None}
    return Lidars(sections, scans, files)


def lidar_assertions(sections: Mapping[str, LidarSection]) -> list[Assertion]:
    """That each LIDAR agrees with its camera, and is there."""
    made: list[Assertion] = []
    for name, section in sections.items():
        settings = AgreeSettings(
            sensor=name,
            class_name=section.class_name,
            width=section.width,
            height=section.height,
            overlap=section.overlap,
        )
        label = "agree" if len(sections) == 1 else f"agree {name}"
        made.append(OnlyOn(Agree(settings, label), frozenset({section.camera})))
    cameras = {section.camera for section in sections.values()}
    for camera in sorted(cameras):
        partners = tuple(name for name, one in sections.items() if one.camera == camera)
        after = max(sections[name].missing_seconds for name in partners)
        label = "missing_partner" if len(cameras) == 1 else f"missing_partner {camera}"
        made.append(OnlyOn(MissingPartner(partners, after, label), frozenset({camera})))
    return made


@dataclass(frozen=True, slots=True)
class Sighted:
    """What LIDARs bring into a dataflow.

    Attributes:
        scans: Scans, keyed by the LIDAR's stream.
        records: What befell the LIDARs, likewise.
    """

    scans: KeyedStream[tuple[Sensed, ...]]
    records: KeyedStream[list[Record]]


def open_lidars(
    flow: Dataflow, lidars: Lidars, parts: Parts, readings: KeyedStream[Reading] | None
) -> Sighted:
    """Add the scans of files, and of readings that are a LIDAR's.

    Args:
        flow: The dataflow.
        lidars: The LIDARs.
        parts: What the dataflow is built from.
        readings: The readings of Kafka; None without.
    """
    sources: list[KeyedStream[Any]] = []
    if lidars.files:
        files = {name: (path, lidars.scans[name]) for name, path in lidars.files.items()}
        own = [
            name
            for name in files
            if parts.shards.process(name, parts.member.processes) == parts.member.process
        ]
        sources.append(op.input("lidars", flow, LidarSource(files, stop=parts.stop, own=own)))
    if readings is not None:

        def scanned(item: tuple[str, Reading]) -> list[tuple[str, Any]]:
            settings = None if item[0] in lidars.files else lidars.scans.get(item[0])
            return [] if settings is None else [(item[0], _scan(item[1], settings))]

        sources.append(op.flat_map("scanned", readings, scanned))
    both = op.merge("lidar_items", *sources)
    return Sighted(
        op.filter_map_value("scans", both, lambda item: item if isinstance(item, tuple) else None),
        op.filter_map_value(
            "lidar_events", both, lambda item: [item] if isinstance(item, StreamEvent) else None
        ),
    )


def _scan(reading: Reading, settings: ScanSettings) -> tuple[RangeBoxes, ...] | StreamEvent:
    """A reading as a scan; one that is none is told of and left out, the reading itself stays."""
    try:
        return (scan_of(reading, settings),)
    except RecordError as error:
        return StreamEvent(
            reading.stream, reading.time_ns, EventKind.CORRUPT, 1, BAD_SCAN, str(error)
        )


def joined(
    decided: KeyedStream[VerdictBatch], sighted: Sighted, lidars: Lidars
) -> KeyedStream[MomentBatch]:
    """The moments of cameras, each with the scans of its LIDARs."""
    partners: dict[str, tuple[str, ...]] = {}
    for name, section in lidars.sections.items():
        partners[section.camera] = (*partners.get(section.camera, ()), name)
    # Files are read as fast as they can be, and none keeps step with the others: frames wait for
    # the file itself, not for its time.
    recorded = all(section.path is not None for section in lidars.sections.values())
    wait = max(section.wait_seconds for section in lidars.sections.values())
    settings = JoinSettings(
        partners,
        max(section.tolerance_seconds for section in lidars.sections.values()),
        FOREVER_SECONDS if recorded else wait,
    )
    return join("lidar_join", decided, sighted.scans, settings)
