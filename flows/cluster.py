"""A run in several processes on this machine: started, watched, ended and added up together."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flows.engine import interrupts_end
from flows.summary import RunSummary, added_up
from records import SightflowError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import IO

LOOPBACK = "127.0.0.1"
"""Where the processes of one machine hear each other."""

END_SECONDS = 30.0
"""How long the other processes may take to end when one has failed, before they are killed."""

_POLL_SECONDS = 0.05
_KEPT_LINES = 20


@dataclass
class _Child:
    """One process of the run.

    Attributes:
        number: Its number.
        process: The process.
        errors: The last lines it wrote to standard error.
        output: What it wrote to standard output.
        readers: The threads that take in both.
    """

    number: int
    process: subprocess.Popen[str]
    errors: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT_LINES))
    output: list[str] = field(default_factory=list)
    readers: list[threading.Thread] = field(default_factory=list)


def run_in_processes(
    words: Sequence[str], processes: int, stop: threading.Event | None = None
) -> RunSummary:
    """Run a configuration in several processes of this machine.

    An interrupt ends all of them as it ends a run in one; if one fails, the others are ended.

    Args:
        words: The words of ``sightflow run``, without those that name processes.
        processes: How many there are.
        stop: Ends all when set.

    Raises:
        SightflowError: one of them fails.
    """
    stop = threading.Event() if stop is None else stop
    addresses = ",".join(f"{LOOPBACK}:{port}" for port in free_ports(processes))
    with ExitStack() as held:
        held.enter_context(interrupts_end(stop))
        children = [_start(words, number, addresses, held) for number in range(processes)]
        failed = _watch(children, stop)
    if failed is not None:
        told = _told(failed)
        raise SightflowError(f"process {failed.number} of {processes} failed: {told}")
    return added_up([_summary(child) for child in children])


def end_with_parent() -> None:
    """From now on end at once when standard input ends: the process that started this one died.

    Else the processes of a killed run would go on, and write beside those of the run after it.
    """

    def watch() -> None:
        while sys.stdin.buffer.read(1):
            continue
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="leash", daemon=True).start()


def free_ports(count: int) -> list[int]:
    """Ports of the loopback address that nothing listens on now."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((LOOPBACK, 0))
        return [each.getsockname()[1] for each in sockets]


def _start(words: Sequence[str], number: int, addresses: str, held: ExitStack) -> _Child:
    command = [sys.executable, "-m", "flows.cli", "run", *words, "--json"]
    process = subprocess.Popen(  # noqa: S603 - this program itself
        [*command, "--process", str(number), "--addresses", addresses, "--leash"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # An interrupt of the terminal reaches this process alone, which passes it on once.
        start_new_session=True,
    )
    child = _Child(number, process)
    held.callback(_end, process)
    for pipe, taken in ((process.stdout, child.output.append), (process.stderr, _shown(child))):
        assert pipe is not None, "it was asked for"
        thread = threading.Thread(target=_read, args=(pipe, taken), daemon=True)
        thread.start()
        child.readers.append(thread)
    return child


def _shown(child: _Child) -> Any:  # noqa: ANN401 - a function of a line
    def take(line: str) -> None:
        child.errors.append(line)
        sys.stderr.write(line)
        sys.stderr.flush()

    return take


def _read(pipe: IO[str], take: Any) -> None:  # noqa: ANN401 - a function of a line
    with pipe:
        for line in pipe:
            take(line)


def _watch(children: Sequence[_Child], stop: threading.Event) -> _Child | None:
    """Wait until all have ended; the first that failed, if one did."""
    told = False
    failed: _Child | None = None
    deadline = 0.0
    while any(child.process.poll() is None for child in children):
        if failed is None:
            failed = next((one for one in children if _has_failed(one)), None)
            deadline = time.monotonic() + END_SECONDS
        if (stop.is_set() or failed is not None) and not told:
            told = True
            for child in children:
                if child.process.poll() is None:
                    child.process.send_signal(signal.SIGTERM)
        if failed is not None and time.monotonic() > deadline:
            for child in children:
                child.process.kill()
        time.sleep(_POLL_SECONDS)
    for thread in [thread for child in children for thread in child.readers]:
        thread.join(END_SECONDS)
    return failed or next((one for one in children if not _has_summary(one)), None)


def _has_failed(child: _Child) -> bool:
    """Whether a process has ended without a summary; one that was not good exits with 1, too."""
    if child.process.poll() in (None, 0):
        return False
    for thread in child.readers:
        thread.join(END_SECONDS)
    return not _has_summary(child)


def _has_summary(child: _Child) -> bool:
    """Whether what a process printed is a summary."""
    try:
        return "streams" in _printed(child)
    except ValueError:
        return False


def _printed(child: _Child) -> Any:  # noqa: ANN401 - any JSON
    """The JSON that a process printed; the engine may have printed lines of its own before it."""
    lines = child.output
    start = next((place for place, line in enumerate(lines) if line.startswith("{")), len(lines))
    return json.loads("".join(lines[start:]))


def _summary(child: _Child) -> RunSummary:
    return RunSummary.from_json(_printed(child))


def _told(child: _Child) -> str:
    try:
        told = _printed(child)["message"]
    except (ValueError, KeyError, TypeError):
        told = "".join(child.errors).strip() or f"exit code {child.process.returncode}"
    return str(told)


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.kill()
    process.wait()
    if process.stdin is not None:
        process.stdin.close()
