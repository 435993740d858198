from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from models.registry import Change, ChangeKind, Metric, ModelKind, ModelVersion, Pointers, Registry
from models.registry_versions import code_version
from records import DetectorError
from tests.support.registries import (
    FILES,
    START_NS,
    Ticking,
    new_version,
    registry_with,
    source_folder,
)

if TYPE_CHECKING:
    from pathlib import Path

SHA256 = {name: hashlib.sha256(data).hexdigest() for name, data in FILES.items()}


def test_what_is_added_is_there(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "models", Ticking())
    added = registry.add("gate", source_folder(tmp_path / "source"), new_version())
    assert added == ModelVersion(
        "gate",
        1,
        ModelKind.ECG,
        START_NS,
        None,
        "ab" * 32,
        {"accuracy": Metric(0.9, 0.85, 0.94, 400), "loss": Metric(0.25)},
        {"seed": 7, "steps": [1, 2]},
        code_version(),
        SHA256,
    )
    assert added.id == "gate@1"
    assert (registry.names(), registry.numbers("gate")) == (("gate",), (1,))
    assert registry.versions("gate") == [added] == [registry.version("gate", 1)]
    folder = registry.folder("gate", 1)
    assert {
        path.name: path.read_bytes() for path in folder.iterdir() if path.name in FILES
    } == FILES
    assert registry.pointers("gate") == Pointers(None, None, 0)
    assert registry.history("gate") == [Change(START_NS + 10**9, "gate", ChangeKind.ADDED, 1)]


def test_a_registry_without_the_model_is_empty(tmp_path: Path) -> None:
    for registry in (Registry(tmp_path / "none", Ticking()), registry_with(tmp_path, 1, "door")):
        assert registry.versions("gate") == []
        assert registry.history("gate") == []
        assert registry.pointers("gate") == Pointers(None, None, 0)
        assert registry.prune("gate", 1) == ()
        assert "gate" not in registry.names()
    assert not (tmp_path / "none").exists()


def test_the_life_of_versions(tmp_path: Path) -> None:
    registry = registry_with(tmp_path, 4)
    seen = []
    for step in (
        lambda: registry.promote("gate", 1, "the first"),
        lambda: registry.propose("gate", 2, "trained on May"),
        lambda: registry.propose("gate", 3),
        lambda: registry.promote("gate", 3, "better in the shadow"),
        lambda: registry.propose("gate", 4),
        lambda: registry.promote("gate", 2),
        lambda: registry.rollback("gate", "recall fell"),
        lambda: registry.reject("gate", 4, "no better"),
        lambda: registry.rollback("gate"),
    ):
        step()
        seen.append(registry.pointers("gate"))
    assert seen == [
        Pointers(1, None, 1),
        Pointers(1, 2, 2),
        Pointers(1, 3, 4),
        Pointers(3, None, 5),
        Pointers(3, 4, 6),
        Pointers(2, 4, 7),
        Pointers(3, 4, 8),
        Pointers(3, None, 9),
        Pointers(1, None, 10),
    ]
    told = [(one.what.value, one.number, one.previous, one.reason)
            for one in registry.history("gate")[4:]]  # fmt: skip
    assert told == [
        ("promoted", 1, None, "the first"),
        ("proposed", 2, None, "trained on May"),
        ("rejected", 2, None, "gate@3 was proposed in its place"),
        ("proposed", 3, None, ""),
        ("promoted", 3, 1, "better in the shadow"),
        ("proposed", 4, None, ""),
        ("promoted", 2, 3, ""),
        ("rolled_back", 3, 2, "recall fell"),
        ("rejected", 4, None, "no better"),
        ("rolled_back", 1, 3, ""),
    ]
    with pytest.raises(DetectorError) as caught:
        registry.rollback("gate")
    assert str(caught.value) == (
        "gate has no earlier version to roll back to; promote one by its number"
    )


