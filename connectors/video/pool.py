"""Streams that stay open while the dataflow around them is exchanged."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from connectors.video.settings import VideoSettings
    from connectors.video.source import VideoPartition


class VideoPool:
    """Open streams between two dataflows; their threads go on decoding within their memory.

    A stream in the pool stands where its last snapshot was made, so whoever takes it needs none.
    """

    def __init__(self) -> None:
        self._kept: dict[str, tuple[VideoSettings, VideoPartition]] = {}
        self._lock = threading.Lock()

    def keep(self, stream: str, settings: VideoSettings, partition: VideoPartition) -> None:
        """Keep a stream for the next dataflow."""
        with self._lock:
            self._kept[stream] = settings, partition

    def take(self, stream: str, settings: VideoSettings) -> VideoPartition | None:
        """Take a stream out; None where it is not kept, or was opened with other settings."""
        with self._lock:
            found = self._kept.pop(stream, None)
        if found is None:
            return None
        if found[0] == settings:
            return found[1]
        found[1].close()
        return None

    def close(self) -> None:
        """Close all that nobody took."""
        with self._lock:
            left = [partition for _, partition in self._kept.values()]
            self._kept.clear()
        for partition in left:
            partition.close()
