"""A camera and a LIDAR in a running flow: who disagrees, and who is silent."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from connectors.lidar import SCAN_CHANNELS
from connectors.replay import EventLog
from flows import config
from flows.run import RunRequest, run
from records import ConfigurationError, EventKind, Finding, StreamEvent
from tests.support.kafka_broker import create, send
from tests.support.scenes import write_configuration

if TYPE_CHECKING:
    from records import Record
    from tests.support.kafka_broker import Broker
    from tests.support.scenes import Street

MORE = """\
lidars:
  roof: {{camera: gate, {source}, class: car, width: 320, height: 180, missing_seconds: 0.5}}
assertions: {{health: {{}}, outputs: {{}}, alerts: {{only: [agree, missing_partner]}}}}
{more}
"""
SOLID = "1.5,1.6,4.0,0.0,1.5,20.0,0.0"
"""Height, width, length, x, y, z and turn of some car; not projected, since the file has boxes."""


def write_scans(street: Street, *, without: range = range(0), silent: range = range(0)) -> None:
    """The true cars as a LIDAR's boxes: none at some frames, no scan at all from others on."""
    lines = []
    for frame, truth in enumerate(street.truth):
        if frame in silent:
            break
        cars = truth.of_classes(["car"]).boxes.tolist() if frame not in without else []
        # A far car keeps the file's frames in step where there is no other.
        cars.append([0.0, 0.0, 1.0, 1.0])
        lines += [
            f"{frame},2,{x1:.2f},{y1:.2f},{x2:.2f},{y2:.2f},9.0,{SOLID},0.0"
            for x1, y1, x2, y2 in cars
        ]
    (street.folder / "scans.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def run_street(street: Street, source: str = "path: scans.txt", more: str = "") -> list[Record]:
    write_configuration(street, more=MORE.format(source=source, more=more))
    configuration, text = config.load(street.configuration)
    run(RunRequest(configuration, text, street.folder, street.folder / "run"))
    log = EventLog.open(street.folder / "run")
    records = list(log.records())
    assert log.faults == ()
    return records


def test_cars_that_one_sensor_alone_sees_are_found(street: Street) -> None:
    write_scans(street, without=range(40, 80))
    found = [one for one in run_street(street) if isinstance(one, Finding)]
    assert {one.assertion for one in found} == {"agree"}
    camera_alone = {one.sequence for one in found if "detections has a car" in one.message}
    assert len(camera_alone & set(range(40, 80))) > 10
    assert len(camera_alone - set(range(40, 80))) < 5


def test_a_silent_lidar_is_a_finding_and_stalls_nothing(street: Street) -> None:
    write_scans(street, silent=range(60, 120))
    records = run_street(street)
    missing = [one for one in records if isinstance(one, Finding)
               and one.assertion == "missing_partner"]  # fmt: skip
    assert missing[0].start_sequence == 60
    assert missing[0].sequence == 65
    verdicts = [one for one in records if type(one).__name__ == "Verdict"]
    assert len(verdicts) == 120
    ended = [one for one in records if isinstance(one, StreamEvent) and one.stream == "roof"]
    assert [(one.kind, one.count) for one in ended] == [(EventKind.ENDED, 60)]


def test_scans_come_over_kafka_and_bad_ones_are_told(street: Street, broker: Broker) -> None:
    (street.folder / "calibration.txt").write_text(
        "P2: 700 0 160 0 0 700 90 0 0 0 1 0\nR0_rect: 1 0 0 0 1 0 0 0 1\n"
        "Tr_velo_to_cam: 0 -1 0 0 0 0 -1 0 1 0 0 0\n",
        encoding="utf-8",
    )
    settings = broker.settings()
    create(settings, "readings", "deadletters")
    messages = []
    for frame in range(120):
        row = dict.fromkeys(SCAN_CHANNELS, 1.0) | {"type": 2.0 if frame else 7.0, "score": 9.0}
        reading = {
            "stream": "roof", "sequence": frame, "time_ns": frame * 10**8, "rate_hz": 10.0,
            "samples": [list(row.values())], "channels": list(row), "units": [""] * len(row),
        }  # fmt: skip
        messages.append(
            ("roof", json.dumps(reading).encode(), {"content-type": "application/json"})
        )
    send(settings, settings.topic("readings"), messages)
    more = (
        f'kafka: {{servers: ["{settings.servers}"], topic_prefix: {settings.topic_prefix},'
        f" read: {{topics: {{{settings.topic('readings')}: null}}, end: latest}}}}\n"
    )
    records = run_street(street, "calibration: calibration.txt, wait_seconds: 1000", more)
    events = [one for one in records if isinstance(one, StreamEvent)]
    (bad,) = [one for one in events if one.reason == "lidar_scan"]
    assert (bad.stream, bad.kind, bad.count) == ("roof", EventKind.CORRUPT, 1)
    assert "type must be one of 1, 2, 3, got 7" in bad.detail
    assert any(isinstance(one, Finding) and one.assertion == "agree" for one in records)


def test_what_a_lidar_needs_is_checked_before_anything_starts(street: Street) -> None:
    more = "lidars:\n  roof: {camera: nobody}\n  side: {camera: gate, path: missing.txt}\n"
    write_configuration(street, more=more)
    with pytest.raises(ConfigurationError) as caught:
        config.load(street.configuration)
    faults = [str(fault).partition(": ")[2] for fault in caught.value.faults]
    assert faults == [
        "lidars: are of no use without assertions. Add assertions: {} to let cameras and LIDARs "
        "agree.",
        "lidars.roof.calibration: does not do: roof needs a calibration: readings hold no "
        "projection. Name KITTI's calibration file of the camera.",
        "lidars.roof.camera: is no stream (got 'nobody'). Name the stream of the camera beside it.",
        "lidars.roof.path: is missing. Name a file, or what is read under kafka.read.",
        "lidars.side.path: is no file (got 'missing.txt'). Relative paths count from "
        f"{street.folder.resolve()}.",
    ]
