from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.health import planes

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray


@pytest.fixture(params=["vtest.avi", "one-by-one-person-detection.mp4"])
def clip(request: pytest.FixtureRequest, assets: Path) -> Path:
    """A real video."""
    path: Path = assets / "video" / request.param
    if not path.is_file():
        pytest.skip(f"needs the video {request.param} of the assets")
    return path


@pytest.fixture
def real(clip: Path) -> tuple[NDArray[np.uint8], ...]:
    """The planes of a real video."""
    return planes(clip)
