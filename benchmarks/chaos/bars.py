"""What every bar of the fault suite takes and gives."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]
"""The checkout, in which commands are started."""

PATIENCE_SECONDS = 180.0
"""How long the suite waits for what must happen."""

POLL_SECONDS = 0.02
"""How often it looks."""


@dataclass(frozen=True, slots=True)
class Trial:
    """How a bar is tried.

    Attributes:
        folder: An empty folder for its files.
        quick: Whether smaller figures do, to see that it works.
        seed: What is random follows from it.
    """

    folder: Path
    quick: bool = False
    seed: int = 1

    def size(self, whole: int, quick: int) -> int:
        """The one or the other."""
        return quick if self.quick else whole


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table.

    Attributes:
        bar: What was done.
        measured: What came of it.
        wanted: What must come of it.
        good: Whether it did; None for a figure that nothing is asked of.
        figures: All that was measured.
    """

    bar: str
    measured: str
    wanted: str
    good: bool | None
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """The verdict in a word."""
        return "—" if self.good is None else "ok" if self.good else "FAILED"


class ChaosError(Exception):
    """A bar cannot be tried: what must happen did not."""


def wait_for(condition: Callable[[], bool], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until something comes true.

    Raises:
        ChaosError: it does not.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise ChaosError(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(POLL_SECONDS)


def run_command(configuration: Path, *words: str) -> list[str]:
    """The command that runs a configuration."""
    return [sys.executable, "-m", "flows.cli", "run", str(configuration), "--json", *words]


@contextmanager
def started(command: list[str], log: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command in the checkout; it is killed at the end, unless it has ended.

    Args:
        command: Its words.
        log: Where what it prints goes.
        environment: What is set in its environment besides.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 - this project's own commands
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            env=os.environ | environment,
        )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def ended(process: subprocess.Popen[bytes], log: Path, *, interrupt: bool = False) -> int:
    """Wait until a command has ended by itself, or after SIGTERM; its exit code.

    Raises:
        ChaosError: it does not end.
    """
    if interrupt:
        process.send_signal(signal.SIGTERM)
    try:
        return process.wait(PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        told = log.read_text(encoding="utf-8", errors="replace")[-2000:]
        raise ChaosError(f"a command did not end: {told}") from None


def printed(log: Path) -> dict[str, Any]:
    """The last JSON object that a command printed, whose first line is ``{``.

    Raises:
        ChaosError: there is none.
    """
    text = log.read_text(encoding="utf-8", errors="replace")
    start = text.rfind("\n{\n") + 1 if "\n{\n" in text else text.find("{\n")
    try:
        found, _ = json.JSONDecoder().raw_decode(text[start:])
    except ValueError as error:
        raise ChaosError(f"a command printed no summary: {text[-2000:]}") from error
    values: dict[str, Any] = found
    return values
