"""Opening the sources of a query: videos, runs' folders, traces and ranges of Kafka topics."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from connectors.kafka import KafkaSettings
from connectors.log_manifest import MANIFEST_NAME
from connectors.topic_range import RecordedTopic
from connectors.video import VideoSettings
from flows.evaluate.proxies import make_proxy
from flows.evaluate.traces import read_trace
from flows.query.film import FilmSource
from flows.query.sources import LogSource, Recorded, TraceSource
from flows.replay.address import is_topic, parse_topic
from flows.trained import load_trained
from records import QueryError, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from records import Detector

TRACES = (".gz", ".csv", ".txt", ".npy")
"""The endings of files that are traces."""

MOST_NAMED = 20
"""The most streams that an error names."""


@dataclass(frozen=True, slots=True)
class Opening:
    """How sources are opened.

    Attributes:
        fps: Frames a second of traces, Hz.
        proxy: What makes the proxies of traces: see `flows.evaluate.proxies.make_proxy`; empty for
            none.
        trained: Folders of trained cascades, the proxies of videos, by the names of their streams.
        seed: Of proxies that are made.
    """

    fps: float = 30.0
    proxy: str = ""
    trained: Mapping[str, Sequence[str]] = field(default_factory=dict)
    seed: int = 0


def open_sources(
    places: Mapping[str, str], opening: Opening, load: Callable[[], Detector]
) -> dict[str, Recorded]:
    """Open sources.

    Args:
        places: Files, folders and topics' addresses by the names of their streams.
        opening: How.
        load: Loads the reference detector; called once, if there is a video.

    Raises:
        QueryError: a proxy does not go with its source.
        DetectorError: a trained cascade or the detector cannot be loaded.
        SourceError: a video cannot be read.
        ConfigurationError: a trace or its proxy cannot be read.
        LogError: a log cannot be read.
        RecordError: a topic's address is wrong.
    """
    _check_trained(places, opening)
    found: dict[str, Recorded] = {}
    detector: Detector | None = None
    for name, place in places.items():
        if is_topic(place):
            found[name] = open_topic(name, place)
            continue
        path = Path(place)
        if path.suffix in TRACES:
            values = read_trace(path)
            rng = np.random.default_rng(opening.seed)
            proxies = make_proxy(opening.proxy, values, rng) if opening.proxy else None
            found[name] = TraceSource(name, values, opening.fps, proxies)
        elif (path / MANIFEST_NAME).exists():
            found[name] = LogSource.open(name, path)
        else:
            # What is wrong with a small file is told before the detector is loaded.
            trained = [load_trained(Path(one)) for one in opening.trained.get(name, ())]
            detector = detector or load()
            found[name] = FilmSource(name, VideoSettings(uri=str(path)), path, detector, trained)
    return found


def open_topic(name: str, address: str) -> LogSource:
    """Fetch a stream's verdicts from a range of a topic of detections.

    Raises:
        QueryError: the range holds no verdicts of that stream.
        SourceError: the cluster does not answer, or the range is not there.
        RecordError: the address is wrong.
    """
    parsed = parse_topic(address)
    topic = RecordedTopic(KafkaSettings(parsed.servers), parsed.wanted)
    try:
        if name not in topic.streams:
            raise QueryError(
                f"{parsed.wanted.topic} holds no stream {name}; it holds "
                f"{', '.join(topic.streams[:MOST_NAMED]) or 'none'}"
            )
        verdicts = [one for one in topic.items(name) if isinstance(one, Verdict)]
    finally:
        topic.close()
    in_time = sorted(verdicts, key=lambda one: (one.time_ns, one.sequence))
    return LogSource(name, in_time, parsed.wanted.topic)


def _check_trained(places: Mapping[str, str], opening: Opening) -> None:
    for name in opening.trained:
        if name not in places:
            raise QueryError(
                f"--trained names {name}, of which there is no source; there is: "
                f"{', '.join(places) or 'none'}"
            )
        path = Path(places[name])
        topic = is_topic(places[name])
        if topic or path.suffix in TRACES or (path / MANIFEST_NAME).exists():
            kind = "a trace" if path.suffix in TRACES else "a topic" if topic else "a run's folder"
            raise QueryError(f"--trained is the proxy of a video, and {name} is {kind}")
