"""Detectors and classifiers of the registry that change between two calls."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from prometheus_client import CollectorRegistry

from connectors.model_metrics import ModelMetrics
from connectors.replay import EventLog
from flows import config
from flows.config import ModelsSection, ShadowSection
from flows.hot_swap_models import agreement
from flows.live_models import LiveModels
from flows.picture import write_picture
from flows.run import RunRequest, run
from models.ecg import EcgDescription, EcgModel
from models.registry import ChangeKind, ModelKind, Registry
from records import Classification, Detections, DetectorError, Verdict
from tests.support.ecg import heart, random_model, write_record
from tests.support.live import Ticks, loaded, new_version, registry_in
from tests.support.records import detections
from tests.support.scenes import SCENE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from flows.counts import RunCounts
    from tests.support.scenes import Street

STREET = """\
version: 1
name: street
streams: {gate: {uri: scene.mp4, batch_frames: 2}}
detector: {model: silhouette, weights: "registry:lens", score_at_least: 0.2, batch: 2}
models: {directory: registry, poll_seconds: 0.001, shadow: {every: 1, least_compared: 8,
  at_most_slower: 1000}}
cascade: {difference: null}
track: null
sinks: {console: null}
"""
WARD = """\
version: 1
name: ward
signals: {bed: {records: [H1.hea]}}
classifier: {model: "registry:heart", new_windows: 1}
models: {directory: registry, poll_seconds: 0.001, shadow: {every: 1, least_compared: 3,
  at_most_slower: 1000}}
sinks: {console: null}
"""


def add_file(registry: Registry, name: str, kind: ModelKind, *files: Path) -> int:
    folder = files[0].parent / f"new-{name}-{len(registry.numbers(name))}"
    folder.mkdir()
    for file in files:
        shutil.copy(file, folder)
    return registry.add(name, folder, new_version(kind)).number


def follow(folder: Path, text: str, watch: Callable[[RunCounts], None]) -> EventLog:
    file = folder / "flow.yaml"
    file.write_text(text, encoding="utf-8")
    configuration, text = config.load(file, {})
    run(RunRequest(configuration, text, folder, folder / "run", watch=watch))
    return EventLog.open(folder / "run")


def changes(registry: Registry, name: str) -> list[tuple[str, int]]:
    return [
        (str(one.what), one.number)
        for one in registry.history(name)
        if one.what is not ChangeKind.ADDED
    ]


def test_a_detector_changes_between_two_batches_and_its_candidates_are_tried(
    street: Street,
) -> None:
    registry = registry_in(street.folder)
    for level in (0, 255):
        write_picture(street.folder / "other.png", np.full((180, 320, 3), level, np.uint8))
        add_file(registry, "lens", ModelKind.DETECTOR, street.folder / "other.png")
        shutil.rmtree(street.folder / f"new-lens-{level and 1}")
    for _ in range(2):
        add_file(registry, "lens", ModelKind.DETECTOR, street.folder / "empty.png")
    registry.promote("lens", 3)
    registry.propose("lens", 1)
    done: list[int] = []

    def watch(counts: RunCounts) -> None:
        judged = changes(registry, "lens")[-1]
        if judged == ("rejected", 1) and not done:
            done.append(sum(counts.streams["gate"].decided.values()))
            registry.propose("lens", 4)
        loaded()

    log = follow(street.folder, STREET, watch)
    assert changes(registry, "lens") == [
        ("promoted", 3), ("proposed", 1), ("rejected", 1), ("proposed", 4), ("promoted", 4),
    ]  # fmt: skip
    reasons = [one.reason for one in registry.history("lens")]
    assert reasons[-3].startswith("8 compared, agreement 0.")
    assert reasons[-1].startswith("8 compared, agreement 1.000, which must be at least 0.8; ")
    verdicts = [one for one in log.records() if isinstance(one, Verdict)]
    assert [one.sequence for one in verdicts] == list(range(SCENE.frames))


def test_a_classifier_of_signals_changes_between_two_calls(tmp_path: Path) -> None:
    registry = registry_in(tmp_path)
    signal = heart(20.0, regular=True, random=np.random.default_rng(0))
    write_record(tmp_path, "H1", signal, "")
    random_model().save(tmp_path / "model.safetensors")
    files = tmp_path / "model.safetensors", tmp_path / "model.json"
    for _ in range(2):
        add_file(registry, "heart", ModelKind.ECG, *files)
    registry.promote("heart", 1)
    registry.propose("heart", 2)
    log = follow(tmp_path, WARD, lambda _: loaded())
    assert changes(registry, "heart") == [("promoted", 1), ("proposed", 2), ("promoted", 2)]
    found = [one for one in log.records() if isinstance(one, Classification)]
    assert [one.sequence for one in found] == list(range(len(signal) // 256))
    plain = random_model().classify(signal)
    np.testing.assert_allclose([one.probabilities for one in found], plain, atol=1e-3)


def live(folder: Path) -> LiveModels:
    section = ModelsSection(directory="registry", shadow=ShadowSection())
    return LiveModels(section, folder, ModelMetrics(CollectorRegistry()), Ticks())


def test_versions_of_a_classifier_must_fit_what_runs(tmp_path: Path) -> None:
    registry = registry_in(tmp_path)
    model = random_model()
    model.save(tmp_path / "model.safetensors")
    files = tmp_path / "model.safetensors", tmp_path / "model.json"
    add_file(registry, "heart", ModelKind.ECG, *files)
    registry.promote("heart", 1)
    models = live(tmp_path)
    classifier = models.classifier("heart")
    what = replace(model.what, rate_hz=250.0)
    assert isinstance(what, EcgDescription)
    EcgModel(what, model.tensors).save(tmp_path / "model.safetensors")
    add_file(registry, "heart", ModelKind.ECG, *files)
    registry.promote("heart", 2)
    signal = heart(5.0, regular=True, random=np.random.default_rng(0))
    before = classifier.classify(signal)
    models.close()
    np.testing.assert_array_equal(classifier.classify(signal), before)
    assert (classifier.rate_hz, classifier.window, classifier.classes) == (
        300.0, model.window, model.classes,
    )  # fmt: skip
    assert getattr(classifier, "name", "") == "heart@1"


def test_a_folder_of_a_detector_must_hold_one_file_of_weights(street: Street) -> None:
    registry = registry_in(street.folder)
    shutil.copy(street.folder / "empty.png", street.folder / "more.png")
    files = street.folder / "empty.png", street.folder / "more.png"
    add_file(registry, "lens", ModelKind.DETECTOR, *files)
    registry.promote("lens", 1)
    file = street.folder / "flow.yaml"
    file.write_text(STREET, encoding="utf-8")
    configuration, text = config.load(file, {})
    with pytest.raises(DetectorError, match="must hold one file of weights, got 2"):
        run(RunRequest(configuration, text, street.folder, street.folder / "run"))


@given(one=detections(), other=detections())
def test_agreement_is_a_share_and_whole_for_the_same(one: Detections, other: Detections) -> None:
    assert 0 <= agreement(one, other) <= 1
    visible = one.select(_areas(one) > 0)
    assert agreement(visible, visible) == 1


def _areas(found: Detections) -> NDArray[np.float32]:
    sides = found.boxes[:, 2:] - found.boxes[:, :2]
    return np.asarray(sides.prod(1))
