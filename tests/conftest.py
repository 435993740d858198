"""Fixtures that every test may use."""

from __future__ import annotations

import os
import shutil
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.support.kafka_broker import Broker, BrokerError
from tests.support.scenes import Street, write_street

if TYPE_CHECKING:
    from collections.abc import Iterator

SHARED_ASSETS = Path(__file__).resolve().parents[2] / "shared" / "assets"

if "SIGHTFLOW_ASSETS" not in os.environ and SHARED_ASSETS.is_dir():
    # Set at import, so that commands that tests start as processes inherit it.
    os.environ["SIGHTFLOW_ASSETS"] = str(SHARED_ASSETS)

# The same examples each time, and no time limits: a busy machine must not fail a test.
settings.register_profile("sightflow", deadline=None, derandomize=True)
settings.load_profile("sightflow")


@pytest.fixture(scope="session")
def assets() -> Path:
    """The folder of real videos, models and truth; skips where it is not there."""
    folder = Path(os.environ.get("SIGHTFLOW_ASSETS", ""))
    if not (folder / "video" / "vtest.avi").is_file():
        pytest.skip("needs SIGHTFLOW_ASSETS to name a folder with video/vtest.avi")
    return folder


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Street:
    """A synthetic street, written once; for tests that only read it."""
    return write_street(tmp_path_factory.mktemp("street"))


@pytest.fixture
def street(scene: Street, tmp_path: Path) -> Street:
    """A copy of the street that a test may run and change."""
    for path in scene.folder.iterdir():
        shutil.copy(path, tmp_path)
    return Street(tmp_path, scene.truth)


def _started(folder: str, factory: pytest.TempPathFactory) -> Broker:
    broker = Broker(factory.mktemp(folder) / "data")
    try:
        broker.start()
    except BrokerError as error:
        pytest.skip(f"needs a Kafka broker: {error}")
    return broker


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A Kafka broker that tests share; none may stop it."""
    broker = _started("broker", tmp_path_factory)
    yield broker
    broker.kill()


@pytest.fixture
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A Kafka broker that the test may stop."""
    broker = _started("own_broker", tmp_path_factory)
    yield broker
    broker.kill()


@pytest.fixture
def no_epoch() -> timedelta:
    """Every batch is an epoch."""
    return timedelta(0)
