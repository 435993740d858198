"""Annotated pictures: a frame with the boxes of its verdict and a line of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import supervision as sv

from connectors.video import read_video
from records import Frame, SourceError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from connectors.video import VideoSettings
    from records import Detections, Verdict

BANNER_PIXELS = 34
"""Height of the line of text above the picture, pixels."""

BANNER_COLOUR = (32, 27, 24)
"""The banner's ground, blue, green, red."""

TEXT_COLOUR = (240, 240, 240)
"""The banner's text, blue, green, red."""

JPEG_QUALITY = 92
"""Of pictures written as JPEG."""


def annotate(rgb: NDArray[np.uint8], answer: Detections, text: str) -> NDArray[np.uint8]:
    """Draw boxes with their tracks, and a banner above.

    Args:
        rgb: uint8 (height, width, 3).
        answer: The boxes.
        text: The banner's text, plain ASCII.

    Returns:
        uint8 (height + banner, width, 3), RGB.
    """
    scene = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), np.uint8)
    boxes = sv.Detections(
        xyxy=answer.boxes.astype(np.float64),
        confidence=answer.scores.astype(np.float64),
        class_id=answer.class_ids.astype(np.int64),
        tracker_id=answer.tracks,
    )
    labels = [
        f"{name} {track}" if track >= 0 else name
        for name, track in zip(answer.classes, answer.tracks, strict=True)
    ]
    lookup = sv.ColorLookup.INDEX
    scene = sv.BoxAnnotator(thickness=2, color_lookup=lookup).annotate(scene, boxes)
    labeller = sv.LabelAnnotator(
        text_scale=0.4, text_padding=3, color_lookup=lookup, smart_position=True
    )
    scene = labeller.annotate(scene, boxes, labels=labels)
    banner = np.full((BANNER_PIXELS, scene.shape[1], 3), BANNER_COLOUR, np.uint8)
    cv2.putText(banner, text, (10, 23), cv2.FONT_HERSHEY_SIMPLEX, 0.55, TEXT_COLOUR, 1, cv2.LINE_AA)
    return np.asarray(cv2.cvtColor(np.vstack([banner, scene]), cv2.COLOR_BGR2RGB), np.uint8)


def write_picture(path: Path, rgb: NDArray[np.uint8]) -> None:
    """Write a picture; the name's ending says the format.

    Raises:
        SourceError: it cannot be written.
    """
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if path.suffix == ".jpg" else []
    done, data = cv2.imencode(path.suffix, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), options)
    if not done:
        raise SourceError(f"picture {path} must end with .jpg or .png")
    try:
        path.write_bytes(data.tobytes())
    except OSError as error:
        raise SourceError(f"picture {path} cannot be written: {error.strerror}") from error


def picture_of(video: VideoSettings, verdict: Verdict, text: str) -> NDArray[np.uint8]:
    """The annotated frame of a verdict, decoded anew from its video.

    Raises:
        SourceError: the video does not hold that frame any more.
    """
    for item in read_video(verdict.stream, video):
        if isinstance(item, Frame) and item.sequence == verdict.sequence:
            return annotate(item.pixels.rgb(), verdict.answer, text)
    raise SourceError(f"{video.uri} holds no frame {verdict.sequence}")
