"""Any of torchvision's COCO detectors, by the name of its builder."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torchvision.models import detection, get_model_builder, get_model_weights, list_models

from models.asset_sources import DownloadError, UrlSource, sha256_of
from models.assets import store
from models.detectors.labels import class_mask
from models.detectors.postprocess import BoxFilter, Placement, check_images
from models.detectors.settings import TORCHVISION_PREFIX
from models.detectors.weights import check_weights
from records import AssetError, DetectorError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.assets import Progress
    from models.detectors.settings import DetectorSettings
    from records import Detections

ABSENT = "N/A"
"""What torchvision's metadata calls a COCO category that has no objects."""

SAFE_SUFFIX = ".safetensors"
"""How the name of a file of weights ends that `models.detectors.torchvision_training` wrote."""

LONGEST_COMPLAINT = 300
"""Characters of torch's list of wrong weights that are passed on."""


class TorchvisionDetector:
    """A torchvision detector on the CPU or CUDA; images of one size are batched.

    Images of different sizes never share a batch: torchvision pads them to a common size, and the
    answer for one would depend on the others.

    Args:
        builder: A builder in torchvision.models.detection.
        settings: How to run it.
        progress: Told about the bytes of a download.

    Raises:
        DetectorError: there is no such builder, the file does not hold its weights, the device is
            not there, or `settings.classes` names an unknown class.
        AssetError: the published weights cannot be downloaded.
    """

    def __init__(
        self, builder: str, settings: DetectorSettings, *, progress: Progress | None = None
    ) -> None:
        self._name = TORCHVISION_PREFIX + builder
        published = published_weights(builder)
        names, self._class_ids = _classes(published)
        self._filter = BoxFilter(
            self._name,
            names,
            class_mask(settings.classes, names, self._name),
            settings.score_at_least,
            settings.iou_at_most,
        )
        self._device = _device(settings.device)
        if settings.threads:
            torch.set_num_threads(settings.threads)
        given = settings.weights
        path = Path(given) if given is not None else _downloaded(self._name, published, progress)
        self._model = _model(builder, path, settings).to(self._device)
        self._transforms = published.transforms()
        self._batch_size = settings.batch_size

    @property
    def name(self) -> str:
        """The model's name, ``torchvision:<builder>``."""
        return self._name

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes of the published weights, without the background."""
        return self._filter.class_names

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """Find the objects in each image; see `records.protocols.Detector`."""
        check_images(images)
        found: dict[int, Detections] = {}
        order = sorted(range(len(images)), key=lambda i: images[i].shape)
        for _, same_size in itertools.groupby(order, key=lambda i: images[i].shape):
            indices = list(same_size)
            for start in range(0, len(indices), self._batch_size):
                batch = indices[start : start + self._batch_size]
                answers = self._detect_batch([images[i] for i in batch])
                found.update(zip(batch, answers, strict=True))
        return [found[i] for i in range(len(images))]

    def _detect_batch(self, images: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        tensors = [torch.from_numpy(np.array(image)).permute(2, 0, 1) for image in images]
        with torch.inference_mode():
            outputs = self._model([self._transforms(t).to(self._device) for t in tensors])
        height, width = images[0].shape[:2]
        return [self._decode(output, Placement(width, height)) for output in outputs]

    def _decode(self, output: dict[str, torch.Tensor], placement: Placement) -> Detections:
        boxes = output["boxes"].cpu().numpy().astype(np.float32, copy=False)
        scores = output["scores"].cpu().numpy().astype(np.float32, copy=False)
        class_ids = self._class_ids[output["labels"].cpu().numpy()]
        strong = (class_ids >= 0) & self._filter.strong(scores, class_ids)
        return self._filter.detections(boxes[strong], scores[strong], class_ids[strong], placement)


def vocabulary(builder: str) -> tuple[str, ...]:
    """The classes that a builder's published weights know, lower case, without the background.

    Raises:
        DetectorError: there is no such builder.
    """
    return _classes(published_weights(builder))[0]


def published_weights(builder: str) -> Any:  # noqa: ANN401 - torchvision ships no type information
    """The best published weights of a builder: address, labels, transforms."""
    builders = list_models(module=detection)
    if builder not in builders:
        raise DetectorError(
            f"model must be {TORCHVISION_PREFIX}<builder> with a builder of torchvision: "
            f"{', '.join(builders)}; got {builder!r}"
        )
    return get_model_weights(builder).DEFAULT


def labels_of(published: Any) -> dict[str, int]:  # noqa: ANN401
    """The model's own label of each name of the vocabulary of its published weights."""
    names, class_ids = _classes(published)
    return {names[k]: label for label, k in enumerate(class_ids.tolist()) if k >= 0}


