"""Every detector there is, loaded once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from models.detectors import DetectorSettings, load_detector
from tests.models.detectors.random_weights import BUILDER, save_random_weights

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from records import Detector

    Load = Callable[..., Detector]

MODELS = ("yolox_nano", "ssd_mobilenetv2_oiv4", f"torchvision:{BUILDER}")


@pytest.fixture(scope="session", params=MODELS)
def load(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, assets: Path
) -> Load:
    """Loads one of the detectors with these settings changed; each kind is tried in turn."""
    model = str(request.param)
    weights = tmp_path_factory.mktemp("weights") / "random.pth"
    if model.startswith("torchvision:"):
        save_random_weights(weights)
    elif model == "ssd_mobilenetv2_oiv4":
        pytest.importorskip("ai_edge_litert")
        weights = assets / "models" / "object_detection_ssd_mobilenetv2_oidv4_fp16.tflite"
    else:
        weights = assets / "models" / "yolox_nano.onnx"
    base = DetectorSettings(model, str(weights), "cpu")
    return lambda **changes: load_detector(replace(base, **changes))


@pytest.fixture(scope="session")
def detector(load: Load) -> Detector:
    """The detector with its default settings."""
    return load()


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No asset on this machine, and no way out of it; the folder of its caches."""
    for name in ("SIGHTFLOW_ASSETS", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nothing listens there
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("PATH", str(tmp_path))  # no npm
    return tmp_path
