"""The notebook runs from its first cell to its last, and shows what it says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest

from tests.support.documents import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

NOTEBOOK = ROOT / "docs" / "notebooks" / "first-look.ipynb"
MOST_BYTES = 400_000
"""What the notebook may weigh, with its pictures."""


@pytest.fixture
def no_window() -> Iterator[None]:
    """Figures are drawn into memory."""
    before = mpl.get_backend()
    plt.switch_backend("Agg")
    yield
    plt.close("all")
    plt.switch_backend(before)


def cells() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in found if cell["cell_type"] == "code"]


def printed(cell: dict[str, Any]) -> str:
    """What a cell's stored output says."""
    texts = [one["text"] for one in cell["outputs"] if one["output_type"] == "stream"]
    return "".join("".join(text) for text in texts)


@pytest.mark.usefixtures("no_window")
def test_every_cell_runs_and_prints_what_is_stored(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {"__name__": "__main__"}
    for number, cell in enumerate(cells()):
        exec(compile("".join(cell["source"]), f"cell {number}", "exec"), names)  # noqa: S102 - ours
        assert capsys.readouterr().out == printed(cell)
    assert len(plt.get_fignums()) == len(pictures())


def test_the_notebook_is_executed_and_small() -> None:
    assert len(pictures()) == 3
    assert [cell["execution_count"] for cell in cells()] == [1, 2, 3, 4, 5]
    assert NOTEBOOK.stat().st_size < MOST_BYTES


def pictures() -> list[str]:
    """The stored pictures, PNG in base64."""
    outputs = [one for cell in cells() for one in cell["outputs"]]
    return [one["data"]["image/png"] for one in outputs if one["output_type"] == "display_data"]
