"""The library of charts is taken out of its package, and nothing else is."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from flows.dashboard.vendor import FILES, is_vendored, vendor
from models.asset_sources import DownloadError

if TYPE_CHECKING:
    from pathlib import Path


def test_without_npm_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(DownloadError) as caught:
        vendor({"PATH": str(tmp_path)}, tmp_path / "vendor")
    assert str(caught.value) == "npm is not installed, or not on the PATH"
    assert not is_vendored(tmp_path / "vendor")


def test_the_files_are_those_of_the_pinned_package(tmp_path: Path) -> None:
    if shutil.which("npm") is None:
        pytest.skip("needs npm")
    folder = tmp_path / "vendor"
    try:
        vendor(os.environ, folder)
    except DownloadError as error:
        pytest.skip(f"needs the package: {error}")
    assert is_vendored(folder)
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    assert "MIT License" in (folder / "LICENSE").read_text(encoding="utf-8")
    script = (folder / "uPlot.iife.min.js").read_text(encoding="utf-8")
    assert script.startswith("/*! https://github.com/leeoniya/uPlot (v1.6.32) */")
