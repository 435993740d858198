from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from connectors.replay import EventLog
from records import ConfigurationError, Estimate, EventKind, Verdict
from tests.support.logs import run_dir_of, write_log
from tests.support.recordings import Town, replay_town

if TYPE_CHECKING:
    from pathlib import Path

WINDOWS = (
    "windows: [{name: people, classes: [person, car], size_seconds: 2, calls_per_hour: 18000}]"
)
EVERY = "{difference: null}"
AUDITED = (
    "{difference: {threshold: 100}, predicate: {class: person}, "
    "contract: {recall: 0.9, precision: 0.9, audit_seconds: 0.25, start: tuned}}"
)


def counts_of(verdicts: list[Verdict], name: str) -> dict[int, float]:
    """The average count of every window of two seconds."""
    found: dict[int, list[int]] = {}
    for verdict in verdicts:
        found.setdefault(verdict.time_ns // 2_000_000_000, []).append(verdict.answer.count(name))
    return {place: float(np.mean(counts)) for place, counts in found.items()}


def test_windows_are_exact_where_the_reference_decided_every_frame(
    town: Town, tmp_path: Path
) -> None:
    every = town.write("every.yaml", cascade=EVERY)
    replay_town(town, every, town.videos, keep=True, run_dir=tmp_path / "run")
    replayed = replay_town(town, town.write("windows.yaml", more=WINDOWS), tmp_path / "run")
    for stream in ("gate", "till"):
        for name in ("person", "car"):
            estimates = [
                one for one in replayed.of(Estimate, stream) if one.name == f"people/average/{name}"
            ]
            truth = counts_of(replayed.of(Verdict, stream), name)
            # The end of a stream closes its last window.
            assert {one.start_ns // 2_000_000_000: one.value for one in estimates} == truth
            assert all(one.low == one.value == one.high for one in estimates)
            assert sum(one.reference_calls for one in estimates) == {"gate": 60, "till": 40}[stream]


def test_windows_from_an_audit_have_intervals(town: Town, tmp_path: Path) -> None:
    audited = town.write("audited.yaml", cascade=AUDITED)
    replay_town(town, audited, town.videos, keep=True, run_dir=tmp_path / "run")
    replayed = replay_town(town, town.write("windows.yaml", more=WINDOWS), tmp_path / "run")
    estimates = [one for one in replayed.of(Estimate, "gate") if one.name.startswith("people/")]
    assert len(estimates) >= 4
    assert all(one.reference_calls < one.frames for one in estimates)
    assert any(one.low < one.high for one in estimates)


def test_windows_over_copied_answers_are_refused(town: Town) -> None:
    path = town.write("windows.yaml", more=WINDOWS)
    with pytest.raises(ConfigurationError) as error:
        replay_town(town, path, town.log)
    assert str(error.value) == (
        f"1 fault in the configuration:\n  {path}: windows[0]: needs answers of the reference, but "
        "in this recording others decided frames too, and no audit drew any (got people). Replay "
        "the frames (--decode), or remove windows."
    )
    frames = replay_town(town, path, town.videos)
    assert len(frames.of(Estimate)) > 4


def test_windows_in_zones_count_each_streams_own(town: Town, tmp_path: Path) -> None:
    every = town.write("every.yaml", cascade=EVERY)
    replay_town(town, every, town.videos, keep=True, run_dir=tmp_path / "run")
    asked = "{difference: null, predicate: {class: person}}"
    more = WINDOWS.replace("}]", ", in_zone: true}]")
    path = town.write("zones.yaml", cascade=asked, more=more)
    nowhere = "gate.mp4, zone: [[0, 0], [2, 0], [0, 2]]"
    path.write_text(path.read_text(encoding="utf-8").replace("gate.mp4", nowhere, 1), "utf-8")
    replayed = replay_town(town, path, tmp_path / "run")
    values = {
        stream: sum(one.value for one in replayed.of(Estimate, stream))
        for stream in ("gate", "till")
    }
    assert values["gate"] == 0.0
    assert values["till"] > 0.0


def test_a_log_that_ends_in_the_middle_tells_only_whole_windows(town: Town, tmp_path: Path) -> None:
    every = town.write("every.yaml", cascade=EVERY)
    replay_town(town, every, town.videos, keep=True, run_dir=tmp_path / "run")
    log = EventLog.open(tmp_path / "run")
    kept = [
        record
        for record in log.records("gate")
        if getattr(record, "kind", None) is not EventKind.ENDED
    ]
    cut = run_dir_of(tmp_path / "cut")
    write_log(cut, kept)
    replayed = replay_town(town, town.write("windows.yaml", more=WINDOWS), cut)
    starts = [one.start_ns for one in replayed.of(Estimate) if one.name == "people/average/car"]
    assert starts == [0, 2_000_000_000]
