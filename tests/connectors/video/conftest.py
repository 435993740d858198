"""Fixtures of the video tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.coded import Truth, coded_videos

if TYPE_CHECKING:
    from connectors.video import VideoSettings


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[VideoSettings, Truth]]:
    """Videos of each way to code frames, with what every frame must look like."""
    return coded_videos(tmp_path_factory.mktemp("coded"))
