"""From settings to a loaded detector."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from models.assets import fetch
from models.detectors.labels import COCO_80, OPEN_IMAGES_23, class_mask
from models.detectors.settings import (
    AUTO,
    SILHOUETTE,
    SSD_MOBILENETV2_OIV4,
    TORCHVISION_PREFIX,
    YOLOX_NANO,
    check_model,
)
from records import AssetError, DetectorError

if TYPE_CHECKING:
    from models.assets import Progress
    from models.detectors.settings import DetectorSettings
    from records import Detector

AUTO_ORDER = (
    YOLOX_NANO,
    SSD_MOBILENETV2_OIV4,
    f"{TORCHVISION_PREFIX}fasterrcnn_mobilenet_v3_large_320_fpn",
)
"""What ``auto`` tries, the first to be had wins."""


HEAD_SUFFIX = ".safetensors"
"""How the name of a file of weights ends that holds only the head of a YOLOX."""


def load_detector(settings: DetectorSettings, *, progress: Progress | None = None) -> Detector:
    """Load a detector, downloading its published weights where they are not on this machine.

    Args:
        settings: Which detector, and how it runs.
        progress: Told about the bytes of a download.

    Raises:
        DetectorError: the model cannot be loaded or is not what it must be; for ``auto``, no
            model can be had, and every one tried is listed.
        AssetError: the published weights cannot be had from any source.
    """
    if settings.model != AUTO:
        return _load(settings, progress)
    attempts = []
    for model in AUTO_ORDER:
        try:
            return _load(replace(settings, model=model), progress)
        except (AssetError, DetectorError) as error:
            attempts.append(f"{model}: {error}".replace("\n", "\n  "))
    tried = "\n".join(f"- {attempt}" for attempt in attempts)
    raise DetectorError(f"no detector can be had; tried:\n{tried}")


def class_names_of(model: str) -> tuple[str, ...] | None:
    """The classes a model knows, without loading its weights.

    Args:
        model: As `DetectorSettings.model`.

    Returns:
        The names, lower case; None for ``auto``, where only the loaded model knows.

    Raises:
        DetectorError: there is no such model.

    >>> class_names_of("yolox_nano")[:3], class_names_of("auto")
    (('person', 'bicycle', 'car'), None)
    """
    check_model(model)
    if model == AUTO:
        return None
    if model == YOLOX_NANO:
        return COCO_80
    if model == SSD_MOBILENETV2_OIV4:
        return OPEN_IMAGES_23
    if model == SILHOUETTE:
        from models.detectors.silhouette import CLASS_NAMES  # noqa: PLC0415 - imports OpenCV

        return CLASS_NAMES
    from models.detectors.torchvision import vocabulary  # noqa: PLC0415 - imports torch

    return vocabulary(_builder(model))


def _load(settings: DetectorSettings, progress: Progress | None) -> Detector:
    """Load one named model; each runtime is imported only when its model is asked for."""
    if settings.model.startswith(TORCHVISION_PREFIX):
        from models.detectors.torchvision import TorchvisionDetector  # noqa: PLC0415 - torch

        return TorchvisionDetector(_builder(settings.model), settings, progress=progress)
    if settings.model == YOLOX_NANO:
        from models.detectors.onnx import YoloxDetector  # noqa: PLC0415 - onnxruntime

        class_mask(settings.classes, COCO_80, settings.model)  # before anything is downloaded
        if settings.weights is not None and Path(settings.weights).suffix == HEAD_SUFFIX:
            return _with_head(Path(settings.weights), settings, progress)
        return YoloxDetector(_weights(settings, progress), settings)
    if settings.model == SILHOUETTE:
        from models.detectors.silhouette import SilhouetteDetector  # noqa: PLC0415 - OpenCV

        return SilhouetteDetector(_weights(settings, progress), settings)
    from models.detectors.litert import SsdDetector, interpreter_class  # noqa: PLC0415 - LiteRT

    class_mask(settings.classes, OPEN_IMAGES_23, settings.model)
    interpreter_class()
    return SsdDetector(_weights(settings, progress), settings)


def _with_head(path: Path, settings: DetectorSettings, progress: Progress | None) -> Detector:
    """The published detector with a fine-tuned head."""
    from models.detectors.head import HeadModel  # noqa: PLC0415 - imports onnx

    head = HeadModel.load(path)
    return head.detector(replace(settings, weights=str(fetch(YOLOX_NANO, progress=progress))))


def _weights(settings: DetectorSettings, progress: Progress | None) -> Path:
    given = settings.weights
    if given is None and settings.model == SILHOUETTE:
        raise DetectorError("weights must be a picture of the empty scene for silhouette, got none")
    return Path(given) if given is not None else fetch(settings.model, progress=progress)


def _builder(model: str) -> str:
    return model.removeprefix(TORCHVISION_PREFIX)
