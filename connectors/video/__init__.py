"""Video sources for the dataflow: files, folders of segments, network cameras and webcams."""

from connectors.video.pixels import ArrayPixels, AvPixels
from connectors.video.reader import read_video
from connectors.video.settings import VideoSettings
from connectors.video.source import VideoPartition, VideoSource
from connectors.video.uri import redact

__all__ = [
    "ArrayPixels",
    "AvPixels",
    "VideoPartition",
    "VideoSettings",
    "VideoSource",
    "read_video",
    "redact",
]