def test_rollback_gives_the_version_and_passes_over_what_was_rejected(tmp_path: Path) -> None:
    registry = registry_with(tmp_path, 3)
    for number in (1, 2, 3):
        registry.promote("gate", number)
    registry.reject("gate", 2, "it was wrong too")
    assert registry.rollback("gate") == registry.version("gate", 1)


def test_what_is_so_already_changes_nothing(tmp_path: Path) -> None:
    registry = registry_with(tmp_path, 3)
    registry.promote("gate", 1)
    registry.propose("gate", 2)
    registry.reject("gate", 3)
    before = registry.history("gate"), registry.pointers("gate")
    registry.promote("gate", 1, "again")
    registry.propose("gate", 2, "again")
    registry.reject("gate", 3, "again")
    assert (registry.history("gate"), registry.pointers("gate")) == before


def test_models_do_not_touch_each_other(tmp_path: Path) -> None:
    registry = registry_with(tmp_path, 2)
    registry_with(tmp_path, 1, "door").promote("door", 1)
    assert registry.names() == ("door", "gate")
    assert registry.pointers("gate") == Pointers(None, None, 0)
    assert registry.pointers("door") == Pointers(1, None, 1)


def test_prune_removes_the_oldest_that_nobody_needs(tmp_path: Path) -> None:
    registry = registry_with(tmp_path, 7)
    for number in (1, 2, 3):
        registry.promote("gate", number)
    registry.propose("gate", 4)
    assert registry.prune("gate", 5) == (1, 5)
    assert registry.numbers("gate") == (2, 3, 4, 6, 7)
    last = registry.history("gate")[-1]
    assert (last.what, last.number, last.reason) == (
        ChangeKind.REMOVED,
        5,
        "old, and 5 versions are kept",
    )
    assert registry.prune("gate", 1) == (6, 7)
    assert registry.prune("gate", 1) == ()
    assert registry.rollback("gate").number == 2
    with pytest.raises(DetectorError, match="no earlier version"):
        registry.rollback("gate")
    added = registry.add("gate", tmp_path / "source", new_version(parent=1))
    assert (added.number, added.parent) == (8, 1)


def test_what_cannot_be_done_is_told(tmp_path: Path) -> None:
    registry = registry_with(tmp_path, 2)
    registry.promote("gate", 1)
    before = registry.history("gate")
    folder = tmp_path / "models"
    for act, message in (
        (lambda: registry.version("gate", 7), f"{folder} has no gate@7; versions: 1, 2"),
        (lambda: registry.folder("door", 1), f"{folder} has no door@1; versions: none"),
        (lambda: registry.promote("gate", 0), f"{folder} has no gate@0; versions: 1, 2"),
        (lambda: registry.propose("door", 1), f"{folder} has no door@1; versions: none"),
        (
            lambda: registry.rollback("door"),
            f"{folder} has no model door; there is nothing to roll back",
        ),
        (lambda: registry.propose("gate", 1), "gate@1 is current; propose another version"),
        (
            lambda: registry.reject("gate", 1),
            "gate@1 is current; roll back, or promote another version",
        ),
        (
            lambda: registry.promote("gate", 2, "x" * 1001),
            "gate@2 cannot be changed: reason must be text of at most 1000 characters",
        ),
        (lambda: registry.prune("gate", 0), "keep must be at least 1, got 0"),
        (
            lambda: registry.pointers("../gate"),
            "a model's name must be 1 to 200 of A-Z a-z 0-9 . _ -, no '.' first, got '../gate'",
        ),
        (
            lambda: registry.add("gate", tmp_path / "source", new_version(parent=3)),
            "parent must be an earlier version of gate, got 3; the next one is 3",
        ),
        (
            lambda: registry.add("gate", tmp_path / "none", new_version()),
            f"{tmp_path / 'none'} cannot be added to gate: "
            f"{tmp_path / 'none'}: No such file or directory",
        ),
    ):
        with pytest.raises(DetectorError) as caught:
            act()
        assert str(caught.value) == message
    assert registry.history("gate") == before
    assert registry.names() == ("gate",)
    assert not (folder / "door").exists()
