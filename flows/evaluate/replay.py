"""`sightflow evaluate replay`: two configurations on the same recording, side by side.

Both replay the recording as fast as possible, one after the other. Frames that both decided are
compared with what is known of them, and with each other; the interval of each difference comes from
a paired bootstrap over blocks of time.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from connectors.log_manifest import MANIFEST_NAME
from connectors.replay import EventLog
from flows.evaluate.replay_alerts import AlertChanges, compare_episodes, episodes_of
from flows.evaluate.replay_bootstrap import (
    Blocks,
    BootstrapSettings,
    Difference,
    blocks_of,
    differences,
)
from flows.evaluate.replay_score import Collected, Scores, score, shared_frames
from flows.evaluate.replay_truth import Question, question_of, read_truth, recorded_truth
from flows.replay import (
    OpenOptions,
    ReplayRequest,
    load_for_replay,
    open_recording,
    replay,
)
from records import SightflowError, SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from flows.config import Configuration
    from flows.evaluate.replay_truth import StreamTruth
    from flows.replay import ReplaySummary


RECORDED = "the recorded reference, on the frames that it decided"
"""Where truth is from when an event log is compared without any other."""


@dataclass(frozen=True, slots=True)
class ReplayStudy:
    """What is compared.

    Attributes:
        a: The first configuration's file.
        b: The second's.
        recording: What both replay, as `sightflow replay` takes it.
        options: How it is opened.
        truth: Files of truth by stream; the empty name stands for the only stream.
        question: What counts; None takes what the first configuration asks.
        bootstrap: How intervals are made.
    """

    a: Path
    b: Path
    recording: str
    options: OpenOptions = field(default_factory=OpenOptions)
    truth: Mapping[str, Path] = field(default_factory=dict)
    question: Question | None = None
    bootstrap: BootstrapSettings = field(default_factory=BootstrapSettings)


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """One of the two replays.

    Attributes:
        file: Its configuration's file.
        summary: What the replay did.
        found: What it decided.
        scores: What that is worth on the frames that are compared.
    """

    file: Path
    summary: ReplaySummary
    found: Collected
    scores: Scores

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        run = self.summary.run
        return {
            "configuration": str(self.file),
            "sha256": self.summary.sha256,
            "model": run.model,
            "frames": run.frames,
            "reference_calls": run.decided.get("reference", 0),
            "detector_frames": run.detector_frames,
            "seconds": round(run.seconds, 3),
            "fps": round(run.frames / run.seconds, 2) if run.seconds else None,
            "decided": run.decided,
            "alerts": sum(counts.alerts["opened"] for counts in run.streams.values()),
        }


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Two replays of one recording.

    Attributes:
        study: What was compared.
        question: What counted.
        frames: The frames that both decided, by stream and number, in event-time order.
        time_ns: int64 (n,), their event times.
        truth: What is known, by stream.
        truth_from: What that is, for people.
        a: The first replay.
        b: The second.
        blocks: The blocks of time.
        differences: The difference of each score, by name.
        alerts: What became of the alerts.
    """

    study: ReplayStudy
    question: Question
    frames: Sequence[tuple[str, int]]
    time_ns: NDArray[np.int64]
    truth: Mapping[str, StreamTruth]
    truth_from: str
    a: Side
    b: Side
    blocks: Blocks
    differences: Mapping[str, Difference]
    alerts: AlertChanges

    @property
    def agreement(self) -> float | None:
        """The share of frames that both answer alike; None without frames."""
        if not self.frames:
            return None
        return float(np.mean(self.a.scores.yes == self.b.scores.yes))

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        agreement = self.agreement
        bootstrap = self.study.bootstrap
        return {
            "recording": self.study.recording,
            "question": {
                "class": self.question.class_name,
                "at_least": self.question.at_least,
                "score_at_least": self.question.score_at_least,
            },
            "frames": len(self.frames),
            "truth": self.truth_from,
            "a": self.a.to_json(),
            "b": self.b.to_json(),
            "agreement": None if agreement is None else round(agreement, 6),
            "differences": {name: one.to_json() for name, one in self.differences.items()},
            "confidence": bootstrap.confidence,
            "blocks": self.blocks.count,
            "block_seconds": round(self.blocks.seconds, 3),
            "seed": bootstrap.seed,
            "alerts": self.alerts.to_json(),
        }


