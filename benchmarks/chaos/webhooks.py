"""One of ten webhooks is dead: the others notice nothing, and the queue survives kills.

A process raises alerts for ten endpoints through one outbox on the disk. One endpoint takes
connections and never answers. First the time from raising to arrival is measured at the other nine;
then the process is killed again and again in mid-delivery, and at the end the dead endpoint comes
to life. Every alert that the process said was in the outbox must have come to all ten.
"""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.chaos.bars import PATIENCE_SECONDS, ROOT, Row, Trial, wait_for
from benchmarks.chaos.hooks import latencies, numbers, quantile
from tests.support.endpoints import Reply, ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

ENDPOINTS = 10
"""How many webhooks there are; the last one is dead."""

RATE_HZ = 20.0
"""Alerts a second."""

SECONDS, QUICK_SECONDS = 60.0, 5.0
"""How long the time to arrival is measured, seconds."""

KILLS, QUICK_KILLS = 10, 2
"""How often the process is killed."""

BETWEEN_SECONDS = (0.5, 2.0)
"""How long the process lives from its first alert on, seconds."""

MOST_P99_SECONDS = 1.0
"""The longest that 99 % of the alerts of the nine may take."""


@dataclass
class _Sender:
    """A process that raises alerts.

    Attributes:
        process: The process.
        following: The number after the last that is in the outbox.
    """

    process: subprocess.Popen[str]
    following: int

    def read(self) -> None:
        """Note what is in the outbox, until the process ends."""
        assert self.process.stdout is not None, "it was asked for"
        for line in self.process.stdout:
            if line.endswith("\n"):
                self.following = int(line)


@contextmanager
def _sending(outbox: Path, first: int, urls: Sequence[str]) -> Iterator[_Sender]:
    """Raise alerts from number `first` on; killed at the end."""
    command = [
        sys.executable, "-m", "benchmarks.chaos.webhook_sender", str(outbox), str(first),
        str(RATE_HZ), *urls,
    ]  # fmt: skip
    process = subprocess.Popen(  # noqa: S603 - this project's own module
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    sender = _Sender(process, first)
    reader = threading.Thread(target=sender.read, daemon=True)
    reader.start()
    try:
        wait_for(lambda: sender.following > first, "the first alert")
        yield sender
    finally:
        process.kill()
        process.wait()
        reader.join()


def bars(trial: Trial) -> list[Row]:
    """The time to arrival, and what kills do."""
    return [_latency(trial), _kills(trial)]


def _latency(trial: Trial) -> Row:
    with ExitStack() as stack:
        alive, dead = _endpoints(stack)
        urls = [one.url for one in (*alive, dead)]
        with _sending(trial.folder / "slow.sqlite3", 0, urls):
            time.sleep(QUICK_SECONDS if trial.quick else SECONDS)
        taken = [one for server in alive for one in latencies(server)]
    p50, p99 = quantile(taken, 0.5), quantile(taken, 0.99)
    return Row(
        f"1 dead webhook of {ENDPOINTS}: the other nine",
        f"p99 {p99:.3f} s, median {p50:.3f} s of {len(taken)} deliveries",
        f"p99 < {MOST_P99_SECONDS:g} s",
        p99 < MOST_P99_SECONDS,
        {"p50_seconds": p50, "p99_seconds": p99, "deliveries": len(taken), "rate_hz": RATE_HZ},
    )


def _kills(trial: Trial) -> Row:
    chance = random.Random(trial.seed)  # noqa: S311 - when to kill
    kills, raised = trial.size(KILLS, QUICK_KILLS), 0
    outbox = trial.folder / "killed.sqlite3"
    with ExitStack() as stack:
        alive, dead = _endpoints(stack)
        every = (*alive, dead)
        urls = [one.url for one in every]
        for _ in range(kills):
            with _sending(outbox, raised, urls) as sender:
                time.sleep(chance.uniform(*BETWEEN_SECONDS))
            raised = sender.following
        dead.answer(Reply(200))
        dead.release()
        wanted = set(range(raised))
        with _sending(outbox, raised, urls):
            deadline = time.monotonic() + PATIENCE_SECONDS
            while not all(wanted <= set(numbers(one)) for one in every):
                if time.monotonic() > deadline:
                    break
                time.sleep(0.1)
        lost = sum(len(wanted - set(numbers(one))) for one in every)
        doubles = sum(len(numbers(one)) - len(set(numbers(one))) for one in alive)
    return Row(
        f"the process killed {kills} times with {ENDPOINTS} webhooks",
        f"{lost} of {len(every) * raised} deliveries lost, {doubles} made twice (same webhook-id)",
        "the queue survives: 0 lost",
        lost == 0,
        {"kills": kills, "alerts": raised, "lost": lost, "doubles": doubles},
    )


def _endpoints(stack: ExitStack) -> tuple[list[ScriptedServer], ScriptedServer]:
    """Nine that answer at once, and one that never does."""
    alive = [stack.enter_context(ScriptedServer(Reply(204))) for _ in range(ENDPOINTS - 1)]
    return alive, stack.enter_context(ScriptedServer(Reply(hang=True)))
