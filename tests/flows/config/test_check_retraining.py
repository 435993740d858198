from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from connectors.queue import RetrainingQueue
from flows import config
from flows.assertions import load_assertions
from flows.config import AssertionsSection
from flows.retraining_settings import (
    LEAST_HOLD_SECONDS,
    admission_settings,
    frame_nominations,
    picture_settings,
    queue_settings,
    window_nominations,
)
from operators.alerting import AlertOrigin
from operators.retraining_settings import AdmissionSettings
from records import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from flows.config import Configuration

TEXT = """\
version: 1
name: street
streams:
  gate: {uri: clip.mp4}
  yard: {uri: "rtsp://user:secret@yard.local/main"}
signals: {bed: {records: [H1.hea, H2.hea]}}
"""


def parse(folder: Path, text: str) -> Configuration:
    for name in ("clip.mp4", "H1.hea", "H2.hea"):
        (folder / name).touch()
    return config.parse(TEXT + text, "a.yaml", folder, {})


def faults(folder: Path, text: str) -> list[tuple[str, str]]:
    with pytest.raises(ConfigurationError) as caught:
        parse(folder, text)
    return [(one.key, f"{one.problem}. {one.remedy}") for one in caught.value.faults]


def test_a_queue_is_all_that_must_be_said(tmp_path: Path) -> None:
    section = parse(tmp_path, "retraining: {queue: queue.sqlite3}\n").retraining
    assert section is not None
    assert (section.kafka, section.crop, section.hold_seconds) == (False, "frame", None)
    assert section.picture_bytes_at_most == 268_435_456
    assert queue_settings(section).most_items == 10_000
    assert queue_settings(section).keep_seconds == 30 * 86_400
    assert admission_settings(section) == AdmissionSettings()
    assert picture_settings(section).side_at_most == 1280


@pytest.mark.parametrize(
    ("text", "key", "told"),
    [
        (
            "retraining: {}",
            "retraining",
            "puts items nowhere. Name a file under retraining.queue, or set "
            "retraining.kafka: true.",
        ),
        (
            "retraining: {kafka: true}",
            "retraining.kafka",
            "needs kafka.write. Add kafka.write, which says how messages are written.",
        ),
        (
            "retraining: {queue: q.sqlite3, busy_seconds: 9999}",
            "retraining",
            "has values that do not fit. The busy_seconds must be 0 to 3600, got 9999.0.",
        ),
        (
            "retraining: {queue: clip.mp4/q.sqlite3}",
            "retraining.queue",
            "cannot be made, since PATH/clip.mp4 is no folder. Name a folder you may write in.",
        ),
        (
            "retraining: {queue: q.sqlite3, near_bits: 65}",
            "retraining.near_bits",
            "must be at most 64. Pictures whose 64-bit fingerprints differ in at most so many bits "
            "are one; -1 = never.",
        ),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, key: str, told: str) -> None:
    assert faults(tmp_path, text) == [(key, told.replace("PATH", str(tmp_path)))]


def test_a_file_that_is_no_queue_is_told_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "diary.txt").write_text("dear diary " * 100, encoding="utf-8")
    ((key, told),) = faults(tmp_path, "retraining: {queue: diary.txt}")
    assert key == "retraining.queue"
    assert told.startswith(f"is no queue: the queue {tmp_path}/diary.txt cannot be opened: ")
    assert told.endswith("Name a file of your own for the queue.")
    RetrainingQueue(tmp_path / "real.sqlite3").close()
    assert parse(tmp_path, "retraining: {queue: real.sqlite3}").retraining is not None


def test_frames_and_windows_wait_as_long_as_their_assertions_look_back(tmp_path: Path) -> None:
    configuration = parse(tmp_path, "retraining: {queue: q.sqlite3, random_seconds: 60}\n")
    origin = AlertOrigin("yolox_nano", "c" * 64)
    assertions = load_assertions(AssertionsSection(), tmp_path)
    frames = frame_nominations(configuration, assertions, origin)
    assert (frames.hold_seconds, frames.random_seconds) == (3.0, 60.0)
    assert frames.ignored == assertions.health_names
    assert frames.uris == {"gate": "clip.mp4", "yard": "rtsp://***@yard.local/main"}
    assert (frames.model, frames.configuration) == ("yolox_nano", "c" * 64)
    windows = window_nominations(configuration, assertions, origin)
    assert (windows.hold_seconds, windows.model) == (30.0, "")
    assert windows.uris == {"bed": "H1.hea, H2.hea"}
    assert frame_nominations(configuration, None, origin).hold_seconds == 0.0
    quick = load_assertions(AssertionsSection(outputs={"multibox": {}}), tmp_path)
    assert frame_nominations(configuration, quick, origin).hold_seconds == LEAST_HOLD_SECONDS
    asked = parse(tmp_path, "retraining: {queue: q.sqlite3, hold_seconds: 7}\n")
    assert frame_nominations(asked, assertions, origin).hold_seconds == 7.0
