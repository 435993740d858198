"""Every configuration that ships runs, on a street that is drawn or on hearts that are computed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from connectors.replay import EventLog
from flows import config
from flows.build import detector_settings
from flows.run import RunRequest, run
from models.detectors import load_detector
from records import Alert, Classification, Estimate, Finding, Verdict
from tests.flows.test_lidar import write_scans
from tests.support.configurations import SECRET
from tests.support.ecg import heart, random_model, write_record
from tests.support.endpoints import ScriptedServer
from tests.support.put_aside import queued
from tests.support.scenes import SCENE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flows.config import Configuration
    from flows.summary import RunSummary
    from records import Record
    from tests.support.scenes import Street

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
ON_A_STREET = ("driving", "parking", "people", "shop", "street")
RECORDS = ("A00003", "A00005", "A00018", "A00019")


@dataclass(frozen=True)
class Outcome:
    """What came of a run.

    Attributes:
        summary: Its summary.
        records: Everything in its event log.
    """

    summary: RunSummary
    records: list[Record]

    def of(self, kind: type[Any]) -> list[Any]:
        return [record for record in self.records if isinstance(record, kind)]


@pytest.fixture
def hook() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


@pytest.fixture(autouse=True)
def environment(street: Street, hook: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    write_scans(street, without=range(40, 80))
    monkeypatch.setenv("SIGHTFLOW_VIDEO", str(street.folder / "scene.mp4"))
    monkeypatch.setenv("SIGHTFLOW_LIDAR", str(street.folder / "scans.txt"))
    monkeypatch.setenv("SIGHTFLOW_ECG", str(street.folder))
    monkeypatch.setenv("SIGHTFLOW_ECG_MODEL", str(street.folder / "ecg.safetensors"))
    monkeypatch.setenv("SIGHTFLOW_WEBHOOK_URL", hook.url)
    monkeypatch.setenv("SIGHTFLOW_WEBHOOK_SECRET", SECRET)


def here(configuration: Configuration) -> Configuration:
    """The same with free ports, webhooks of this machine, and signals that are not paced."""
    sinks = configuration.sinks.model_copy(update={
        "webhooks": [one.model_copy(update={"allow_private": True})
                     for one in configuration.sinks.webhooks],
    })  # fmt: skip
    signals = {name: one.model_copy(update={"speed": None})
               for name, one in configuration.signals.items()}  # fmt: skip
    ports = {
        name: section.model_copy(update={"port": 0})
        for name, section in (("metrics", configuration.metrics), ("ui", configuration.ui))
        if section is not None
    }
    return configuration.model_copy(update={"sinks": sinks, "signals": signals, **ports})


def run_config(name: str, street: Street) -> Outcome:
    """Run a configuration that ships; where it sees, with the detector of the drawn street."""
    configuration, text = config.load(CONFIGS / f"{name}.yaml")
    folder = street.folder / "configs"
    folder.mkdir()
    detector = None
    if configuration.streams:
        drawn, _ = config.load(street.configuration)
        detector = load_detector(detector_settings(drawn, street.folder))
    run_dir = street.folder / "runs" / name
    summary = run(RunRequest(here(configuration), text, folder, run_dir, detector=detector))
    log = EventLog.open(run_dir)
    records = list(log.records())
    assert log.faults == ()
    assert summary.good
    return Outcome(summary, records)


def test_every_configuration_is_tried_here() -> None:
    assert {path.stem for path in CONFIGS.glob("*.yaml")} == {*ON_A_STREET, "ecg"}


@pytest.mark.parametrize("name", ON_A_STREET)
def test_a_street_is_watched(name: str, street: Street) -> None:
    outcome = run_config(name, street)
    assert len(outcome.of(Verdict)) == SCENE.frames
    assert outcome.summary.undelivered == {}


def test_the_street_counts_with_error_bars(street: Street) -> None:
    outcome = run_config("street", street)
    estimates = {one.name: one for one in outcome.of(Estimate)}
    assert set(estimates) == {
        f"traffic/{aggregate}/{name}"
        for aggregate in ("average", "presence")
        for name in ("person", "car")
    }
    true = np.mean([len(one.of_classes(["person"])) for one in street.truth])
    average = estimates["traffic/average/person"]
    assert average.low <= true <= average.high
    assert (street.folder / "runs" / "street.sqlite3").is_file()


def test_the_shop_tells_how_full_it_is(street: Street) -> None:
    outcome = run_config("shop", street)
    assert {one.name for one in outcome.of(Estimate)} == {
        "occupancy/average/person", "occupancy/presence/person",
    }  # fmt: skip
    assert outcome.summary.streams["counter"].decided["skip"] == SCENE.frames // 2


def test_the_car_park_finds_where_its_sensors_disagree(
    street: Street, hook: ScriptedServer
) -> None:
    outcome = run_config("parking", street)
    disagreed = [one for one in outcome.of(Finding) if one.assertion == "agree"]
    alone = {one.sequence for one in disagreed if "detections has a car" in one.message}
    assert len(alone & set(range(40, 80))) > 10
    alerts = outcome.of(Alert)
    assert {one.rule for one in alerts} == {"agree"}
    assert outcome.summary.delivered == len(alerts) == len(hook.requests)
    assert queued(street.folder / "runs" / "parking.sqlite3").items


def test_the_ward_classifies_hearts(street: Street) -> None:
    random = np.random.default_rng(3)
    for place, name in enumerate(RECORDS):
        write_record(street.folder, name, heart(20, regular=place % 2 == 0, random=random))
    random_model().save(street.folder / "ecg.safetensors")
    outcome = run_config("ecg", street)
    beds = {one.stream for one in outcome.of(Classification)}
    assert beds == {"bed-1", "bed-2"}
