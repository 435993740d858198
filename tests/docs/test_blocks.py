"""Every block of the documentation works as it is printed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import torch

from connectors.labels import LabelFormat
from tests.support.document_files import SECRET_NAME, Material, make_material, write_files
from tests.support.documents import ROOT, Page, blocks, failure, pages
from tests.support.endpoints import Reply, ScriptedServer
from tests.support.labels import confirm
from tests.support.webhooks import SECRET

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.kafka_broker import Broker

MOST_NOT_RUN = 20
"""Blocks that may be marked as not run, in all pages."""

LEAST_BLOCKS = 60
"""Blocks that there are, at the least: the reader of pages must not miss them."""


@pytest.fixture(scope="session")
def material(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Material:
    return make_material(tmp_path_factory.mktemp("documents"), assets)


@pytest.fixture
def page_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working folder; environment, working folder and torch's threads come back."""
    threads, before = torch.get_num_threads(), dict(os.environ)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    os.environ[SECRET_NAME] = SECRET
    torch.set_num_threads(1)
    yield tmp_path
    torch.set_num_threads(threads)
    os.environ.clear()
    os.environ.update(before)


def test_blocks_that_are_not_run_are_few_and_say_why(capsys: pytest.CaptureFixture[str]) -> None:
    found = [block for page in pages() for block in blocks(page)]
    left = [block for block in found if block.reason is not None]
    with capsys.disabled():
        for block in left:
            print(f"\nnot run: {block.place}: {block.reason}", end="")
    assert len(found) >= LEAST_BLOCKS
    assert len(left) <= MOST_NOT_RUN
    assert all(len(block.reason or "") > 10 for block in left)


@pytest.mark.parametrize("path", pages(), ids=lambda path: str(path.relative_to(ROOT)))
def test_page(path: Path, page_folder: Path, request: pytest.FixtureRequest) -> None:
    found = blocks(path)
    if not found:
        return
    material: Material = request.getfixturevalue("material")
    text = path.read_text(encoding="utf-8")
    replaced = {"rtsp://camera.local/main": str(material.clip)}
    if any("9092" in block.text for block in found if block.language in {"python", "sh"}):
        broker: Broker = request.getfixturevalue("broker")
        address = f"127.0.0.1:{broker.port}"
        replaced |= {"localhost:9092": address, "broker:9092": address}
    with ScriptedServer(Reply(404), Reply(200)) as server:
        replaced["example.com"] = "127.0.0.1"
        write_files(material, page_folder, text, server.url)
        page = Page(page_folder, replaced, {"queue export": lambda: _label(page_folder)})
        problems = [told for block in found if (told := failure(page, block))]
    assert "\n".join(problems) == ""


def _label(folder: Path) -> None:
    """Do what a person does with what was exported for CVAT."""
    confirm(LabelFormat.CVAT, folder / "to-label").rename(folder / "annotations.xml")
