"""What a video file says of itself, for progress displays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av

from connectors.video.packets import read_packets
from connectors.video.uri import parse_uri

if TYPE_CHECKING:
    from pathlib import Path

    from connectors.video import VideoSettings


def count_frames(path: Path) -> int:
    """How many frames a file holds, by reading its packets.

    Raises:
        SourceError: it cannot be read as a video.
    """
    return len(read_packets(path))


def declared_frames(settings: VideoSettings) -> int | None:
    """How many frames a file declares, up to `frames_at_most`; None where it does not say.

    The figure only scales a progress display: what is read in the end is counted, not declared.
    """
    path = parse_uri(settings.uri).path
    declared = None
    if path is not None and path.is_file():
        try:
            with av.open(str(path)) as container:
                streams = container.streams.video
                declared = streams[0].frames or None if streams else None
        except (av.FFmpegError, OSError):
            declared = None  # the run itself says what is wrong with it
    most = settings.frames_at_most
    return declared if most is None or declared is None else min(declared, most)
