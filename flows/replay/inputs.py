"""What can be replayed: event logs, videos and ranges of topics, behind one interface."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from connectors.codec import kind_of
from connectors.event_order import GroupSettings
from connectors.kafka import TopicKind
from connectors.lanes import RecordedLane, VideoLane, events_in_time
from connectors.video import VideoSource
from flows.config import ContractSection
from flows.config.document import mapping, read_document
from flows.inputs import video_settings
from operators.stream_cascade import AUDIT_NAMES
from records import UNTRACKED, Estimate, EventKind, Stage, StreamEvent, Verdict

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Mapping

    from connectors.lanes import Item, Lane
    from connectors.replay import EventLog
    from connectors.topic_range import RecordedTopic
    from connectors.video import VideoSettings
    from flows.cascades import Cascades
    from flows.config import StreamSection

Holds = Literal["frames", "verdicts"]
"""What a recording holds: frames that the cascade decides, or what was decided of them."""


class ReplayInput(Protocol):
    """A recording, opened; each call of `lanes` begins at its beginning."""

    @property
    def name(self) -> str:
        """What it is, for people."""

    @property
    def holds(self) -> Holds:
        """What it holds."""

    @property
    def streams(self) -> tuple[str, ...]:
        """The streams that are replayed, in order."""

    @property
    def left_out(self) -> tuple[str, ...]:
        """Streams and files in it that are not replayed, since the configuration has no such."""

    @property
    def model(self) -> str:
        """The reference detector behind recorded verdicts; empty where it is not known."""

    def lanes(self, cascades: Cascades | None, stop: threading.Event, *, anew: bool) -> list[Lane]:
        """Open the streams.

        Args:
            cascades: Tell which videos are decoded on demand; None for recorded verdicts.
            stop: Ends decoding when set.
            anew: Whether tracks are found anew, and so recorded ones are taken off.
        """

    def reference(self) -> tuple[bool, float | None]:
        """Whether the reference decided every frame, and else the cell of its audit, seconds."""

    def notes(self) -> dict[str, Any]:
        """What was not replayed and why, as plain JSON values; complete after a replay."""

    def close(self) -> None:
        """Let go of what is held."""


@dataclass
class VideoInput:
    """Videos: files and folders of segments.

    Attributes:
        name: Where they are.
        sections: The streams, each with its video.
        folder: Where relative paths count from.
        left_out: Files that belong to no stream.
    """

    name: str
    sections: Mapping[str, StreamSection]
    folder: Path
    left_out: tuple[str, ...] = ()
    holds: Holds = "frames"
    model: str = ""

    @property
    def streams(self) -> tuple[str, ...]:
        """The streams, in order."""
        return tuple(sorted(self.sections))

    def settings(self, cascades: Cascades | None = None) -> dict[str, VideoSettings]:
        """How each video is read; batches of one group must fit into its memory twice."""
        most = GroupSettings().items_at_most
        found = {}
        for name, video in video_settings(self.sections, self.folder, cascades).items():
            batch = min(video.batch_frames, most)
            memory = max(video.frames_in_memory, batch + 2 * most)
            found[name] = replace(video, batch_frames=batch, frames_in_memory=memory)
        return found

    def lanes(self, cascades: Cascades | None, stop: threading.Event, *, anew: bool) -> list[Lane]:
        """Open the videos; see `ReplayInput`."""
        del anew
        settings = self.settings(cascades)
        source = VideoSource(settings, stop=stop)
        return [
            VideoLane(
                stream, source.build_part("replay", stream, None), str(Path(video.uri).parent)
            )
            for stream, video in sorted(settings.items())
        ]

    def reference(self) -> tuple[bool, float | None]:
        """Frames are there to be asked about; see `ReplayInput`."""
        return True, None

    def notes(self) -> dict[str, Any]:
        """What was left out."""
        return {"left_out": list(self.left_out)}

    def close(self) -> None:
        """Nothing is held open between replays."""


@dataclass
class LogInput:
    """The event log of a run: what was decided, and what befell the streams.

    Alerts and windows are not taken from it: they are told anew.

    Attributes:
        log: The log.
        streams: The streams that are replayed, in order.
        left_out: Streams of the log that are not.
        told_anew: Records that were not taken, by kind; of the last replay.
    """

    log: EventLog
    streams: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    told_anew: Counter[str] = field(default_factory=Counter)
    holds: Holds = "verdicts"

    @property
    def name(self) -> str:
        """The run's folder."""
        return str(self.log.run_dir)

    @property
    def model(self) -> str:
        """The reference detector that the recorded configuration names."""
        return str(mapping(self.recorded().get("detector")).get("model", "auto"))

    def recorded(self) -> dict[str, Any]:
        """The recorded configuration as plain values; empty where it cannot be read."""
        return read_document(self.log.manifest.configuration, self.name, {}).value or {}

    def lanes(self, cascades: Cascades | None, stop: threading.Event, *, anew: bool) -> list[Lane]:
        """Read the streams; see `ReplayInput`."""
        del cascades, stop
        self.told_anew.clear()
        return [
            RecordedLane(stream, events_in_time(self._items(stream, anew=anew)))
            for stream in self.streams
        ]

    def reference(self) -> tuple[bool, float | None]:
        """See `ReplayInput`; reads the log."""
        contract = mapping(mapping(self.recorded().get("cascade")).get("contract"))
        if contract:
            usual = ContractSection.model_fields["audit_seconds"].default
            seconds = contract.get("audit_seconds", usual)
            return False, float(seconds) if isinstance(seconds, int | float) else None
        verdicts = (
            record
            for stream in self.streams
            for record in self.log.records(stream)
            if isinstance(record, Verdict)
        )
        return all(verdict.stage is Stage.REFERENCE for verdict in verdicts), None

    def notes(self) -> dict[str, Any]:
        """What was left out, told anew or damaged."""
        return {
            "left_out": list(self.left_out),
            "told_anew": dict(sorted(self.told_anew.items())),
            "faults": [str(fault) for fault in self.log.faults],
        }

    def close(self) -> None:
        """Nothing is held open between replays."""

    def _items(self, stream: str, *, anew: bool) -> Iterator[Item]:
        for record in self.log.records(stream):
            match record:
                case Verdict():
                    yield _untracked(record) if anew else record
                case StreamEvent() if record.kind is not EventKind.WINDOW:
                    yield record
                case Estimate() if record.name in AUDIT_NAMES.values():
                    yield record
                case _:
                    self.told_anew[kind_of(record)] += 1


