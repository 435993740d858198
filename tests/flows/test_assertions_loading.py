from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from flows.assertions_loading import BUILT_IN, load_entry_point, load_file
from operators.assertions import Assertion
from records import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

GOOD = """\
from __future__ import annotations

from dataclasses import dataclass

from operators.assertions import ConsistencyAssertion, assertion
from operators.assertions.flicker import Flicker


@dataclass
class Limit:
    most: int = 3


@assertion(window=1.0)
def crowded(times, found):
    return float(len(found[-1]) > Limit().most)


again = crowded
slow_flicker = Flicker(name="slow_flicker", window_seconds=2.0)
rhythm = ConsistencyAssertion("rhythm", lambda found: found.label, temporal_threshold=30.0)
_private = Flicker(name="private")
"""

EXAMPLE = "Decorate a function (inputs, outputs) -> severity with @assertion(window=1.0)."


def write(folder: Path, text: str, name: str = "mine.py") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def fault_of(path: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_file(path, "streams.gate.assertions")
    (fault,) = caught.value.faults
    assert fault.file == str(path)
    return str(fault).removeprefix(str(path))


def test_all_assertions_of_a_file_are_found_once(tmp_path: Path) -> None:
    found = load_file(write(tmp_path, GOOD))
    assert [each.name for each in found] == [
        "crowded",
        "slow_flicker",
        "rhythm.gap",
        "rhythm.span",
    ]
    assert [each.window_seconds for each in found] == [1.0, 2.0, 30.0, 60.0]


def test_files_of_one_name_are_kept_apart(tmp_path: Path) -> None:
    names = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        text = f"from operators.assertions.flicker import Flicker\nx = Flicker(name='{folder}')\n"
        names += [each.name for each in load_file(write(tmp_path / folder, text))]
    assert names == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("x = 5\n", f": streams.gate.assertions: holds no assertion. {EXAMPLE}"),
        (
            "from operators.assertions import assertion\n\n@assertion(window=1.0)\n"
            "def alone(outputs):\n    return 0\n",
            ":3: streams.gate.assertions: an assertion must be a plain function "
            f"(inputs, outputs) -> severity, got alone(outputs). {EXAMPLE}",
        ),
        (
            "def broken(:\n",
            ":1: streams.gate.assertions: SyntaxError: invalid syntax (mine.py, line 1). "
            "Mend the file.",
        ),
        (
            "import math\n\nmath.sqrt(-1)\n",
            ":3: streams.gate.assertions: ValueError: math domain error. Mend the file.",
        ),
        (
            "import no_such_package_at_all\n",
            ":1: streams.gate.assertions: ModuleNotFoundError: No module named "
            "'no_such_package_at_all'. Mend the file.",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path: Path, text: str, fault: str) -> None:
    before = set(sys.modules)
    assert fault_of(write(tmp_path, text)) == fault
    failed = "holds no" not in fault
    assert len([name for name in set(sys.modules) - before if "mine" in name]) == (not failed)


def test_a_file_must_be_there(tmp_path: Path) -> None:
    remedy = "Name a file that ends in .py."
    missing = tmp_path / "none.py"
    assert fault_of(missing) == f": streams.gate.assertions: is no file. {remedy}"
    text = write(tmp_path, "", "notes.txt")
    assert fault_of(text) == f": streams.gate.assertions: is no Python file. {remedy}"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An installed package that offers entry points; its name."""
    info = tmp_path / "street-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: street\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[sightflow.assertions]\nbusy = street_rules:busy\nnothing = street_rules:nothing\n"
        "lost = street_rules:lost\n"
    )
    write(
        tmp_path,
        "from operators.assertions.multibox import Multibox\n"
        "busy = [Multibox(name='one'), Multibox(name='two')]\nnothing = 5\n",
        "street_rules.py",
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "street_rules", raising=False)
    return "street"


def test_packages_offer_assertions(package: str) -> None:
    assert package
    assert [each.name for each in load_entry_point("busy")] == ["one", "two"]


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        (
            "other",
            "other: assertions: is offered by no package in sightflow.assertions. "
            "Installed packages offer: busy, lost, nothing.",
        ),
        ("nothing", f"nothing: assertions: is no assertion but int. {EXAMPLE}"),
        (
            "lost",
            "lost: assertions: cannot be loaded: AttributeError: module 'street_rules' has no "
            "attribute 'lost'. Mend or reinstall the package.",
        ),
    ],
)
def test_what_is_wrong_with_an_entry_point_is_said(package: str, name: str, fault: str) -> None:
    assert package
    with pytest.raises(ConfigurationError) as caught:
        load_entry_point(name)
    assert [str(each) for each in caught.value.faults] == [fault]


def test_built_in_assertions_have_their_names() -> None:
    made = {name: kind() for name, kind in BUILT_IN.items()}
    assert {name: each.name for name, each in made.items()} == {name: name for name in made}
    assert all(isinstance(each, Assertion) for each in made.values())
