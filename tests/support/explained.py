"""Event logs whose alerts follow from their verdicts and findings, by the operators themselves."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from connectors.codec import event_time_ns
from connectors.log_manifest import Manifest, write_manifest
from connectors.log_writer import LogWriter
from connectors.replay import EventLog
from flows import config
from flows.asserted import episode_settings, evidence
from flows.assertions import load_assertions
from flows.build import count_rule
from operators.alerting import AlertOrigin, Episodes
from operators.assertions.monitor import Monitored
from operators.finding_episodes import FindingEpisodes
from records import Detections, Finding, Stage, Verdict, VerdictBatch
from tests.support.logs import SMALL
from tests.support.records import FRAME_NS, START_NS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Any

    from records import Alert, Record

CONFIGURATION = """\
version: 1
name: town
streams:
  gate: {{uri: clip.mp4}}
  yard: {{uri: clip.mp4}}
alerts:
  - {{name: crowd, class: person, at_least: 2, score_at_least: 0.5, clear_seconds: 0.3{rule}}}
{more}
"""
"""Two streams and a rule; the clip need not be a video, as nothing of it is opened."""


def seen(sequence: int, *scores: float, stream: str = "gate", **values: Any) -> Verdict:
    """A verdict with one person for each score, from left to right, 20 by 40 pixels."""
    boxes = [(30 * place, 50, 30 * place + 20, 90) for place in range(len(scores))]
    answer = Detections.of(
        boxes, scores, ["person"] * len(scores), tracks=[*range(1, len(scores) + 1)]
    )
    known: dict[str, Any] = {
        "stage": Stage.REFERENCE,
        "score": max(scores, default=0.0),
        "answer": answer,
    }
    return Verdict(stream, sequence, START_NS + sequence * FRAME_NS, **(known | values))


def found(sequence: int, assertion: str = "flicker", **values: Any) -> Finding:
    """A finding at a frame, about that frame unless it is said otherwise."""
    time_ns = START_NS + sequence * FRAME_NS
    start = values.pop("start", sequence)
    known: dict[str, Any] = {"severity": 1.0, "message": "not as it should be", "object": "1"}
    start_ns = START_NS + start * FRAME_NS
    return Finding("gate", assertion, sequence, time_ns, start, start_ns, **(known | values))


def recorded(
    folder: Path, records: Sequence[Record], *, more: str = "", rule: str = ""
) -> EventLog:
    """Write the log of a run: the records, and the alerts that follow from them."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "clip.mp4").touch()
    text = CONFIGURATION.format(more=more, rule=rule)
    run_dir = folder / "runs" / "town"
    run_dir.mkdir(parents=True)
    manifest = Manifest("town", "town", START_NS, text, ("gate", "yard"))
    write_manifest(run_dir, manifest)
    origin = AlertOrigin("silhouette", manifest.configuration_sha256)
    alerts = _alerts(folder, text, records, origin)
    for stream in ("gate", "yard"):
        own = [one for one in (*records, *alerts) if one.stream == stream]
        with LogWriter(run_dir, stream, SMALL) as writer:
            writer.write(own)
    return EventLog.open(run_dir)


def _alerts(folder: Path, text: str, logged: Sequence[Record], origin: AlertOrigin) -> list[Alert]:
    # As the flow has it: what was found at a moment comes with it, however it is logged.
    records = sorted(logged, key=lambda one: (event_time_ns(one), isinstance(one, Verdict)))
    configuration = config.parse(text, "town.yaml", folder, os.environ)
    rules = [count_rule(one) for one in configuration.alerts]
    streams = {stream: Episodes(rules, origin) for stream in ("gate", "yard")}
    told: list[Alert] = []
    for one in records:
        if isinstance(one, Verdict):
            told += streams[one.stream].on_item(VerdictBatch(one.stream, (one,))) or ()
    if configuration.assertions is None or configuration.assertions.alerts is None:
        return told
    assertions = load_assertions(configuration.assertions, folder)
    episodes = FindingEpisodes(episode_settings(assertions), origin, evidence(assertions))
    for one in records:
        if isinstance(one, Finding):
            own = (one,) if one.assertion in assertions.alerting else ()
            item = Monitored(one.stream, (one.sequence, one.time_ns), own)
        elif isinstance(one, Verdict) and one.stream == "gate":
            item = Monitored(one.stream, (one.sequence, one.time_ns))
        else:
            continue
        changes = episodes.on_item(item)
        told += () if changes is None else changes.alerts
    return told
