"""A run's summary: its figures, and how people see them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from flows.counts import StreamCounts
from records import Stage

if TYPE_CHECKING:
    from collections.abc import Sequence

TITLES = {
    Stage.PACKETS: "By packets",
    Stage.SKIP: "Skipped",
    Stage.DIFFERENCE: "Copied",
    Stage.SPECIALISED: "By model",
    Stage.REFERENCE: "Detected",
}
"""What a table calls the frames that each stage decided."""

ALWAYS_SHOWN = {Stage.DIFFERENCE, Stage.REFERENCE}
"""The stages with a column even where they decided nothing."""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What a run did.

    Attributes:
        name: The flow's name.
        run_dir: The run's folder; None when it keeps no event log.
        stopped: Whether an interrupt ended it before its input did.
        seconds: How long the dataflow ran.
        streams: What became of each stream's frames.
        model: The reference detector.
        detector_calls: Calls of the detector.
        detector_frames: Frames that the detector saw.
        detector_seconds: Time in the detector, seconds.
        delivered: Alerts that webhooks took.
        undelivered: Alerts that webhooks did not take, by reason.
        dead_letters: Messages of Kafka that were not understood, by reason.
        resumed: Whether it went on where an earlier run was stopped; it counts from there.
    """

    name: str
    run_dir: Path | None
    stopped: bool
    seconds: float
    streams: dict[str, StreamCounts]
    model: str
    detector_calls: int
    detector_frames: int
    detector_seconds: float
    delivered: int
    undelivered: dict[str, int]
    dead_letters: dict[str, int] = field(default_factory=dict)
    resumed: bool = False

    @property
    def frames(self) -> int:
        """Frames that entered the flow."""
        return sum(counts.entered for counts in self.streams.values())

    @property
    def decided(self) -> dict[str, int]:
        """Frames decided, by stage, over all streams."""
        total: dict[str, int] = {}
        for counts in self.streams.values():
            for stage, count in counts.decided.items():
                total[stage] = total.get(stage, 0) + count
        return total

    @property
    def unreadable(self) -> list[str]:
        """The streams that gave no frame because they could not be read."""
        return [name for name, counts in self.streams.items() if counts.unreadable]

    @property
    def good(self) -> bool:
        """Whether every stream could be read and every alert was delivered."""
        return not self.unreadable and not self.undelivered

    def to_json(self) -> dict[str, Any]:
        """The summary as plain JSON values."""
        return {
            "name": self.name,
            "run_dir": None if self.run_dir is None else str(self.run_dir),
            "stopped": self.stopped,
            "resumed": self.resumed,
            "seconds": round(self.seconds, 3),
            "frames": self.frames,
            "fps": round(self.frames / self.seconds, 2) if self.seconds else None,
            "decided": self.decided,
            "detector": {
                "model": self.model,
                "calls": self.detector_calls,
                "frames": self.detector_frames,
                "seconds": round(self.detector_seconds, 3),
            },
            "webhooks": {"delivered": self.delivered, "undelivered": self.undelivered},
            "dead_letters": self.dead_letters,
            "streams": {name: counts.to_json() for name, counts in self.streams.items()},
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> RunSummary:
        """A summary from what `to_json` made of it."""
        detector, webhooks = values["detector"], values["webhooks"]
        return cls(
            name=values["name"],
            run_dir=None if values["run_dir"] is None else Path(values["run_dir"]),
            stopped=values["stopped"],
            resumed=values["resumed"],
            seconds=values["seconds"],
            streams={
                name: StreamCounts.from_json(name, counts)
                for name, counts in values["streams"].items()
            },
            model=detector["model"],
            detector_calls=detector["calls"],
            detector_frames=detector["frames"],
            detector_seconds=detector["seconds"],
            delivered=webhooks["delivered"],
            undelivered=webhooks["undelivered"],
            dead_letters=values["dead_letters"],
        )


def added_up(summaries: Sequence[RunSummary]) -> RunSummary:
    """What the processes of one run did together."""
    streams: dict[str, StreamCounts] = {}
    dead_letters: Counter[str] = Counter()
    for summary in summaries:
        dead_letters.update(summary.dead_letters)
        for name, counts in summary.streams.items():
            streams.setdefault(name, StreamCounts()).add(counts)
    first = summaries[0]
    return replace(
        first,
        stopped=any(one.stopped for one in summaries),
        seconds=max(one.seconds for one in summaries),
        streams=streams,
        detector_calls=sum(one.detector_calls for one in summaries),
        detector_frames=sum(one.detector_frames for one in summaries),
        detector_seconds=sum(one.detector_seconds for one in summaries),
        dead_letters=dict(dead_letters),
    )


def summary_table(summary: RunSummary) -> Table:
    """One row a stream: what became of its frames."""
    table = Table(title=f"{escape(summary.name)}: what became of the frames", title_justify="left")
    table.add_column("Stream", overflow="fold")
    shown = [stage for stage in Stage if stage in ALWAYS_SHOWN or summary.decided.get(stage)]
    titles = [TITLES[stage] for stage in shown]
    for title in ("Frames", *titles, "Dropped", "Corrupt", "Missing", "Alerts"):
        table.add_column(title, justify="right")
    for name, counts in summary.streams.items():
        table.add_row(
            escape(name),
            str(counts.entered),
            *(str(counts.decided[stage]) for stage in shown),
            str(sum(counts.dropped.values())),
            str(sum(counts.corrupt.values())),
            str(counts.missing),
            str(counts.alerts["opened"]),
        )
    return table


def _accuracy(stream: str, counts: StreamCounts) -> list[str]:
    """What the audit knows of a stream's answers, and what became of its contract."""
    told = []
    if counts.audited:
        shares = ", ".join(
            f"{name.removeprefix('audit ')} {one.value:.1%} "
            f"({one.low:.1%} to {one.high:.1%} at {one.confidence:.0%})"
            for name, one in counts.audit.items()
        )
        told.append(
            f"{stream}: {counts.audited} frames audited; {shares or 'a new epoch has begun'}"
        )
    told += [f"{stream}: {one.reason}: {one.detail}" for one in counts.contract]
    return told + [f"{stream}: model {one.reason}: {one.detail}" for one in counts.models]


def _doubts(name: str, counts: StreamCounts) -> list[str]:
    """What a signal was classified as, and what assertions found, a line each."""
    told = []
    if counts.classified:
        classes = ", ".join(f"{label} {n}" for label, n in sorted(counts.classified.items()))
        told.append(f"{name}: {counts.classified.total()} windows classified, {classes}")
    if not counts.findings:
        return told
    found = ", ".join(f"{assertion} {n}" for assertion, n in sorted(counts.findings.items()))
    corrected = f"; {counts.corrected} verdicts corrected" if counts.corrected else ""
    return [*told, f"{name}: assertions found {found}{corrected}"]


def _put_aside(name: str, counts: StreamCounts) -> list[str]:
    """What went into the retraining queue, and what did not, a line."""
    if not counts.put_aside and not counts.not_put_aside:
        return []
    there = ", ".join(f"{origin} {n}" for origin, n in sorted(counts.put_aside.items()))
    lost = ", ".join(f"{reason} {n}" for reason, n in sorted(counts.not_put_aside.items()))
    return [f"{name}: put aside {there or 'nothing'}{'; not: ' if lost else ''}{lost}"]


def _losses(name: str, counts: StreamCounts) -> list[str]:
    """Why frames of a stream were lost, and what last went wrong, a line each."""
    told = [
        f"{name}: {what} {', '.join(f'{n} for {reason}' for reason, n in sorted(reasons.items()))}"
        for what, reasons in (("dropped", counts.dropped), ("corrupt", counts.corrupt))
        if reasons
    ]
    return [*told, f"{name}: {counts.last}"] if counts.last else told


def summary_lines(summary: RunSummary) -> list[str]:
    """What a table does not show, a line each, with markup."""
    rate = summary.frames / summary.seconds if summary.seconds else 0.0
    how = "stopped by an interrupt" if summary.stopped else "finished"
    if summary.resumed:
        how = f"resumed where it was stopped, {how}"
    detector = (
        f"{escape(summary.model)} saw {summary.detector_frames} frames in "
        f"{summary.detector_calls} calls ({summary.detector_seconds:.1f} s)"
    )
    lines = [f"{how} after {summary.seconds:.1f} s, {rate:.0f} frames/s; {detector}"]
    if not summary.detector_calls and not summary.frames:
        lines = [f"{how} after {summary.seconds:.1f} s"]  # signals alone
    undelivered = sum(summary.undelivered.values())
    if summary.delivered or undelivered:
        lines.append(f"webhooks: {summary.delivered} delivered, {undelivered} not delivered")
    lines += [
        f"[red]not delivered: {count} ({escape(reason)})[/red]"
        for reason, count in sorted(summary.undelivered.items())
    ]
    lines += [
        f"[yellow]dead letters: {count} ({escape(reason)})[/yellow]"
        for reason, count in sorted(summary.dead_letters.items())
    ]
    lines += [
        escape(line)
        for name, counts in summary.streams.items()
        for line in (*_accuracy(name, counts), *_doubts(name, counts), *_put_aside(name, counts))
    ]
    lines += [
        f"[yellow]{escape(line)}[/yellow]"
        for name, counts in summary.streams.items()
        for line in _losses(name, counts)
    ]
    if summary.run_dir is not None:
        lines.append(f"event log: {escape(str(summary.run_dir))}")
    return lines
