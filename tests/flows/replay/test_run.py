from __future__ import annotations

import shutil
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from connectors.pace import Speed
from connectors.receiver import WebhookReceiver
from connectors.replay import EventLog
from connectors.webhook_settings import new_secret
from flows import config
from flows.replay import OpenOptions, RecordDigest, ReplayRequest, open_recording, replay
from records import Alert, Estimate, EventKind, Stage, StreamEvent, Verdict
from tests.support.recordings import Town, replay_for, replay_town

if TYPE_CHECKING:
    from pathlib import Path

    from records import Record

FRAMES = 60 + 40


def recorded(town: Town) -> list[Record]:
    log = EventLog.open(town.log)
    records = list(log.records())
    assert log.faults == ()
    return records


def placeless(records: list[Record]) -> list[Record]:
    """The records but for the beginnings of streams, which tell where the videos are."""
    opened = EventKind.OPENED
    return [one for one in records if getattr(one, "kind", None) is not opened]


def digest_of(records: list[Record]) -> str:
    digest = RecordDigest()
    for record in records:
        digest.add(record.stream, [record])
    return digest.hexdigest()


def by_id(records: list[Any]) -> dict[str, Any]:
    return {record.id: record for record in records}


def test_a_log_through_its_own_configuration_gives_what_was_recorded(town: Town) -> None:
    replayed = replay_town(town, town.write(), town.log)
    before = recorded(town)
    assert by_id(replayed.records) == by_id(before)
    assert replayed.summary.sha256 == digest_of(before)
    run = replayed.summary.run
    assert (run.frames, run.detector_frames, run.stopped) == (FRAMES, 0, False)
    alerts = sum(isinstance(record, Alert) for record in before)
    assert alerts >= 2
    assert replayed.summary.notes == {
        "left_out": [], "told_anew": {"alert": alerts}, "faults": [],
    }  # fmt: skip
    assert replayed.summary.records == Counter({"alert": alerts, "event": 4, "verdict": FRAMES})


def test_frames_decided_anew_give_the_same_again(town: Town) -> None:
    decoded = replay_town(town, town.write(), town.log, OpenOptions(decode=True))
    videos = replay_town(town, town.write(), town.videos)
    assert decoded.summary.sha256 == videos.summary.sha256
    assert by_id(placeless(videos.records)) == by_id(placeless(recorded(town)))
    opened = [one.detail for one in videos.of(StreamEvent) if one.kind is EventKind.OPENED]
    assert opened == ["gate.mp4: h264 320x180 at 10 Hz", "till.mp4: h264 320x180 at 8 Hz"]
    run = videos.summary.run
    assert (run.frames, run.detector_frames) == (FRAMES, run.decided[Stage.REFERENCE])
    assert 0 < run.detector_frames < FRAMES
    assert videos.summary.holds == "frames"


def test_verdicts_come_in_event_time_order_across_streams(town: Town) -> None:
    for recording in (town.log, town.videos):
        verdicts = replay_town(town, town.write(), recording).of(Verdict)
        order = [(verdict.time_ns, verdict.stream) for verdict in verdicts]
        assert order == sorted(order)
        assert {stream for _, stream in order[:10]} == {"gate", "till"}


def test_another_configuration_alerts_otherwise_and_tracks_anew(town: Town) -> None:
    usual = replay_town(town, town.write(), town.log)
    path = town.write("other.yaml", at_least=4, more="track: {confirm_frames: 8}")
    other = replay_town(town, path, town.log)
    assert min(alert.peak for alert in other.of(Alert)) >= 4
    tracked = [
        sum(int((verdict.answer.tracks >= 0).sum()) for verdict in replayed.of(Verdict))
        for replayed in (usual, other)
    ]
    assert 0 < tracked[1] < tracked[0]
    assert usual.summary.sha256 != other.summary.sha256
    kept = replay_town(town, town.write("kept.yaml", more="track: null"), town.log)
    assert by_id(kept.of(Verdict)) == by_id(usual.of(Verdict))


def test_the_pace_changes_nothing_else(town: Town) -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    path = town.write()
    fast = replay_town(town, path, town.log)
    paced = replay_town(town, path, town.log, speed=Speed(2.0), clock=lambda: now[0], sleep=sleep)
    assert paced.records == fast.records
    assert (fast.summary.speed, paced.summary.speed) == ("max", "2")
    assert paced.summary.span_ns == 5_900_000_000
    assert now[0] == pytest.approx(5.9 / 2)


def test_a_replay_leaves_a_run_of_its_own(town: Town, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in town.log.rglob("*") if path.is_file()}
    secret = new_secret()
    hooks = '  webhooks: [{url: "${URL}", secrets: ["${SECRET}"], allow_private: true}]'
    path = town.write("hooks.yaml", more=hooks)
    with WebhookReceiver(secret) as receiver:
        environment = {"URL": receiver.url, "SECRET": secret}
        configuration, text = config.load(path, environment)
        quiet = replay_for(
            configuration, text, town, town.log, keep=True, run_dir=tmp_path / "quiet"
        )
        assert receiver.received == []
        loud = replay_for(
            configuration, text, town, town.log, keep=True, run_dir=tmp_path / "loud", deliver=True
        )
        assert len(receiver.received) == len(quiet.of(Alert)) == loud.summary.run.delivered
    assert (quiet.summary.sinks_left_out, loud.summary.sinks_left_out) == (("webhooks",), ())
    log = EventLog.open(tmp_path / "quiet")
    assert digest_of(list(log.records())) == quiet.summary.sha256
    assert log.manifest.configuration == text
    lines = (tmp_path / "quiet" / "out.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == len(quiet.records)
    assert before == {path: path.read_bytes() for path in town.log.rglob("*") if path.is_file()}


def test_stopping_it(town: Town) -> None:
    stop = threading.Event()
    seen: list[Any] = []

    def observe(item: Any) -> None:
        seen.append(item)
        stop.set()

    configuration, text = config.load(town.write())
    opened = open_recording(str(town.log), configuration, town.folder)
    request = ReplayRequest(opened, configuration, text, town.folder, keep=False, observe=observe)
    summary = replay(request, stop)
    assert summary.run.stopped
    assert 0 < sum(summary.run.decided.values()) < FRAMES


def test_a_damaged_log_is_replayed_as_far_as_it_goes(town: Town, tmp_path: Path) -> None:
    shutil.copytree(town.log, tmp_path / "run")
    segment = tmp_path / "run" / "log" / "gate" / "00000000.seg"
    segment.write_bytes(segment.read_bytes()[:-20])
    replayed = replay_town(town, town.write(), tmp_path / "run")
    assert not replayed.summary.good
    (fault,) = replayed.summary.notes["faults"]
    assert fault.startswith("gate/00000000.seg at byte ")
    assert len(replayed.of(StreamEvent, "till")) == 2


def test_an_audit_that_was_recorded_is_replayed_with_the_verdicts(
    town: Town, tmp_path: Path
) -> None:
    cascade = (
        "{difference: {threshold: 100}, predicate: {class: person}, "
        "contract: {recall: 0.9, precision: 0.9, audit_seconds: 0.5, start: tuned}}"
    )
    path = town.write("audited.yaml", cascade=cascade)
    first = replay_town(town, path, town.videos, keep=True, run_dir=tmp_path / "run")
    again = replay_town(town, path, tmp_path / "run")
    assert first.summary.sha256 == again.summary.sha256
    assert len(again.of(Estimate)) > 4
