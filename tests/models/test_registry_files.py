from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from models.registry import Metric, ModelKind, NewVersion, Pointers
from models.registry_files import LARGEST_FILE
from records import DetectorError, RecordError
from tests.support.registries import new_version, registry_with, source_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _many(folder: Path) -> None:
    for number in range(63):
        (folder / f"part-{number}").touch()


def _huge(folder: Path) -> None:
    (folder / "huge.bin").touch()
    os.truncate(folder / "huge.bin", LARGEST_FILE + 1)  # sparse: takes no room


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_many, "{0} must hold at most 64 files, it has more"),
        (_huge, "{0}/huge.bin must hold at most 2147483648 bytes, it has 2147483649"),
        (
            lambda folder: (folder / "packets").mkdir(),
            "{0} must hold plain files only, and packets is none; "
            "put the model's files themselves there",
        ),
        (
            lambda folder: (folder / "link.json").symlink_to("model.json"),
            "{0} must hold plain files only, and link.json is none; "
            "put the model's files themselves there",
        ),
        (
            lambda folder: os.mkfifo(folder / "pipe"),
            "{0} must hold plain files only, and pipe is none; "
            "put the model's files themselves there",
        ),
        (
            lambda folder: (folder / ".model.json.12").touch(),
            "a file in {0} must be 1 to 200 of A-Z a-z 0-9 . _ -, no '.' first, "
            "got '.model.json.12'",
        ),
        (
            lambda folder: (folder / "version.json").touch(),
            "{0} must not hold a version.json; take it out",
        ),
        (
            lambda folder: [path.unlink() for path in folder.iterdir()],
            "{0} must hold a model's files, it is empty",
        ),
    ],
)
def test_a_source_that_is_no_model_is_refused(
    tmp_path: Path, spoil: Callable[[Path], object], message: str
) -> None:
    registry = registry_with(tmp_path, 1)
    source = source_folder(tmp_path / "bad")
    spoil(source)
    with pytest.raises(DetectorError) as caught:
        registry.add("gate", source, new_version())
    assert str(caught.value) == message.format(source)
    assert registry.numbers("gate") == (1,)


@pytest.mark.parametrize(
    ("damage", "file"),
    [
        (lambda folder: (folder / "model.json").write_bytes(b"{]\n"), "model.json"),
        (lambda folder: (folder / "model.safetensors").unlink(), "model.safetensors"),
        (lambda folder: (folder / "packets.json").touch(), "packets.json"),
    ],
)
def test_a_damaged_version_is_never_used(
    tmp_path: Path, damage: Callable[[Path], object], file: str
) -> None:
    registry = registry_with(tmp_path, 2)
    registry.promote("gate", 1)
    registry.promote("gate", 2)
    folder = registry.folder("gate", 1)
    damage(folder)
    before = registry.history("gate")
    for act in (
        lambda: registry.folder("gate", 1),
        lambda: registry.promote("gate", 1),
        lambda: registry.propose("gate", 1),
        lambda: registry.rollback("gate"),
    ):
        with pytest.raises(DetectorError) as caught:
            act()
        assert str(caught.value) == (
            f"{folder / file} is not as it was when gate@1 was added. "
            "It is damaged; restore it from a backup, or use another version"
        )
    assert registry.history("gate") == before


def test_a_file_that_became_a_link_is_not_followed(tmp_path: Path) -> None:
    registry = registry_with(tmp_path, 1)
    path = registry.folder("gate", 1) / "model.json"
    path.rename(tmp_path / "model.json")
    path.symlink_to(tmp_path / "model.json")
    with pytest.raises(DetectorError, match=r"^gate@1 cannot be used: .*/model.json: "):
        registry.folder("gate", 1)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("format", 2, "format, name and number are (2, 'gate', 1)"),
        ("number", 4, "format, name and number are (1, 'gate', 4)"),
        ("kind", "cat", "ValueError: 'cat' is not a valid ModelKind"),
        ("metrics", {"a": {"value": "high"}},
         "RecordError: value must be a finite number, got 'high'"),
        ("metrics", {"a": {"low": 1}},
         "TypeError: Metric.__init__() missing 1 required positional argument: 'value'"),
        ("created_ns", -1, "created_ns must be nanoseconds since 1970 UTC as an int, got -1"),
        ("files", {"model.json": 7},
         "the hash of model.json must be a SHA-256, 64 hexadecimal digits, got 7"),
        ("parent", 0, "RecordError: parent must be a version's number, at least 1, got 0"),
        ("configuration", None, "RecordError: configuration must be plain JSON: "
         "'NoneType' object is not iterable"),
    ],
)  # fmt: skip
def test_a_damaged_manifest_is_told(tmp_path: Path, field: str, value: Any, message: str) -> None:
    registry = registry_with(tmp_path, 1)
    path = registry.folder("gate", 1) / "version.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    with pytest.raises(DetectorError) as caught:
        registry.versions("gate")
    assert str(caught.value) == (
        f"{path} must describe gate@1: {message}. "
        "It is damaged; restore it from a backup, or use another version"
    )


