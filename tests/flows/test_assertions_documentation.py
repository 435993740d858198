"""What docs/assertions.md shows works as it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from ruamel.yaml import YAML

from flows.assertions import load_assertions
from flows.config import AssertionsSection
from flows.evaluate.assertions import save_calibration
from operators.assertions.api import Moment
from operators.severity import fit_severities
from records import Detections
from records.finding import DETECTIONS

if TYPE_CHECKING:
    from flows.assertions import Assertions

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "assertions.md"


def block(language: str) -> str:
    """The first block of a language."""
    found = re.search(rf"```{language}\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def documented(tmp_path: Path) -> Assertions:
    """The assertions of the documented configuration."""
    (tmp_path / "gate.py").write_text(block("python"), encoding="utf-8")
    save_calibration(fit_severities([]), tmp_path / "known.json")
    section = AssertionsSection.model_validate(YAML(typ="safe").load(block("yaml"))["assertions"])
    return load_assertions(section, tmp_path)


def test_the_documented_configuration_is_one(documented: Assertions) -> None:
    assert documented.health_names == {"frozen", "dark", "blocked", "moved", "clock_skew", "gap"}
    assert [each.name for each in documented.outputs] == [
        "flicker", "appear", "multibox", "velocity",
        "emptied_at_once", "same_class.class", "same_class.gap", "same_class.span",
    ]  # fmt: skip
    assert documented.alerting == {"frozen", "blocked", "emptied_at_once"}


def test_the_documented_function_finds_what_it_says(documented: Assertions) -> None:
    own = next(each for each in documented.outputs if each.name == "emptied_at_once")
    check, severities = own.start(), []
    for number, count in enumerate((6, 5, 5, 0)):
        people = Detections.of([[0, 0, 10, 20]] * count, [0.9] * count, ["person"] * count)
        moment = Moment("gate", number, number * 10**8, outputs={DETECTIONS: people})
        severities += [finding.severity for finding in check.observe(moment)]
    assert severities == [1.0]
