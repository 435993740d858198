"""The site builds without a warning, and its generated pages are those of the code."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from flows import reference
from tests.support.documents import ROOT, pages

if TYPE_CHECKING:
    from pathlib import Path

DOCS = ROOT / "docs"
GENERATED = ("cli.md", "configuration.md", "records.md", "metrics.md", "kafka.md")
_LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")


def test_the_reference_is_that_of_the_code(tmp_path: Path) -> None:
    assert [path.name for path in reference.write(tmp_path)] == list(GENERATED)
    for name in GENERATED:
        committed = (DOCS / "reference" / name).read_text(encoding="utf-8")
        assert committed == (tmp_path / name).read_text(encoding="utf-8"), (
            f"docs/reference/{name} is not what the code says; run 'make docs'"
        )


def test_every_word_of_the_reference_is_told() -> None:
    text = reference.pages()
    for name in ("configuration.md", "records.md", "metrics.md", "cli.md"):
        bare = [line for line in text[name].splitlines() if line.endswith(" |  |")]
        assert bare == [], name


@pytest.mark.parametrize("page", pages(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in _LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_site_builds(tmp_path: Path) -> None:
    if find_spec("mkdocs") is None or find_spec("material") is None:
        pytest.skip("needs mkdocs-material: pip install -e '.[docs]'")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    index = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert (tmp_path / "pictures" / "cascade.png").is_file()
    # Nothing is loaded from another server.
    loaded = re.findall(r'<(?:script|img|iframe)[^>]+src="(https?:[^"]+)', index)
    assert loaded + re.findall(r'<link rel="stylesheet" href="(https?:[^"]+)', index) == []
