"""Opens what is named on the command line as a recording, for the streams of a configuration."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from connectors.log_manifest import MANIFEST_NAME
from connectors.replay import EventLog
from connectors.topic_range import RecordedTopic
from connectors.video import redact
from connectors.video.uri import parse_uri
from flows.config import FROM_KAFKA, StreamSection
from flows.config.document import mapping, read_document
from flows.replay.address import is_topic, parse_topic, topic_settings
from flows.replay.inputs import LogInput, TopicInput, VideoInput
from records import LogError, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flows.config import Configuration
    from flows.replay.inputs import ReplayInput

_RECORDED = ("uri", "start", "frames_at_most", "decode_threads")
"""What `--decode` takes from the recorded configuration of a stream; all else is the new one's."""


@dataclass(frozen=True, slots=True)
class OpenOptions:
    """How a recording is opened.

    Attributes:
        decode: Replay the frames of the videos that an event log was made from, not its verdicts.
        videos: The video of single streams, by name; relative paths count from the recording.
    """

    decode: bool = False
    videos: Mapping[str, str] = field(default_factory=dict)


def open_recording(
    text: str, configuration: Configuration, folder: Path, options: OpenOptions | None = None
) -> ReplayInput:
    """Open a recording.

    Args:
        text: A run's folder, a folder of videos, a video, or the address of a topic.
        configuration: The streams that it is replayed for.
        folder: Where relative paths of the configuration count from.
        options: How it is opened.

    Raises:
        SightflowError: it is none of these, cannot be read, or holds nothing for the streams.
    """
    options = options or OpenOptions()
    unknown = sorted(set(options.videos) - set(configuration.streams))
    if unknown:
        known = _listed(configuration.streams)
        raise SourceError(f"the configuration has no stream {unknown[0]!r}; it has {known}")
    if is_topic(text):
        _refuse(text, options, decode=True)
        return _topic(text, configuration, folder)
    path = Path(text)
    if (path / MANIFEST_NAME).is_file():
        log = EventLog.open(path)
        if options.decode:
            return _decoded(log, configuration, folder, options)
        _refuse(text, options, decode=False)
        streams, others = _chosen(log.streams, configuration, text, unnamed=_unnamed(configuration))
        return LogInput(log, streams, others)
    if options.decode:
        raise SourceError(f"--decode must be given with an event log, got {text}")
    return _videos(path, configuration, options)


def _refuse(text: str, options: OpenOptions, *, decode: bool) -> None:
    if options.videos or (decode and options.decode):
        raise SourceError(f"{text} holds no videos; leave out --stream and --decode")


def _unnamed(configuration: Configuration) -> bool:
    """Whether streams need not be named: those of Kafka come as they come."""
    return configuration.kafka is not None and configuration.kafka.read is not None


def _chosen(
    streams: Iterable[str], configuration: Configuration, text: str, *, unnamed: bool = False
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The streams that are replayed, and the others."""
    known = [name for name in streams if unnamed or name in configuration.streams]
    others = tuple(sorted(set(streams) - set(known)))
    if not known:
        raise SourceError(
            f"{text} holds no stream of the configuration, which has "
            f"{_listed(configuration.streams)}; it holds {_listed(streams)}"
        )
    return tuple(sorted(known)), others


def _topic(text: str, configuration: Configuration, folder: Path) -> TopicInput:
    address = parse_topic(text)
    kind = address.wanted.holds
    assert kind is not None, "the address checked it"
    topic = RecordedTopic(topic_settings(address, configuration, folder), address.wanted)
    try:
        unnamed = _unnamed(configuration)
        streams, others = _chosen(topic.streams, configuration, text, unnamed=unnamed)
    except SourceError:
        topic.close()
        raise
    return TopicInput(text, topic, kind, streams, others)


def _videos(path: Path, configuration: Configuration, options: OpenOptions) -> VideoInput:
    """A video, or a folder of them: each file or folder in it is the stream of its name."""
    if path.is_file():
        found: dict[str, list[Path]] = {_only(configuration): [path]}
    elif path.is_dir():
        found = defaultdict(list)
        for one in sorted(path.iterdir()):
            if not one.name.startswith("."):
                found[one.name if one.is_dir() else one.stem].append(one)
    else:
        raise SourceError(
            "a recording must be a run's folder, a folder of videos, a video or "
            f"kafka://host:port/topic, got {str(path)!r}, which is not there"
        )
    base = path if path.is_dir() else path.parent
    found |= {name: [base / one] for name, one in options.videos.items()}
    _hint(path, found, configuration)
    streams, others = _chosen(found, configuration, str(path))
    for name in streams:
        if len(found[name]) > 1:
            raise SourceError(
                f"stream {name} must have one video, got {_listed(map(str, found[name]))}; "
                f"choose with --stream {name}=FILE"
            )
    sections = {name: _with_video(configuration, name, found[name][0]) for name in streams}
    return VideoInput(str(path), sections, Path(), others)


def _only(configuration: Configuration) -> str:
    if len(configuration.streams) != 1:
        raise SourceError(
            "a single video needs a configuration of one stream, this one has "
            f"{_listed(configuration.streams)}; put the videos into a folder, each with its "
            "stream's name"
        )
    return next(iter(configuration.streams))


def _hint(path: Path, found: Mapping[str, list[Path]], configuration: Configuration) -> None:
    runs = [name for name, (one, *_) in found.items() if (one / MANIFEST_NAME).is_file()]
    if runs and not set(found) & set(configuration.streams):
        raise SourceError(f"{path} holds runs; name one of them, such as {path / runs[-1]}")


def _with_video(configuration: Configuration, name: str, video: Path) -> StreamSection:
    update = {"uri": str(video.resolve()), "live": False}
    return configuration.streams[name].model_copy(update=update)


def _decoded(
    log: EventLog, configuration: Configuration, folder: Path, options: OpenOptions
) -> VideoInput:
    """The videos that a log was made from, for the streams of the configuration."""
    document = read_document(log.manifest.configuration, MANIFEST_NAME, os.environ)
    recorded = mapping((document.value or {}).get("streams"))
    streams, others = _chosen(recorded, configuration, str(log.run_dir))
    # A run's folder is usually in runs/, beside the configuration.
    places = [folder, log.run_dir.parent.parent, log.run_dir.parent]
    sections = {}
    for name in streams:
        section = _recorded(log, name, recorded[name])
        given = options.videos.get(name)
        video = log.run_dir / given if given else _found(name, section, places)
        values: dict[str, Any] = {one: getattr(section, one) for one in _RECORDED}
        values |= {"uri": str(video.resolve()), "live": False}
        sections[name] = configuration.streams[name].model_copy(update=values)
    return VideoInput(str(log.run_dir), sections, Path(), others)


def _recorded(log: EventLog, name: str, value: object) -> StreamSection:
    try:
        return StreamSection.model_validate(value)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]["msg"]
        raise LogError(
            f"{log.run_dir} has a configuration of stream {name} that this release cannot read: "
            f"{problem}; replay a folder that holds its video"
        ) from error


def _found(name: str, section: StreamSection, places: list[Path]) -> Path:
    path = None if section.uri == FROM_KAFKA else parse_uri(section.uri).path
    if path is None:
        raise SourceError(
            f"the frames of stream {name} were not kept, they came from {redact(section.uri)}; "
            f"replay its verdicts without --decode, or name a recording with --stream {name}=FILE"
        )
    for place in places:
        if (place / path).exists():
            return place / path
    raise SourceError(
        f"the video of stream {name}, {section.uri}, is not there any more; name it with "
        f"--stream {name}=FILE, or replay the verdicts without --decode"
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
