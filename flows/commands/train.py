"""The command that trains beside a running flow: train."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from flows import config
from flows.engine import interrupts_end
from flows.output import (
    ConfigurationArgument,
    JsonOption,
    console,
    error_console,
    print_json,
    set_up_logs,
)
from flows.training.judging import in_words
from flows.training.settings import training_job
from flows.training.state import RoundState, Step
from flows.training.trainer import TrainRequest
from flows.training.trainer import train as run_trainer
from models.registry import Metric
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence


def train(
    path: ConfigurationArgument,
    *,
    once: Annotated[
        bool, typer.Option("--once", help="Run one round now, or end the one that was begun.")
    ] = False,
    until: Annotated[
        str, typer.Option(metavar="TIME", help="Begin no round after this: 2026-05-01T08:00:00Z.")
    ] = "",
    plan: Annotated[
        str, typer.Option(metavar="auto|dp|single|FILE", help="In place of training.plan.")
    ] = "",
    verbose: Annotated[bool, typer.Option("--verbose", help="Log details.")] = False,
    json: JsonOption = False,
) -> None:
    """Train a model from the retraining queue, beside the running flow, until Ctrl-C ends it."""
    set_up_logs(verbose=verbose)
    request = TrainRequest(once, parse_time(until))
    configuration, _ = config.load(path)
    job = training_job(configuration, str(path), path.parent, time.time_ns)
    if plan:
        job.section = job.section.model_copy(update={"plan": plan})
    stop = threading.Event()
    with interrupts_end(stop), _progress() as tell:
        rounds = run_trainer(job, request, stop, tell)
    shown = [round_to_json(one) for one in rounds]
    if json:
        print_json({"ok": True, "model": job.name, "stopped": stop.is_set(), "rounds": shown})
    else:
        console().print(_table(job.name, rounds))


def parse_time(text: str) -> int | None:
    """Read ``--until``: nanoseconds since 1970 UTC; None when it is empty."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise typer.BadParameter(f"--until must be a time with its zone, got {text!r}")
    return round(moment.timestamp() * NANOSECONDS)


def round_to_json(state: RoundState) -> dict[str, Any]:
    """A round as plain JSON values, for the command's result."""
    evaluation: Mapping[str, Any] = state.evaluation or {}
    return {
        "number": state.number,
        "trigger": state.trigger.value,
        "began": datetime.fromtimestamp(state.began_ns / NANOSECONDS, UTC).isoformat(),
        "finished": state.step is Step.DONE,
        "step": state.step.value,
        "items": len(state.items),
        "chosen": dict(state.chosen),
        "labels": dict(state.labels),
        "unused": dict(state.unused),
        "plan": dict(state.plan),
        "parent": state.parent,
        "metrics": {name: evaluation.get(name, {}) for name in ("before", "after", "difference")},
        "seconds": round(state.spending.seconds, 3),
        "joules": round(state.spending.joules, 3),
        "paused_seconds": round(state.spending.paused_seconds, 3),
        "version": state.version,
        "reason": state.reason,
    }


def _table(name: str, rounds: Sequence[RoundState]) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in ("Round", "Why", "Items", "Labels", "Gain", "Seconds", "Version", "Reason"):
        table.add_column(title, overflow="fold")
    for state in rounds:
        labels = ", ".join(f"{count} {source}" for source, count in state.labels.items())
        difference = (state.evaluation or {}).get("difference", {})
        gains = [f"{key} {in_words(Metric(**one))}" for key, one in difference.items()]
        version = "" if state.version is None else f"{name}@{state.version}"
        reason = state.reason if state.step is Step.DONE else f"stopped in step {state.step}"
        cells = [str(state.number), state.trigger.value, str(len(state.items)), labels,
                 "\n".join(gains), f"{state.spending.seconds:.1f}", version, reason]  # fmt: skip
        table.add_row(*(escape(cell) for cell in cells))
    return table


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[RoundState, str, float], None]]:
    """Show the round, its step and how far that is; nothing where there is no terminal."""
    progress = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        console=error_console(),
        disable=not sys.stderr.isatty(),
    )
    with progress:
        row = progress.add_task("waiting for a reason to train", total=None)

        def tell(state: RoundState, words: str, share: float) -> None:
            description = f"round {state.number}: {words}"
            progress.update(row, description=escape(description), total=1.0, completed=share)

        yield tell
