"""Finding the likely faults of a machine before a run does, each with its cure (docs/doctor.md).

This needs the standard library alone, so that it can still say what is wrong where Sightflow does
not start: ``python -m flows.doctor``, with the names of checks or without.
"""

from __future__ import annotations

import os
import resource
import shutil
import socket
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from flows import doctor_software as software
from flows.doctor_check import Check, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Check", "Status", "examine"]

LEAST_DISK_BYTES = 1_000_000_000
"""Free disk below which an event log soon has no room, bytes."""

LEAST_MEMORY_BYTES = 2_000_000_000
"""Memory below which a flow with a detector is killed sooner or later, bytes."""

LEAST_OPEN_FILES = 1024
"""Open files below which many cameras cannot be read at once."""

EARLIEST_CLOCK = datetime(2026, 1, 1, tzinfo=UTC)
"""A clock before this is certainly wrong: Sightflow did not exist."""

MEMORY_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
"""Where Linux says how much memory a container may take; the second is that of cgroups 1."""


def examine(folder: Path, names: Sequence[str] = ()) -> list[Check]:
    """Run checks, the likeliest faults first.

    Args:
        folder: The folder in which runs will be started.
        names: The checks to run, without regard to case; all when empty.
    """
    wanted = {name.lower() for name in names}
    return [
        check() for name, check in _checks(folder).items() if not wanted or name.lower() in wanted
    ]


def _checks(folder: Path) -> dict[str, Callable[[], Check]]:
    return {
        "Python": software.python,
        "bytewax engine": software.engine,
        "torch": software.torch,
        "OpenCV": software.opencv,
        "ONNX Runtime": software.onnx,
        "LiteRT": software.litert,
        "accelerator": software.accelerator,
        "video": software.video,
        "detector": software.detector,
        "disk": lambda: disk(folder),
        "memory": memory,
        "open files": open_files,
        "clock": clock,
        "loopback": loopback,
    }


def disk(folder: Path) -> Check:
    """Whether a folder can be written to, and has room."""
    try:
        # Rights alone do not tell: a mount may be read-only, and root may everything.
        with tempfile.TemporaryFile(dir=folder):
            free = shutil.disk_usage(folder).free
    except OSError as error:
        found = f"{folder} cannot be written to: {error.strerror or error}"
        return Check("disk", Status.FAIL, found, "Start from a folder you may write in.")
    found = f"{free / 1e9:.1f} GB free in {folder}"
    if free < LEAST_DISK_BYTES:
        return Check("disk", Status.WARN, found, "Make room, or point event_log.directory away.")
    return Check("disk", Status.OK, found)


def memory() -> Check:
    """Whether there is memory for a model and the frames on their way to it."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    limits += [int(text) for path in MEMORY_LIMITS if (text := _text(path)).isdigit()]
    allowed, _ = resource.getrlimit(resource.RLIMIT_AS)
    limits += [allowed] if allowed >= 0 else []
    found = f"{min(limits) / 1e9:.1f} GB"
    if min(limits) < LEAST_MEMORY_BYTES:
        cure = f"Give the machine or the container at least {LEAST_MEMORY_BYTES / 1e9:.0f} GB."
        return Check("memory", Status.WARN, found, cure)
    return Check("memory", Status.OK, found)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""  # this system has no such limit


def open_files() -> Check:
    """Whether enough files and connections may be open at once."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= allowed < LEAST_OPEN_FILES:
        return Check("open files", Status.WARN, str(allowed), f"Run: ulimit -n {LEAST_OPEN_FILES}")
    return Check("open files", Status.OK, str(allowed))


def clock(seconds: Callable[[], float] = time.time) -> Check:
    """Whether the clock can be right.

    Args:
        seconds: Tells the time, seconds since 1970 UTC.
    """
    now = datetime.fromtimestamp(seconds(), UTC)
    found = now.isoformat(timespec="seconds")
    if now < EARLIEST_CLOCK:
        cure = "Set the clock (timedatectl set-ntp true): live event times come from it."
        return Check("clock", Status.FAIL, found, cure)
    return Check("clock", Status.OK, found)


def loopback() -> Check:
    """Whether programs on this machine reach each other."""
    try:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(1)
            with socket.create_connection(listener.getsockname(), timeout=2):
                return Check("loopback", Status.OK, "127.0.0.1 listens and answers")
    except OSError as error:
        cure = "Allow connections to 127.0.0.1: the demo's receiver and /metrics need them."
        return Check("loopback", Status.FAIL, str(error), cure)


def main(words: Sequence[str]) -> int:
    """Print what the checks found, a line each; the exit code.

    Args:
        words: The names of the checks to run; all when empty.
    """
    found = examine(Path.cwd(), words)
    sys.stdout.write("".join(f"{check}\n" for check in found))
    return 1 if any(check.status is Status.FAIL for check in found) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
