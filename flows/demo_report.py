"""What the demo reports: figures, and the table that people see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from flows.output import console
from records import Stage

if TYPE_CHECKING:
    from pathlib import Path

    from flows.baseline import Baseline
    from flows.summary import RunSummary


@dataclass(frozen=True, slots=True)
class DemoReport:
    """What the demo showed.

    Attributes:
        summary: The run's summary.
        baseline: The detector on every frame of a sample.
        same_count: Share of sampled frames in which the cascade counts as many as the detector.
        same_alarm: Share of sampled frames in which both say the same of the rule: reached or not.
        rule: The rule, in words.
        verified: Alerts that the receiver took after checking their signature.
        refused: Alerts that it refused.
        picture: The annotated picture of the first alert; None when there was none.
        log_faults: How many things are wrong with the event log.
    """

    summary: RunSummary
    baseline: Baseline
    same_count: float
    same_alarm: float
    rule: str
    verified: int
    refused: int
    picture: Path | None
    log_faults: int

    @property
    def fps(self) -> float:
        """The cascade's frames a second, decoding included."""
        return self.summary.frames / self.summary.seconds if self.summary.seconds else 0.0

    @property
    def speedup(self) -> float:
        """Against the detector on every frame, decoding included in both."""
        return self.fps / self.baseline.fps if self.baseline.fps else 0.0

    @property
    def good(self) -> bool:
        """Whether everything that the demo claims came true."""
        decided = sum(self.summary.decided.values())
        return (
            self.summary.good
            and decided == self.summary.frames > 0
            and self.verified == self.summary.delivered > 0
            and not self.refused
            and not self.log_faults
        )

    def to_json(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        return {
            **self.summary.to_json(),
            "reference_fps": round(self.baseline.fps, 2),
            "reference_sample": len(self.baseline.answers),
            "speedup": round(self.speedup, 2),
            "same_count": round(self.same_count, 4),
            "same_alarm": round(self.same_alarm, 4),
            "alerts_verified": self.verified,
            "alerts_refused": self.refused,
            "picture": None if self.picture is None else str(self.picture),
        }


def show_demo(report: DemoReport) -> None:
    """Print the report for people."""
    out = console()
    out.print(_table(report))
    if report.picture is not None:
        out.print(f"picture:       {escape(str(report.picture))}", soft_wrap=True)
    if report.summary.run_dir is not None:
        out.print(f"event log:     {escape(str(report.summary.run_dir))}/log", soft_wrap=True)
        where = escape(str(report.summary.run_dir))
        out.print(f"configuration: {where}/demo.yaml", soft_wrap=True)
    if not report.good:
        out.print("[red]The demo did not show what it should: see the figures above.[/red]")


def _table(report: DemoReport) -> Table:
    summary = report.summary
    decided = summary.decided
    copied, detected = decided.get(Stage.DIFFERENCE, 0), decided.get(Stage.REFERENCE, 0)
    table = Table(title="Sightflow demo", title_justify="left", show_header=False)
    table.add_column("", style="bold")
    table.add_column("", justify="right")
    table.add_column("", style="dim")
    rows = [
        ("frames", f"{summary.frames}", f"in {summary.seconds:.1f} s, every one decided"),
        ("copied", f"{copied}", f"difference detector: {_share(copied, summary.frames)} of frames"),
        ("detected", f"{detected}", f"{summary.model}, in {summary.detector_calls} calls"),
        ("cascade", f"{report.fps:.0f} frames/s", "decoding included"),
        (
            "detector on every frame",
            f"{report.baseline.fps:.0f} frames/s",
            f"same run, decoding included, {len(report.baseline.answers)} sampled frames",
        ),
        ("speed-up", f"{report.speedup:.1f}x", "this clip is never still; quiet cameras gain more"),
        ("same alarm", f"{report.same_alarm:.1%}", f"of sampled frames: {report.rule}"),
        ("same count", f"{report.same_count:.1%}", "of sampled frames"),
        (
            "alerts delivered",
            f"{report.verified}",
            f"signatures verified by the receiver, {report.refused} refused",
        ),
    ]
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    return table


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "none"