def evaluate_replay(study: ReplayStudy, tell: Callable[[str], None]) -> Comparison:
    """Replay a recording for two configurations, and compare what they decided.

    Args:
        study: What is compared.
        tell: Called with each step's name.

    Raises:
        SightflowError: a replay fails or is interrupted, or they cannot be compared.
    """
    loaded = [load_for_replay(file, deliver=False) for file in (study.a, study.b)]
    question = study.question or question_of(loaded[0][0])
    if question is None:
        raise SightflowError(
            f"{study.a} asks for no class: it has neither cascade.predicate nor alerts; "
            "say which counts with --class"
        )
    ran = []
    for file, (configuration, text) in zip((study.a, study.b), loaded, strict=True):
        tell(f"replaying for {file.name}")
        ran.append(_run(study, file, configuration, text))
    tell("comparing")
    (summary_a, found_a), (summary_b, found_b) = ran
    frames = shared_frames(found_a, found_b)
    streams = sorted({stream for stream, _ in frames})
    truth, truth_from = _truth(study, streams, question)
    time_ns = np.array([found_a.verdicts[key].time_ns for key in frames], np.int64)
    side_a = Side(study.a, summary_a, found_a, score(frames, found_a, question, truth))
    side_b = Side(study.b, summary_b, found_b, score(frames, found_b, question, truth))
    blocks = blocks_of(time_ns, study.bootstrap)
    end_ns = int(time_ns[-1]) if len(time_ns) else 0
    return Comparison(
        study, question, frames, time_ns, truth, truth_from, side_a, side_b, blocks,
        differences(side_a.scores.ratios, side_b.scores.ratios, blocks, study.bootstrap),
        compare_episodes(
            episodes_of(found_a.alerts, end_ns), episodes_of(found_b.alerts, end_ns)
        ),
    )  # fmt: skip


def _run(
    study: ReplayStudy, file: Path, configuration: Configuration, text: str
) -> tuple[ReplaySummary, Collected]:
    folder = file.parent
    recording = open_recording(study.recording, configuration, folder, study.options)
    found = Collected()
    with contextlib.closing(recording):
        request = ReplayRequest(
            recording, configuration, text, folder, str(file), keep=False, observe=found, mixed=True
        )
        summary = replay(request)
    if summary.run.stopped:
        raise SightflowError("the comparison was interrupted; nothing was compared")
    if summary.run.unreadable:
        raise SourceError(f"stream {summary.run.unreadable[0]} gave no frame: it cannot be read")
    return summary, found


def _truth(
    study: ReplayStudy, streams: Sequence[str], question: Question
) -> tuple[dict[str, StreamTruth], str]:
    """What is known of the streams, and from where."""
    if study.truth:
        named = dict(study.truth)
        if "" in named:
            if len(streams) != 1:
                listed = ", ".join(streams) or "none"
                raise SourceError(
                    f"truth must name its stream, NAME=PATH: the recording has {listed}"
                )
            named = {streams[0]: named.pop(""), **named}
        unknown = sorted(set(named) - set(streams))
        if unknown:
            raise SourceError(f"there is truth for stream {unknown[0]!r}, which was not replayed")
        shown = ", ".join(str(path) for path in named.values())
        return {name: read_truth(path) for name, path in named.items()}, shown
    folder = Path(study.recording)
    if (folder / MANIFEST_NAME).is_file():
        log = EventLog.open(folder)
        known = [name for name in streams if name in log.streams]
        return recorded_truth(log, known, question), RECORDED
    return {}, "none"