@dataclass
class TopicInput:
    """A range of a topic of frames or of detections.

    Attributes:
        name: The topic's address.
        topic: What it holds.
        kind: Of which kind that is.
        streams: The streams that are replayed, in order.
        left_out: Streams that are not.
    """

    name: str
    topic: RecordedTopic
    kind: TopicKind
    streams: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    model: str = ""

    @property
    def holds(self) -> Holds:
        """What the topic holds."""
        return "frames" if self.kind is TopicKind.FRAMES else "verdicts"

    def lanes(self, cascades: Cascades | None, stop: threading.Event, *, anew: bool) -> list[Lane]:
        """Read the streams; tracks stay, as they do when the topic is read live."""
        del cascades, stop, anew
        read = self.topic.items
        ordered = read if self.holds == "frames" else lambda stream: events_in_time(read(stream))
        return [RecordedLane(stream, ordered(stream)) for stream in self.streams]

    def reference(self) -> tuple[bool, float | None]:
        """See `ReplayInput`."""
        return not set(self.topic.stages) - {str(Stage.REFERENCE)}, None

    def notes(self) -> dict[str, Any]:
        """What was left out, or not understood."""
        letters = dict(sorted(self.topic.dead_letters.items()))
        return {"left_out": list(self.left_out), "dead_letters": letters}

    def close(self) -> None:
        """Remove the temporary file."""
        self.topic.close()


def _untracked(verdict: Verdict) -> Verdict:
    """The verdict without tracks, since one that has tracks keeps them."""
    answer = verdict.answer
    return replace(verdict, answer=answer.with_tracks(np.full(len(answer), UNTRACKED, np.int64)))
