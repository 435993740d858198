"""Functions of an object's pixels that users bring themselves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from flows.query import parse
from flows.query.contents import load_functions
from flows.query.model import Range
from records import QueryError
from tests.flows.test_cli import call

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.scenes import Street

OWN = """
import numpy as np

def spread(content):
    return content.max() - float(content.min())

def Broken(content):
    raise ValueError("no idea")

def nothing(content):
    return float("nan")

def helper(a, b):
    return a + b
"""


def test_functions_of_one_parameter_content_are_taken(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN, encoding="utf-8")
    functions = load_functions(tmp_path / "own.py")
    assert sorted(functions) == [
        "blueness", "broken", "greenness", "luminance", "nothing", "redness", "spread",
    ]  # fmt: skip
    pixels = np.array([[[10, 200, 30]]], np.uint8)
    assert functions["spread"](pixels) == 190
    assert functions["greenness"](pixels) == 180
    with pytest.raises(QueryError, match=r"^Broken\(content\) failed: ValueError: no idea$"):
        functions["broken"](pixels)
    with pytest.raises(QueryError, match=r"^nothing\(content\) must give a number, got NaN$"):
        functions["nothing"](pixels)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("own.txt", OWN, "must be a Python file with functions of content"),
        ("own.py", "import nonsense_module", "cannot be run: ModuleNotFoundError: No module"),
        ("own.py", "def helper(a, b): ...", "must have a function with the parameter content: def"),
    ],
)
def test_a_file_without_them_is_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(QueryError, match=message):
        load_functions(tmp_path / name)


def test_an_unknown_function_is_told_with_those_there_are() -> None:
    with pytest.raises(QueryError, match="is no function"):
        parse("SELECT * FROM gate WHERE spread(content) > 3")
    query = parse("SELECT * FROM gate WHERE spread(content) >= 3", ("spread",))
    assert query.filters.contents == {"spread": Range(3.0)}


def test_objects_of_a_video_are_selected_by_them(
    assets: Path,
    street: Street,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert assets.is_dir()
    (street.folder / "own.py").write_text(OWN, encoding="utf-8")
    monkeypatch.chdir(street.folder)
    question = "SELECT * FROM gate WHERE class='person' AND spread(content) >= {} AND timestamp < 2"
    words = ("--source", "scene.mp4", "--functions", "own.py", "--json")
    found = []
    for least in (0, 100, 300):
        run = ("query", question.format(least), *words, "--detector", "yolox_nano")
        assert call(*run) == 0
        found.append(len(json.loads(capsys.readouterr().out)["rows"]))
    assert found[2] == 0
    assert found[0] >= found[1]
