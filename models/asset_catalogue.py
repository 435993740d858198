"""The catalogue of assets: what there is, how it is known, and where it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING

from models.asset_sources import PackageSource, Source, UrlSource

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Asset:
    """One file that is had from elsewhere.

    Attributes:
        name: What commands and configurations call it.
        path: Where it lies inside a folder of assets, with ``/``.
        size: Its length, bytes.
        sha256: Its SHA-256, hexadecimal.
        licence: SPDX identifier of its licence.
        about: What it is, one line.
        sources: Where it comes from, the first to be tried first.
    """

    name: str
    path: str
    size: int
    sha256: str
    licence: str
    about: str
    sources: tuple[Source, ...]

    def __post_init__(self) -> None:
        path = PurePosixPath(self.path)
        if not path.parts or path.is_absolute() or ".." in path.parts:
            raise ValueError(f"path must be inside the folder of assets, got {self.path!r}")


def _objectron(offset: int) -> PackageSource:
    return PackageSource(
        "npm",
        "@mediapipe/objectron@0.4.1675468480",
        "fc3e37b326b05e8f596099c90b3e0931b05a56cd3160b9ac450b621794bac94c",
        "package/objectron_solution_packed_assets.data",
        offset,
    )


_ALL = (
    Asset(
        name="vtest",
        path="video/vtest.avi",
        size=8131690,
        sha256="45cddc9490be69345cbdab64ca583be65987e864ca408038e648db99e10516cf",
        licence="Apache-2.0",
        about="a street with 2 to 8 pedestrians, fixed camera, 768x576, 10 Hz, 79.5 s",
        sources=(
            UrlSource("https://raw.githubusercontent.com/opencv/opencv/4.x/samples/data/vtest.avi"),
            PackageSource(
                "pip",
                "opencv-python-headless==4.11.0.86",
                "996eb282ca4b43ec6a3972414de0e2331f5d9cda2b41091a49739c19fb843798",
                "opencv-python-headless-4.11.0.86/opencv/samples/data/vtest.avi",
            ),
        ),
    ),
    Asset(
        name="yolox_nano",
        path="models/yolox_nano.onnx",
        size=3660092,
        sha256="695e750a5d5754bb5a8d5325643b59282191a7e7a564e435a415fd3c578eab14",
        licence="Apache-2.0",
        about="YOLOX-nano, COCO's 80 classes, 416 pixels, ONNX",
        sources=(
            UrlSource(
                "https://github.com/Megvii-BaseDetection/YOLOX/releases/download/0.1.1rc0/"
                "yolox_nano.onnx"
            ),
        ),
    ),
    Asset(
        name="ssd_mobilenetv2_oiv4",
        path="models/object_detection_ssd_mobilenetv2_oidv4_fp16.tflite",
        size=9987728,
        sha256="d0a5255bf8c4f5a0bc4240741a76c41d5e939f7655078f945f50ab53a9375da6",
        licence="Apache-2.0",
        about="SSD-MobileNetV2, 23 classes of Open Images V4, 300 pixels, LiteRT",
        sources=(_objectron(184),),
    ),
    Asset(
        name="ssd_mobilenetv2_oiv4_labels",
        path="models/object_detection_oidv4_labelmap.txt",
        size=184,
        sha256="c148336a65f673013609a923fdcbdeec0f49df935045029c3746a3828a0e80e0",
        licence="Apache-2.0",
        about="the label map of ssd_mobilenetv2_oiv4, its first line the background",
        sources=(_objectron(0),),
    ),
)

ASSETS: Mapping[str, Asset] = MappingProxyType({asset.name: asset for asset in _ALL})
"""Every asset by its name."""
