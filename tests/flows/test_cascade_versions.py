"""Which versions streams are given, and which are refused."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from connectors.model_metrics import ModelMetrics
from flows import config
from flows.build import detector_settings
from flows.cascade_versions import CascadeVersions
from flows.cascades import Cascades, load_cascades
from flows.live_models import open_models
from flows.trained import load_trained
from models.detectors import load_detector
from models.registry import ModelKind
from operators.cascade import CascadeSettings, Models
from operators.plan import REFERENCE, Band, Plan
from records import DetectorError
from tests.support.live import (
    EVERY,
    PEOPLE,
    add_cascade,
    cascade_of,
    configuration_text,
    registry_in,
)
from tests.support.pictures import Brightness, SizeScorer

if TYPE_CHECKING:
    from tests.support.scenes import Street

ASKED = "predicate: {class: person, at_least: 3}"
ZONE = ((0.0, 0.0), (100.0, 0.0), (0.0, 100.0))


def versions_of(street: Street, text: str, *, follow: bool = True) -> Cascades:
    file = street.folder / "street.yaml"
    file.write_text(text, encoding="utf-8")
    configuration, _ = config.load(file, {})
    metrics = ModelMetrics(CollectorRegistry())
    live = open_models(configuration, street.folder, metrics, follow=follow)
    detector = load_detector(detector_settings(configuration, street.folder))
    return load_cascades(configuration, street.folder, detector, live)


class FarScorer(SizeScorer):
    """A packet model that looks far."""

    reach = 9


def test_frames_that_would_wait_for_packets_must_fit_into_the_decoders_memory(
    street: Street,
) -> None:
    registry = registry_in(street.folder)
    for _ in range(2):
        add_cascade(registry, cascade_of(EVERY))
    registry.promote("gate", 1)
    file = street.folder / "street.yaml"
    file.write_text(configuration_text(stream=", frames_in_memory: 8"), encoding="utf-8")
    configuration, _ = config.load(file, {})
    live = open_models(configuration, street.folder, ModelMetrics(CollectorRegistry()))
    assert live is not None
    watch = live.watch("gate", ModelKind.CASCADE, load_trained)
    usual = (CascadeSettings(EVERY, PEOPLE), Models(Brightness()))
    far = (
        CascadeSettings(Plan(packets=Band(0.1, 0.9)), PEOPLE),
        Models(Brightness(), packets=FarScorer()),
    )
    makes = iter([usual, far])
    versions = CascadeVersions(configuration, live, {"gate": watch}, lambda *_: next(makes))
    registry.promote("gate", 2)
    time.sleep(0.002)
    versions("gate")
    live.close()
    with capture_logs() as logs:
        version = versions("gate")
    assert version is not None
    assert version.name == "gate@1"
    assert [(log["model"], log["reason"]) for log in logs] == [
        (
            "gate@2 on gate",
            "its packet model lets 9 frames wait, and the decoder of gate may keep 4; set decode "
            "to on_demand there, or frames_in_memory to at least 13",
        )
    ]


def test_a_model_that_asks_another_question_is_refused_at_the_start(street: Street) -> None:
    registry = registry_in(street.folder)
    add_cascade(registry, cascade_of(EVERY, predicate=replace(PEOPLE, zone=ZONE)))
    registry.promote("gate", 1)
    with pytest.raises(DetectorError, match="it asks another question, "):
        versions_of(street, configuration_text(cascade=f", {ASKED}"))


def test_a_replay_takes_the_version_in_force_and_stays_with_it(street: Street) -> None:
    registry = registry_in(street.folder)
    add_cascade(registry, cascade_of(EVERY))
    registry.promote("gate", 1)
    cascades = versions_of(street, configuration_text(), follow=False)
    assert cascades.versions is None
    assert cascades.plans("gate") == (EVERY, REFERENCE)
