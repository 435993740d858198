"""Runs on video whose cascades change meanwhile."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest
from structlog.testing import capture_logs

from connectors.replay import EventLog
from flows import config
from flows.picture import write_picture
from flows.recovery import RecoverySettings
from flows.run import RunRequest, run
from models.registry import ChangeKind
from operators.cascade_version import versions_told
from operators.plan import Plan
from operators.predicate import Predicate
from records import EventKind, StreamEvent, Verdict
from tests.support.live import (
    EVERY,
    NEVER,
    Promoter,
    add_cascade,
    cascade_of,
    configuration_text,
    loaded,
    registry_in,
)
from tests.support.scenes import SCENE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flows.counts import RunCounts
    from flows.summary import RunSummary
    from tests.support.scenes import Street

ASKED = "predicate: {class: person, at_least: 3}"
CONTRACT = (
    "contract: {recall: 0.8, precision: 0.8, audit_seconds: 0.1, false_alarm: 0.2, start: tuned, "
    "trial_seconds: null}"
)
"""Every frame is audited."""

SHADOW = ", shadow: {least_audited: 10, confidence: 0.6, worse_by: 0.4}"
ZONE = ((0.0, 0.0), (100.0, 0.0), (0.0, 100.0))


def start(
    folder: Path,
    text: str,
    watch: Callable[[RunCounts], None] | None = None,
    recovery: RecoverySettings | None = None,
    stop: threading.Event | None = None,
) -> RunSummary:
    file = folder / "street.yaml"
    file.write_text(text, encoding="utf-8")
    configuration, text = config.load(file, {})
    run_dir = folder / "run"
    return run(
        RunRequest(configuration, text, folder, run_dir, watch=watch, recovery=recovery), stop
    )


def told(run_dir: Path | None) -> tuple[list[Verdict], list[StreamEvent]]:
    assert run_dir is not None
    records = list(EventLog.open(run_dir).records())
    events = [
        one for one in records
        if isinstance(one, StreamEvent) and one.kind in (EventKind.MODEL, EventKind.CONTRACT)
    ]  # fmt: skip
    return [one for one in records if isinstance(one, Verdict)], events


@pytest.mark.parametrize("contract", ["", f", {CONTRACT}"], ids=["plain", "audited"])
def test_versions_change_under_a_running_flow_and_every_frame_is_decided_once(
    street: Street, contract: str
) -> None:
    registry = registry_in(street.folder)
    numbers = [add_cascade(registry, cascade_of(Plan(stride=1 + k % 3))) for k in range(31)]
    registry.promote("gate", numbers[0])
    promoter = Promoter(registry, numbers[1:])

    def watch(counts: RunCounts) -> None:
        thread = threading.Thread(target=promoter, args=(counts,))
        thread.start()
        thread.join()

    text = configuration_text(cascade=contract, models=", rollback: false")
    summary = start(street.folder, text, watch)
    verdicts, events = told(summary.run_dir)
    swaps = [event for event in events if event.kind is EventKind.MODEL]
    swaps = [event for event in swaps if event.reason == "swapped"]
    assert summary.good
    assert [verdict.sequence for verdict in verdicts] == list(range(SCENE.frames))
    assert promoter.promoted - 1 <= len(swaps) <= promoter.promoted
    assert len(swaps) >= 10
    assert [versions_told(event) for event in swaps] == [
        (f"gate@{k + 2}", f"gate@{k + 1}") for k in range(len(swaps))
    ]


def test_a_hundred_swaps_in_a_run_on_the_video_of_a_real_camera(
    assets: Path, tmp_path: Path
) -> None:
    video = assets / "video" / "vtest.avi"
    with av.open(str(video)) as container:
        first = next(container.decode(video=0)).to_ndarray(format="rgb24")
    write_picture(tmp_path / "empty.png", np.asarray(first, np.uint8))
    registry = registry_in(tmp_path)
    numbers = [add_cascade(registry, cascade_of(Plan(stride=20 + k % 3))) for k in range(101)]
    registry.promote("gate", numbers[0])
    summary = start(tmp_path, configuration_text(uri=str(video)), Promoter(registry, numbers[1:]))
    verdicts, events = told(summary.run_dir)
    assert [verdict.sequence for verdict in verdicts] == list(range(795))
    assert [versions_told(event)[0] for event in events] == [f"gate@{n}" for n in numbers[1:]]
    assert [one["detail"] for one in summary.streams["gate"].to_json()["models"]] == [
        event.detail for event in events
    ]


def test_a_first_candidate_is_promoted_and_a_bad_version_rolled_back_for_good(
    street: Street,
) -> None:
    """From the reference detector alone to a cascade, and back from one that never looks."""
    registry = registry_in(street.folder)
    good, bad = (add_cascade(registry, cascade_of(plan)) for plan in (EVERY, NEVER))
    registry.propose("gate", good)
    text = configuration_text(cascade=f", {ASKED}, {CONTRACT}", models=SHADOW, batch=1)
    done: list[str] = []

    def watch(counts: RunCounts) -> None:
        reasons = [event.reason for event in counts.streams["gate"].models]
        if len(reasons) == 2 and not done:
            done.append("promoted by hand")
            registry.promote("gate", bad)
        if len(reasons) == 5 and len(done) == 1:
            done.append("proposed again")
            registry.propose("gate", bad)
        loaded()

    summary = start(street.folder, text, watch)
    verdicts, events = told(summary.run_dir)
    assert [verdict.sequence for verdict in verdicts] == list(range(SCENE.frames))
    model = [event for event in events if event.kind is EventKind.MODEL]
    assert [(event.reason, *versions_told(event)) for event in model] == [
        ("shadow_passed", "gate@1", "reference"),
        ("swapped", "gate@1", "reference"),
        ("swapped", "gate@2", "gate@1"),
        ("worsened", "gate@2", "gate@1"),
        ("swapped", "gate@1", "gate@2"),
        ("shadow_failed", "gate@2", "gate@1"),
    ]
    assert [event.reason for event in events if event.kind is EventKind.CONTRACT] == [
        "precision_broken"
    ]
    changes = registry.history("gate")[2:]
    assert [(change.what, change.number) for change in changes] == [
        (ChangeKind.PROPOSED, 1),
        (ChangeKind.PROMOTED, 1),
        (ChangeKind.PROMOTED, 2),
        (ChangeKind.ROLLED_BACK, 1),
        (ChangeKind.PROPOSED, 2),
        (ChangeKind.REJECTED, 2),
    ]
    assert changes[1].reason == "the shadow passed on 1 and failed on 0 of 1 streams"
    assert changes[3].reason.startswith("gate: gate@2 after gate@1: precision is in ")


def test_a_version_that_cannot_be_used_is_told_of_and_the_one_before_goes_on(
    street: Street,
) -> None:
    registry = registry_in(street.folder)
    for trained in (
        cascade_of(EVERY),
        cascade_of(EVERY, reference="another"),
        cascade_of(EVERY, predicate=Predicate("car")),
        cascade_of(Plan(stride=3)),
    ):
        add_cascade(registry, trained)
    registry.promote("gate", 1)
    promoted = [1]

    def watch(counts: RunCounts) -> None:
        frames = sum(counts.streams["gate"].decided.values())
        if frames >= 20 * promoted[-1] and promoted[-1] < 4:
            promoted.append(promoted[-1] + 1)
            registry.promote("gate", promoted[-1])
        loaded()

    with capture_logs() as logs:
        summary = start(street.folder, configuration_text(), watch)
    verdicts, events = told(summary.run_dir)
    assert len(verdicts) == SCENE.frames
    assert [event.detail for event in events] == ["gate@1 to gate@4"]
    faults = [log["reason"] for log in logs if log["event"] == "model cannot be used"]
    assert len(faults) == 2
    assert "was trained on the answers of another detector than silhouette" in faults[0]
    assert faults[1].startswith("it asks another question, ")


def test_a_run_that_goes_on_with_another_version_loses_no_frame(street: Street) -> None:
    registry = registry_in(street.folder)
    for stride in (1, 2, 3):
        add_cascade(registry, cascade_of(Plan(stride=stride)))
    registry.promote("gate", 1)
    recovery = RecoverySettings(street.folder / "recovery", 0.0)
    stop = threading.Event()

    def watch(counts: RunCounts) -> None:
        frames = sum(counts.streams["gate"].decided.values())
        if frames == 20:
            registry.promote("gate", 2)
        loaded()
        if frames >= 40:
            stop.set()

    first = start(street.folder, configuration_text(), watch, recovery, stop)
    assert first.stopped
    registry.promote("gate", 3)
    second = start(street.folder, configuration_text(), None, recovery)
    assert second.resumed
    verdicts, events = told(first.run_dir)
    assert [verdict.sequence for verdict in verdicts] == list(range(SCENE.frames))
    assert [event.detail for event in events] == ["gate@1 to gate@2", "gate@2 to gate@3"]


def test_streams_follow_models_of_their_own_and_a_candidate_must_pass_on_all(
    street: Street,
) -> None:
    registry = registry_in(street.folder)
    for _ in range(2):
        add_cascade(registry, cascade_of(EVERY))
    add_cascade(registry, cascade_of(Plan(stride=3)), "till")
    registry.promote("gate", 1)
    registry.promote("till", 1)
    registry.propose("gate", 2)
    streams = "\n  yard: {uri: scene.mp4}\n  till: {uri: scene.mp4, trained: registry:till}"
    text = configuration_text(cascade=f", {CONTRACT}", models=SHADOW)
    text = text.replace("batch_frames: 2}", "batch_frames: 2}" + streams)
    summary = start(street.folder, text, lambda _: loaded())
    _, events = told(summary.run_dir)
    model = [event for event in events if event.kind is EventKind.MODEL]
    assert {event.stream for event in model} == {"gate", "yard"}
    reasons = [event.reason for event in model]
    assert (reasons.count("shadow_passed"), reasons.count("swapped")) == (2, 2)
    promoted = registry.history("gate")[-1]
    assert promoted.reason == "the shadow passed on 2 and failed on 0 of 2 streams"
    assert registry.pointers("till").current == 1
