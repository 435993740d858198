"""One town for all tests of replays: two videos and the log of a run over them."""

from __future__ import annotations

import pytest

from tests.support.recordings import Town, record_town, write_town


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> Town:
    made = write_town(tmp_path_factory.mktemp("town"))
    record_town(made)
    return made
