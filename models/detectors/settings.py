"""What a detector is loaded with."""

from __future__ import annotations

from dataclasses import dataclass

from records import DetectorError

AUTO = "auto"
"""Model: the first that can be had. Device: CUDA where the runtime finds it, else the CPU."""

YOLOX_NANO = "yolox_nano"
"""YOLOX-nano, COCO's 80 classes, on ONNX Runtime."""

SSD_MOBILENETV2_OIV4 = "ssd_mobilenetv2_oiv4"
"""SSD-MobileNetV2, 23 classes of Open Images V4, on LiteRT."""

SILHOUETTE = "silhouette"
"""What differs from a picture of the empty scene; for synthetic scenes."""

TORCHVISION_PREFIX = "torchvision:"
"""Before the name of a builder in torchvision.models.detection."""

DEVICES = (AUTO, "cpu", "cuda")
"""The devices that `DetectorSettings.device` may name."""

LARGEST_BATCH = 256
"""The most images that one call of a runtime may take: bounds the memory of one batch."""

MOST_THREADS = 1024
"""The most threads that a runtime may be given."""


@dataclass(frozen=True, slots=True)
class DetectorSettings:
    """Which detector, and how it runs.

    Attributes:
        model: ``auto``, ``yolox_nano``, ``ssd_mobilenetv2_oiv4``, ``silhouette`` or
            ``torchvision:<builder>`` such as ``torchvision:fasterrcnn_resnet50_fpn_v2``.
        weights: A local file with the model's weights; None takes the published ones. Not with
            ``auto``, which does not know whose weights they are. For ``yolox_nano`` an ONNX file,
            or a fine-tuned head (``.safetensors``), which goes into the published file.
        device: ``cpu``, ``cuda``, or ``auto``: CUDA where the runtime finds it, else the CPU.
        score_at_least: Boxes below this score are dropped, 0..1. The default is low so that a
            tracker's second association (ByteTrack, Zhang et al. 2022) still sees weak boxes of
            half-hidden objects; what counts as an object is decided later, at a higher score.
        iou_at_most: Of two boxes of one class that overlap by more than this intersection over
            union, 0..1, the one with the lower score is dropped.
        batch_size: Most images in one call of the runtime, 1..256.
        threads: Threads the runtime may use inside one call; 0 lets it choose. Torch has one
            setting for the whole process.
        classes: Only boxes of these classes are returned; empty returns all.

    Raises:
        DetectorError: a value is outside its range; the message names the field.
    """

    model: str = AUTO
    weights: str | None = None
    device: str = AUTO
    score_at_least: float = 0.1
    iou_at_most: float = 0.45
    batch_size: int = 8
    threads: int = 0
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_model(self.model)
        if self.weights is not None and (not self.weights or self.model == AUTO):
            raise DetectorError(
                f"weights must be a file for a model that is named, got {self.weights!r} for "
                f"model {self.model!r}. Name the model, or leave the weights out"
            )
        if self.device not in DEVICES:
            raise DetectorError(f"device must be one of {', '.join(DEVICES)}, got {self.device!r}")
        _check_fraction("score_at_least", self.score_at_least)
        _check_fraction("iou_at_most", self.iou_at_most)
        _check_whole("batch_size", self.batch_size, 1, LARGEST_BATCH)
        _check_whole("threads", self.threads, 0, MOST_THREADS)
        if isinstance(self.classes, str) or not all(isinstance(n, str) for n in self.classes):
            raise DetectorError(f"classes must be a tuple of names, got {self.classes!r}")


def check_model(model: object) -> None:
    """Raise DetectorError unless `model` is ``auto`` or names a kind of model that there is."""
    named = isinstance(model, str) and (
        model in (AUTO, YOLOX_NANO, SSD_MOBILENETV2_OIV4, SILHOUETTE)
        or (model.startswith(TORCHVISION_PREFIX) and model != TORCHVISION_PREFIX)
    )
    if not named:
        raise DetectorError(
            f"model must be {AUTO}, {YOLOX_NANO}, {SSD_MOBILENETV2_OIV4}, {SILHOUETTE} or "
            f"{TORCHVISION_PREFIX}<builder>, got {model!r}"
        )


def _check_fraction(field: str, value: object) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
        raise DetectorError(f"{field} must be a number in 0..1, got {value!r}")


def _check_whole(field: str, value: object, least: int, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise DetectorError(f"{field} must be a whole number in {least}..{most}, got {value!r}")