def _classes(published: Any) -> tuple[tuple[str, ...], NDArray[np.int32]]:  # noqa: ANN401
    """The names, and for each of the model's labels its index in them; -1 where it has none."""
    categories = published.meta["categories"]
    real = [label > 0 and name != ABSENT for label, name in enumerate(categories)]
    names = tuple(itertools.compress((name.lower() for name in categories), real))
    class_ids = np.where(real, np.cumsum(real) - 1, -1).astype(np.int32)
    return names, class_ids


def _device(wanted: str) -> torch.device:
    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise DetectorError("device cuda is not there for torch. Set device to cpu or auto")
    return torch.device("cuda" if there and wanted != "cpu" else "cpu")


def _downloaded(name: str, published: Any, progress: Progress | None) -> Path:  # noqa: ANN401
    """The published weights in torch.hub's own folder, whose names end with their SHA-256."""
    file = str(published.url).rpartition("/")[2]
    path = Path(torch.hub.get_dir()) / "checkpoints" / file
    match = re.search(r"-([0-9a-f]{8,64})\.pth$", file)
    assert match is not None, f"{file} has no checksum in its name"
    if path.is_file() and sha256_of(path).startswith(match[1]):
        return path
    source = UrlSource(published.url)
    try:
        store(source.chunks(), path, match[1], None, progress)
    except (DownloadError, OSError) as error:
        hint = f"{path}: is not there or not whole; put it there by hand, or set weights to a file"
        raise AssetError(name, [hint, f"{source}: {error}"]) from error
    return path


def _model(builder: str, path: Path, settings: DetectorSettings) -> torch.nn.Module:
    model: torch.nn.Module = get_model_builder(builder)(weights=None, weights_backbone=None)
    load_weights(model, builder, path)
    thresholds: Any = getattr(model, "roi_heads", model)
    thresholds.score_thresh = settings.score_at_least
    thresholds.nms_thresh = settings.iou_at_most
    return model.eval()


def load_weights(model: torch.nn.Module, builder: str, path: Path) -> None:
    """Give a model the weights of a file: safetensors, or what torch.save wrote.

    Raises:
        DetectorError: the file does not hold them.
    """
    state = _state(path)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        complaint = " ".join(str(error).split())[:LONGEST_COMPLAINT]
        raise DetectorError(f"{path} must hold the weights of {builder}: {complaint}") from error


def _state(path: Path) -> dict[str, torch.Tensor]:
    """A state dictionary of finite tensors, read without running anything in the file."""
    check_weights(path)
    state = _safe_tensors(path) if path.suffix == SAFE_SUFFIX else _torch_tensors(path)
    if not all(bool(torch.isfinite(t).all()) for t in state.values() if t.is_floating_point()):
        raise DetectorError(f"{path} holds weights that are not finite; it is damaged")
    return state


def _safe_tensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise DetectorError(f"{path} is no safetensors file ({error}). Copy it again") from error


def _torch_tensors(path: Path) -> dict[str, torch.Tensor]:
    remedy = "Save it with torch.save(model.state_dict(), path)"
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (
        EOFError,
        LookupError,
        OSError,
        RuntimeError,
        TypeError,
        ValueError,
        UnpicklingError,
    ) as error:
        raise DetectorError(
            f"{path} cannot be read by torch.load with weights_only=True "
            f"({type(error).__name__}). {remedy}"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(t, torch.Tensor) for t in state.values()):
        raise DetectorError(f"{path} must hold a dictionary of tensors. {remedy}")
    return state