def test_what_is_no_manifest_is_told(tmp_path: Path) -> None:
    registry = registry_with(tmp_path, 1)
    path = registry.folder("gate", 1) / "version.json"
    for data in (b"", b"\xff", b"[]", b"[" * 100_000, b"{" + b" " * 2**20 + b"}"):
        path.write_bytes(data)
        with pytest.raises(DetectorError, match="version.json must "):
            registry.version("gate", 1)
    path.unlink()
    with pytest.raises(DetectorError, match="^gate@1 cannot be read: .*No such file"):
        registry.version("gate", 1)


def test_a_configuration_that_is_too_large_leaves_nothing(tmp_path: Path) -> None:
    registry = registry_with(tmp_path, 1)
    new = NewVersion(ModelKind.ECG, {}, "0" * 64, {"notes": "x" * 2**20}, None)
    with pytest.raises(DetectorError) as caught:
        registry.add("gate", tmp_path / "source", new)
    assert str(caught.value).startswith(
        "the manifest of gate@2 must be at most 1048576 bytes, it would have 104"
    )
    assert [path.name for path in (tmp_path / "models/gate/versions").iterdir()] == ["1"]
    assert registry.add("gate", tmp_path / "source", new_version(1)).number == 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Metric(float("nan")), "value must be a finite number, got nan"),
        (lambda: Metric(1.0, low=0.5), "low and high must both be given or both be None"),
        (lambda: Metric(1.0, 2.0, 1.0), "low must be at most high, got 2.0 and 1.0"),
        (lambda: Metric(1.0, n=-1), "n must be a whole number of at least 0, got -1"),
        (lambda: NewVersion("ecg", {}, "0" * 64, {}, None),  # type: ignore[arg-type]  # the fault under test
         "kind must be a ModelKind, got 'ecg'"),
        (lambda: NewVersion(ModelKind.ECG, {"a": 1.0}, "0" * 64, {}, None),  # type: ignore[dict-item]  # the fault under test
         "metrics[a] must be a Metric, got 1.0"),
        (lambda: NewVersion(ModelKind.ECG, {}, "AB" * 32, {}, None),
         f"data_sha256 must be a SHA-256, 64 hexadecimal digits, got '{'AB' * 32}'"),
        (lambda: NewVersion(ModelKind.ECG, {}, "0" * 64, {"a": {1}}, None),
         "configuration must be plain JSON: Object of type set is not JSON serializable"),
        (lambda: NewVersion(ModelKind.ECG, {}, "0" * 64, {"a": float("inf")}, None),
         "configuration must be plain JSON: Out of range float values are not JSON compliant"),
        (lambda: NewVersion(ModelKind.ECG, {}, "0" * 64, {1: 2}, None),  # type: ignore[dict-item]  # the fault under test
         "configuration must have text as keys, got ['1']"),
        (lambda: NewVersion(ModelKind.ECG, {}, "0" * 64, {}, 0),
         "parent must be a version's number, at least 1, got 0"),
        (lambda: Pointers(0, None, 0), "current must be a version's number, at least 1, got 0"),
    ],
)  # fmt: skip
def test_wrong_values_are_told(make: Callable[[], object], message: str) -> None:
    with pytest.raises(RecordError) as caught:
        make()
    assert str(caught.value) == message


def test_a_registry_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    registry = registry_with(tmp_path, 1)
    (tmp_path / "models" / "door").touch()
    with pytest.raises(DetectorError, match="^door cannot be changed: .*File exists$"):
        registry.add("door", tmp_path / "source", new_version())
    assert registry.names() == ("gate",)
