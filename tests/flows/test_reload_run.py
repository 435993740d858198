"""Runs whose configuration changes while they go on: real cameras, real files."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import structlog

from connectors.log_manifest import read_manifest
from connectors.replay import EventLog
from flows import config
from flows.picture import write_picture
from flows.recovery import RecoverySettings, begun
from flows.reload import ReloadSettings
from flows.run import RunRequest, run
from records import Alert, Estimate, EventKind, Finding, StreamEvent, Verdict
from tests.support.cameras import HEIGHT, WIDTH, Camera
from tests.support.endpoints import ScriptedServer
from tests.support.webhooks import SECRET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from flows.counts import RunCounts
    from records import Record
    from tests.support.scenes import Street

FAULT = "the changed configuration is at fault; the old one holds"
CHANGED = "the configuration has changed"

FILES = """\
version: 1
name: street
streams:
  gate: {uri: scene.mp4, speed: 8, batch_frames: 4}
  yard: {uri: scene.mp4, speed: 8, batch_frames: 4}
detector: {model: silhouette, weights: empty.png}
cascade: {difference: {threshold: 100.0, hold_seconds: 2}}
alerts:
  - {name: people, class: person, at_least: 2, clear_seconds: 0.5}
windows:
  - {name: people, classes: [person], size_seconds: 4, calls_per_hour: 18000}
assertions: {outputs: {flicker: null, appear: null}, correct: {flicker: 0, appear: 0}}
sinks:
  console: null
  json_lines: [{path: out.jsonl, kinds: [verdict, alert]}]
  event_log: {directory: runs}
"""

SHORT = "  shop: {uri: scene.mp4, speed: 0.5, batch_frames: 1}\n"


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    """What a run says in its log."""
    with structlog.testing.capture_logs() as entries:
        yield entries


class Steps:
    """Does one thing after the other, each once that has come about which it waits for."""

    def __init__(self, *steps: tuple[Callable[[RunCounts], bool], Callable[[], object]]) -> None:
        self._steps = list(steps)

    def __call__(self, counts: RunCounts) -> None:
        if self._steps and self._steps[0][0](counts):
            self._steps.pop(0)[1]()

    @property
    def done(self) -> bool:
        return not self._steps


def request_of(path: Path, run_dir: str, *, watch: bool = True) -> RunRequest:
    configuration, text = config.load(path)
    settings = ReloadSettings(path, poll_seconds=0.02) if watch else None
    return RunRequest(configuration, text, path.parent, path.parent / run_dir, reload=settings)


def records_of(run_dir: Path) -> list[Record]:
    log = EventLog.open(run_dir)
    found = list(log.records())
    assert log.faults == ()
    return sorted(found, key=lambda record: (record.stream, type(record).__name__, record.id))


def swap(path: Path, text: str) -> None:
    """Write a file at one stroke."""
    draft = path.with_suffix(".draft")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def decided(stream: str, frames: int) -> Callable[[RunCounts], bool]:
    return lambda counts: sum(counts.streams[stream].decided.values()) >= frames


def said(logged: list[Any], event: str, times: int = 1) -> Callable[[RunCounts], bool]:
    return lambda _: sum(entry["event"] == event for entry in logged) >= times


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def of_streams(records: list[Record], *streams: str) -> list[object]:
    """The records of some streams, without what another stream may change.

    That is the calls of the detector that the windows of all streams share; and the configuration.
    """
    return [comparable(one) for one in records if one.stream in streams]


def comparable(record: Record) -> object:
    if isinstance(record, Alert):
        return replace(record, configuration="")
    if isinstance(record, Estimate):
        return record.stream, record.name, record.start_ns, record.frames, record.revision
    return record


@pytest.mark.parametrize("kept", [False, True])
def test_files_come_out_the_same_with_three_changes(
    street: Street, logged: list[Any], *, kept: bool
) -> None:
    path = street.configuration
    path.write_text(FILES, encoding="utf-8")
    run(request_of(path, "plain", watch=False))
    (street.folder / "out.jsonl").rename(street.folder / "plain.jsonl")
    added = FILES.replace("detector:", f"{SHORT}detector:")
    other_rule = "windows:\n", "  - {name: cars, class: car, at_least: 9}\nwindows:\n"
    texts = [added, added.replace(*other_rule), FILES]
    request = request_of(path, "changed")
    if kept:
        request = replace(request, recovery=RecoverySettings(street.folder / "recovery", 0.0))
    steps = Steps(
        *(
            (decided("gate", frames), lambda text=text: swap(path, text))
            for frames, text in zip((20, 45, 70), texts, strict=True)
        )
    )
    summary = run(replace(request, watch=steps))
    assert steps.done
    assert [entry for entry in logged if entry["event"] == CHANGED] == [
        change_said(texts[0], added=["shop"], sections=["streams"]),
        change_said(texts[1], sections=["alerts"], anew=["rules"]),
        change_said(texts[2], removed=["shop"], sections=["streams", "alerts"], anew=["rules"]),
    ]
    plain, changed = records_of(street.folder / "plain"), records_of(street.folder / "changed")
    assert of_streams(changed, "gate", "yard") == of_streams(plain, "gate", "yard")
    lines = [
        sorted(
            line
            for line in (street.folder / name).read_text(encoding="utf-8").splitlines()
            if json.loads(line)["stream"] != "shop" and json.loads(line)["record"] == "verdict"
        )
        for name in ("plain.jsonl", "out.jsonl")
    ]
    assert lines[0] == lines[1]
    ends = [one for one in changed if isinstance(one, StreamEvent) and one.kind is EventKind.ENDED]
    shop = summary.streams["shop"].entered
    assert [(one.stream, one.count, one.reason) for one in ends] == [
        ("gate", 120, ""), ("shop", shop, "removed"), ("yard", 120, ""),
    ]  # fmt: skip
    manifest = read_manifest(street.folder / "changed")
    assert (manifest.configuration, manifest.streams) == (FILES, ("gate", "yard", "shop"))
    assert [one.configuration for one in manifest.changes] == texts
    assert [one.configuration_sha256 for one in manifest.changes] == [digest(t) for t in texts]
    if kept:
        found = begun(RecoverySettings(street.folder / "recovery"))
        assert found is not None
        assert found.configuration_sha256 == digest(FILES)
        assert run(replace(request_of(path, "x"), recovery=request.recovery)).resumed
    else:
        assert not list((street.folder / "changed").glob("reload-*"))


def change_said(
    text: str,
    *,
    sections: list[str],
    added: list[str] | None = None,
    removed: list[str] | None = None,
    anew: list[str] | None = None,
) -> dict[str, Any]:
    return {
        "configuration": digest(text)[:12], "added": added or [], "removed": removed or [],
        "sections": sections, "adapted_or_anew": anew or [], "event": CHANGED, "log_level": "info",
    }  # fmt: skip


CAMERAS = """\
version: 1
name: site
streams:
  gate: {{uri: "{gate}", frames_in_memory: 1024}}
  yard: {{uri: "{yard}", frames_in_memory: 1024}}
