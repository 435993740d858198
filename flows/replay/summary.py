"""What a replay did: its figures, and how people see them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from flows.summary import summary_lines
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from flows.replay.inputs import Holds
    from flows.summary import RunSummary


@dataclass(frozen=True, slots=True)
class ReplaySummary:
    """What a replay did.

    Attributes:
        run: What became of the frames, as of any run.
        recording: What was replayed.
        holds: Whether frames were decided anew or recorded verdicts replayed.
        speed: The pace, as people write it.
        sha256: The hash of all that was decided, hexadecimal; see `RecordDigest`.
        records: How many records there were, by kind.
        span_ns: Event time from the first record to the last, nanoseconds.
        behind_seconds: How late the latest item came at the pace, seconds.
        notes: What was not replayed, and why.
        sinks_left_out: Sinks of the configuration that were left out.
    """

    run: RunSummary
    recording: str
    holds: Holds
    speed: str
    sha256: str
    records: dict[str, int]
    span_ns: int
    behind_seconds: float
    notes: dict[str, Any]
    sinks_left_out: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        """Whether all could be read and delivered."""
        return self.run.good and not self.notes.get("faults")

    def to_json(self) -> dict[str, Any]:
        """The summary as plain JSON values."""
        return {
            "recording": self.recording,
            "holds": self.holds,
            "speed": self.speed,
            "sha256": self.sha256,
            "records": self.records,
            "event_seconds": round(self.span_ns / NANOSECONDS, 3),
            "behind_seconds": round(self.behind_seconds, 3),
            "notes": self.notes,
            "sinks_left_out": list(self.sinks_left_out),
            **self.run.to_json(),
        }


def replay_lines(summary: ReplaySummary) -> list[str]:
    """What is to be said beside the table, a line each, with markup."""
    what = "frames decided anew" if summary.holds == "frames" else "recorded verdicts replayed"
    seconds = summary.span_ns / NANOSECONDS
    lines = [
        f"{what} at speed {summary.speed}: {seconds:.1f} s of event time",
        *summary_lines(summary.run),
        f"SHA-256 of all that was decided: {summary.sha256}",
    ]
    if summary.behind_seconds >= 1:
        lines.append(f"[yellow]up to {summary.behind_seconds:.1f} s behind the pace[/yellow]")
    lines += [f"{name} left out; --deliver writes to it" for name in summary.sinks_left_out]
    told_anew = summary.notes.get("told_anew") or {}
    if told_anew:
        kinds = ", ".join(f"{count} {kind}" for kind, count in told_anew.items())
        lines.append(f"not taken from the recording, but told anew: {kinds}")
    if summary.notes.get("not_asserted"):
        names = ", ".join(summary.notes["not_asserted"])
        lines.append(f"assertions without their input here: {names}")
    if summary.notes.get("left_out"):
        names = ", ".join(summary.notes["left_out"])
        lines.append(f"[yellow]not in the configuration: {escape(names)}[/yellow]")
    lines += [f"[red]damaged: {escape(one)}[/red]" for one in summary.notes.get("faults", ())]
    letters = summary.notes.get("dead_letters") or {}
    return [
        *lines,
        *(f"[yellow]not understood: {count} ({why})[/yellow]" for why, count in letters.items()),
    ]
