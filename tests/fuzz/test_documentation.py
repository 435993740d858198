"""The limits of docs/security.md are those of the code."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "security.md"
ROW = re.compile(
    r"^\| [^|]+ \| (?P<limit>[0-9]+) \| `(?P<module>[\w.]+)\.(?P<name>\w+)` \|$", re.MULTILINE
)
LIMITS = [
    (found["module"], found["name"], int(found["limit"]))
    for found in ROW.finditer(PAGE.read_text(encoding="utf-8"))
]


def test_the_table_is_read_as_a_whole() -> None:
    table = PAGE.read_text(encoding="utf-8").partition("## Limits")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")]
    assert len(LIMITS) == len(rows) - 1


@pytest.mark.parametrize(("module", "name", "limit"), LIMITS)
def test_each_limit_is_that_of_the_code(module: str, name: str, limit: int) -> None:
    assert getattr(importlib.import_module(module), name) == limit


def test_files_that_are_named_are_there() -> None:
    text = PAGE.read_text(encoding="utf-8")
    named = re.findall(r"`((?:connectors|tests|docker|benchmarks)/[\w./]+)`", text)
    root = PAGE.parents[1]
    assert [name for name in named if not (root / name).exists()] == [
        name for name in named if name == "benchmarks/results/fuzz.json"
        and not (root / name).exists()
    ]  # fmt: skip
