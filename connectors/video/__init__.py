"""Video sources for the dataflow: files, folders of segments, network cameras and webcams."""

from connectors.video.demand import DecodeCounts, OnDemandDecoder
from connectors.video.demand_pixels import OnDemandPixels
from connectors.video.packets import PacketIndex, read_packets
from connectors.video.pixels import ArrayPixels, AvPixels
from connectors.video.reader import read_video
from connectors.video.selected import decode_frames
from connectors.video.settings import VideoSettings
from connectors.video.source import VideoPartition, VideoSource
from connectors.video.uri import redact

__all__ = [
    "ArrayPixels",
    "AvPixels",
    "DecodeCounts",
    "OnDemandDecoder",
    "OnDemandPixels",
    "PacketIndex",
    "VideoPartition",
    "VideoSettings",
    "VideoSource",
    "decode_frames",
    "read_packets",
    "read_video",
    "redact",
]
