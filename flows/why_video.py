"""The frames of an episode, decoded anew from the stream's video where that is still there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from connectors.video import decode_frames, redact
from connectors.video.uri import parse_uri
from flows.config import FROM_KAFKA, StreamSection
from flows.config.document import mapping
from flows.inputs import video_settings
from flows.why_asked import places
from records import RecordError, SourceError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from connectors.replay import EventLog
    from connectors.video import VideoSettings
    from flows.why_asked import Asked

_KEPT = ("start", "frames_at_most", "decode_threads")
"""What counts of a stream's section for decoding its frames by number."""

_REMEDY = "name a recording with --video FILE"


def episode_frames(
    video: VideoSettings, sequences: Sequence[int]
) -> tuple[dict[int, NDArray[np.uint8]], str]:
    """Decode the frames of an episode; what could be had, and why not all where that is so.

    Args:
        video: The video.
        sequences: The frames' numbers, rising.
    """
    found: dict[int, NDArray[np.uint8]] = {}
    try:
        # What was decoded before a failure stays.
        found.update(decode_frames(video, sequences, kind="full"))
    except (RecordError, SourceError) as error:
        missing = f"{len(found)} of {len(sequences)} frames are shown: {redact(str(error))}"
        return found, missing
    return found, ""


def find_video(
    log: EventLog, asked: Asked, stream: str, given: Path | None = None
) -> tuple[VideoSettings | None, str]:
    """The video of a stream; None, and why, where its frames cannot be had.

    Args:
        log: The run's log.
        asked: What the manifest's configuration says.
        stream: The stream.
        given: The video that is to be taken instead.
    """
    section = mapping(asked.streams.get(stream))
    if given is not None:
        if not given.exists():
            raise SourceError(f"the video {given} is not there")
        return _settings(section, given)
    uri = str(section.get("uri", ""))
    if not uri or uri == FROM_KAFKA:
        return None, f"the configuration names no video of stream {stream}; {_REMEDY}"
    try:
        path = parse_uri(uri).path
    except RecordError as error:
        return None, f"{error}; {_REMEDY}"
    if path is None:
        return None, f"the frames came from {redact(uri)} and were not kept; {_REMEDY}"
    for place in places(log):
        if (place / path).exists():
            return _settings(section, place / path)
    return None, f"the video {path} is not there any more; {_REMEDY}"


def _settings(section: dict[str, Any], path: Path) -> tuple[VideoSettings | None, str]:
    values = {name: section[name] for name in _KEPT if name in section}
    try:
        known = StreamSection.model_validate(values | {"uri": str(path.resolve()), "live": False})
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]["msg"]
        return None, f"the stream's section cannot be read by this release: {problem}"
    return video_settings({"video": known}, Path())["video"], ""
