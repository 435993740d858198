from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from flows.reliability_picture import reliability_figure, write_reliability_picture
from models.calibration import reliability
from records import SourceError

if TYPE_CHECKING:
    from pathlib import Path

DIAGRAMS = {"flicker": reliability([0.1] * 10 + [0.9] * 10, [False] * 9 + [True] * 11)}


def test_the_figure_shows_bins_intervals_and_the_diagonal() -> None:
    (axes,) = reliability_figure(DIAGRAMS).axes
    diagonal, shares = (
        np.asarray(line.get_data(), np.float64).round(9).tolist() for line in axes.lines[:2]
    )
    assert diagonal == [[0, 1], [0, 1]]
    assert shares == [[0.1, 0.9], [0.1, 1.0]]
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["flicker: error 0.050, n = 20"]


def test_nothing_to_show_is_a_diagonal_alone() -> None:
    (axes,) = reliability_figure({}).axes
    assert len(axes.lines) == 1


def test_the_picture_is_written_or_refused(tmp_path: Path) -> None:
    write_reliability_picture(tmp_path / "a.png", DIAGRAMS)
    read = cv2.imread(str(tmp_path / "a.png"))
    assert read is not None
    assert read.shape == (600, 600, 3)
    with pytest.raises(SourceError, match="cannot be written"):
        write_reliability_picture(tmp_path / "gone" / "a.png", DIAGRAMS)
    with pytest.raises(SourceError, match="cannot be written: Format 'txt'"):
        write_reliability_picture(tmp_path / "a.txt", DIAGRAMS)
