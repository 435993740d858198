"""References to models of the registry in a configuration."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from flows import config
from models.registry import ModelKind
from operators.predicate import Predicate
from records import ConfigurationError
from tests.support.live import (
    EVERY,
    add_cascade,
    cascade_of,
    configuration_text,
    new_version,
    registry_in,
)

if TYPE_CHECKING:
    from pathlib import Path

CONTRACT = ", contract: {recall: 0.8, precision: 0.8}"
ASKED = ", predicate: {class: person, at_least: 3}"
COLD = (
    "Promote one with 'sightflow models promote', or give cascade.predicate and cascade.contract "
    "to begin with the reference detector alone."
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "scene.mp4").write_bytes(b"not looked into by validation")
    (tmp_path / "empty.png").write_bytes(b"nor this")
    registry = registry_in(tmp_path)
    add_cascade(registry, cascade_of(EVERY))
    add_cascade(registry, cascade_of(EVERY), "waiting")
    registry.promote("gate", 1)
    source = tmp_path / "lens"
    source.mkdir()
    shutil.copy(tmp_path / "empty.png", source)
    registry.add("lens", source, new_version(ModelKind.DETECTOR))
    registry.promote("lens", 1)
    return tmp_path


def faults(text: str, folder: Path) -> list[str]:
    try:
        config.parse(text, "a.yaml", folder, {})
    except ConfigurationError as error:
        return [str(fault) for fault in error.faults]
    return []


@pytest.mark.parametrize(
    "text",
    [
        configuration_text(),
        configuration_text(cascade=CONTRACT, models=", shadow: {quorum: 0.5}"),
        configuration_text(cascade=CONTRACT + ASKED),
        configuration_text(cascade=ASKED, stream=", zone: [[0, 0], [9, 0], [0, 9]]"),
        configuration_text(cascade=CONTRACT + ASKED).replace("registry:gate", "registry:new"),
        configuration_text(cascade=CONTRACT + ASKED).replace("registry:gate", "registry:waiting"),
        configuration_text(detector='{model: silhouette, weights: "registry:lens"}'),
        configuration_text(models=", shadow: null, rollback: false, probation_seconds: 0"),
    ],
)
def test_what_is_right_is_taken(text: str, folder: Path) -> None:
    assert faults(text, folder) == []


def test_what_follows_the_registry_is_read(folder: Path) -> None:
    got = config.parse(configuration_text(models=", shadow: null"), "a.yaml", folder, {})
    assert got.models is not None
    assert (got.models.directory, got.models.poll_seconds) == ("registry", 0.001)
    assert (got.models.shadow, got.models.rollback) == (None, True)
    assert got.models.probation_seconds == 3600


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            configuration_text().replace("models: {directory: registry, poll_seconds: 0.001}", ""),
            "a.yaml:7: cascade.trained: needs the registry's folder (got 'registry:gate'). "
            "Add models.directory.",
        ),
        (
            configuration_text().replace("registry:gate", "registry:waiting"),
            "a.yaml:7: cascade.trained: has no version in force in the registry, which has: gate, "
            f"lens, waiting (got 'registry:waiting'). {COLD}",
        ),
        (
            configuration_text(cascade=CONTRACT).replace("registry:gate", "registry:new"),
            "a.yaml:7: cascade.trained: has no version in force in the registry, which has: gate, "
            f"lens, waiting (got 'registry:new'). {COLD}",
        ),
        (
            configuration_text().replace("registry:gate", "registry:lens"),
            "a.yaml:7: cascade.trained: must be of kind cascade, and lens@1 is of kind detector "
            "(got 'registry:lens'). Name a model of that kind.",
        ),
        (
            configuration_text(cascade=", predicate: {class: person}" + CONTRACT),
            "a.yaml:7: cascade.trained: asks another question than the flow: "
            f"{Predicate('person', 3)} (got 'registry:gate'). "
            "Name another model, or change cascade.predicate.",
        ),
        (
            configuration_text(models=", shadow: {quorum: 1}"),
            "a.yaml:6: models.shadow: needs an accuracy contract, whose audit judges candidates. "
            "Add cascade.contract.",
        ),
        (
            configuration_text(cascade=", stride: 3"),
            "a.yaml:7: cascade.stride: contradicts cascade.trained, which holds it. "
            "Remove it, or remove trained.",
        ),
        (
            configuration_text(stream=", zone: [[0, 0], [9, 0], [0, 9]]"),
            "a.yaml:4: streams.gate.zone: contradicts the trained cascade. "
            "Remove it; the zone is part of the question that was trained.",
        ),
        (
            configuration_text(detector='{weights: "registry:lens"}'),
            "a.yaml:5: detector.model: must name the detector whose weights the registry holds. "
            "Write the model, say yolox_nano.",
        ),
        (
            configuration_text(detector='{model: silhouette, weights: "registry:none"}'),
            "a.yaml:5: detector.weights: has no version in force in the registry, which has: gate, "
            "lens, waiting (got 'registry:none'). Promote one with 'sightflow models promote'.",
        ),
        (
            configuration_text() + 'classifier: {model: "registry:gate"}\n',
            "a.yaml:10: classifier.model: must be of kind ecg, and gate@1 is of kind cascade "
            "(got 'registry:gate'). Name a model of that kind.",
        ),
        (
            configuration_text(models=", rollbck: true"),
            "a.yaml:6: models.rollbck: is no key of this section (got True). Did you mean "
            "'rollback'? Keys that may stand here: directory, poll_seconds, probation_seconds, "
            "rollback, shadow.",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(text: str, fault: str, folder: Path) -> None:
    assert faults(text, folder) == [fault]


def test_a_name_that_is_no_folders_is_told(folder: Path) -> None:
    (fault,) = faults(configuration_text().replace("registry:gate", "registry:../x"), folder)
    assert fault.startswith("a.yaml:7: cascade.trained: cannot be used: a model's name must be ")
    assert fault.endswith("(got 'registry:../x'). 'sightflow models list' says what there is.")


def test_files_of_the_version_in_force_are_checked(folder: Path) -> None:
    file = folder / "registry" / "gate" / "versions" / "1" / "cascade.json"
    file.write_text("{}", encoding="utf-8")
    (fault,) = faults(configuration_text(), folder)
    assert fault.startswith("a.yaml:7: cascade.trained: cannot be used: ")
    assert fault.endswith(" (got 'registry:gate'). Promote another version, or restore this one.")


@pytest.mark.parametrize("directory", ['"a\\0b"', '""', "scene.mp4", "[x]", "null", "x/y"])
def test_a_folder_that_is_none_is_told_and_crashes_nothing(directory: str, folder: Path) -> None:
    text = configuration_text().replace("directory: registry", f"directory: {directory}")
    assert faults(text, folder)