detector: {{model: silhouette, weights: dark.png, score_at_least: 0.2}}
cascade: {{stride: 1}}
alerts:
  - {{name: seen, class: car, at_least: 1, clear_seconds: 60}}
  - {{name: many, class: car, at_least: 2}}
assertions: {{health: {{}}, outputs: {{}}, files: [own.py], alerts: null}}
sinks:
  console: null
  event_log: {{directory: runs}}
  webhooks: [{{url: "{hook}", secrets: ["${{SECRET}}"], allow_private: true}}]
"""

OWN = """\
from operators.assertions import assertion


@assertion(window=0.0, name="{name}")
def own(times, found):
    return {severity}
"""


def opened(stream: str, alerts: int) -> Callable[[RunCounts], bool]:
    return lambda counts: counts.streams[stream].alerts["opened"] >= alerts


def both_opened(counts: RunCounts) -> bool:
    return opened("gate", 1)(counts) and opened("yard", 1)(counts)


def test_cameras_come_and_go_without_a_frame_lost_of_the_others(
    tmp_path: Path, logged: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", SECRET)
    write_picture(tmp_path / "dark.png", np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    path, own, stop = tmp_path / "site.yaml", tmp_path / "own.py", threading.Event()
    own.write_text(OWN.format(name="quiet", severity=0.0), encoding="utf-8")
    with Camera() as gate, Camera() as yard, Camera() as hall, ScriptedServer() as hook:
        first = CAMERAS.format(gate=gate.url, yard=yard.url, hook=hook.url)
        added = first.replace(
            "detector:", f'  hall: {{uri: "{hall.url}", frames_in_memory: 1024}}\ndetector:'
        )
        broken = added.replace("at_least: 2", "at_least: 0")
        fewer = "\n".join(line for line in added.split("\n") if not line.startswith("  yard"))
        last = fewer.replace("at_least: 2", "at_least: 1")
        path.write_text(first, encoding="utf-8")
        steps = Steps(
            (both_opened, lambda: swap(path, added)),
            (opened("hall", 1), lambda: swap(path, broken)),
            (said(logged, FAULT), lambda: swap(path, last)),
            (opened("hall", 2), lambda: swap(own, OWN.format(name="loud", severity=1.0))),
            (lambda counts: counts.streams["hall"].findings["loud"] > 0, stop.set),
        )
        run(replace(request_of(path, "run"), watch=steps), stop)
        assert steps.done
    records = records_of(tmp_path / "run")
    for stream in ("gate", "yard", "hall"):
        own_records = [one for one in records if one.stream == stream]
        sequences = sorted(one.sequence for one in own_records if isinstance(one, Verdict))
        assert sequences == list(range(len(sequences)))
        ends = [(one.kind.value, one.reason) for one in own_records if isinstance(one, StreamEvent)]
        assert ends == [
            ("ended", "removed" if stream == "yard" else "stopped"), ("opened", "")
        ]  # fmt: skip
    begun_alerts = [
        (one.stream, one.rule, one.configuration)
        for one in records
        if isinstance(one, Alert) and one.state.value == "opened"
    ]
    assert sorted(begun_alerts) == [
        ("gate", "many", digest(last)), ("gate", "seen", digest(first)),
        ("hall", "many", digest(last)), ("hall", "seen", digest(added)),
        ("yard", "seen", digest(first)),
    ]  # fmt: skip
    sent = [request.headers["webhook-id"] for request in hook.requests]
    assert sorted(sent) == sorted(one.id for one in records if isinstance(one, Alert))
    assert {one.assertion for one in records if isinstance(one, Finding)} == {"loud"}
    faults = [entry["faults"] for entry in logged if entry["event"] == FAULT]
    assert [[fault.partition(": ")[2] for fault in told] for told in faults] == [
        ["alerts[1].at_least: must be at least 1 (got 0). The count that opens an episode."]
    ]
    manifest = read_manifest(tmp_path / "run")
    assert [one.configuration for one in manifest.changes] == [added, last, last]
    assert manifest.changes[1].files == {"own.py": digest(OWN.format(name="quiet", severity=0.0))}
    assert manifest.changes[2].files == {"own.py": digest(own.read_text(encoding="utf-8"))}
