"""Processes on this machine, one a device, that run the same function together.

A group is started once and used many times. When one of its processes fails, dies or takes too
long, all are ended and the caller is told which one it was.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import tempfile
import time
import traceback
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import torch
from torch import distributed

from records import RecordError, SightflowError

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess
    from types import TracebackType

Given = ParamSpec("Given")
Result = TypeVar("Result")

MOST_RANKS = 64
"""The most processes of a group."""

GRACE_SECONDS = 0.5
"""When one rank fails, the others' last words are awaited this long, to find who was first."""


@dataclass(frozen=True, slots=True)
class RankSettings:
    """How a group of ranks runs.

    Attributes:
        count: How many processes, 1..64.
        threads: Threads of torch in each.
        start_seconds: The longest that starting may take, seconds.
        task_seconds: The longest that one task may take, seconds.
        backend: ``gloo`` for processors, ``nccl`` for GPUs, one for each rank.

    Raises:
        RecordError: a value is out of range.
    """

    count: int
    threads: int = 1
    start_seconds: float = 120.0
    task_seconds: float = 600.0
    backend: str = "gloo"

    def __post_init__(self) -> None:
        if type(self.count) is not int or not 1 <= self.count <= MOST_RANKS:
            raise RecordError(f"count must be in 1..{MOST_RANKS}, got {self.count!r}")
        if type(self.threads) is not int or self.threads < 1:
            raise RecordError(f"threads must be at least 1, got {self.threads!r}")
        for field in ("start_seconds", "task_seconds"):
            if not 0 < getattr(self, field) < float("inf"):
                raise RecordError(f"{field} must be above 0, got {getattr(self, field)}")
        if self.backend not in {"gloo", "nccl"}:
            raise RecordError(f"backend must be gloo or nccl, got {self.backend!r}")


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a rank says: its result, or why it failed."""

    result: Any = None
    failure: str = ""


class Ranks:
    """A group of processes; use it in a ``with`` statement.

    Args:
        settings: How it runs.

    Raises:
        SightflowError: the group did not start in time.
    """

    def __init__(self, settings: RankSettings) -> None:
        self.settings = settings
        # The ranks find each other through a file in a folder of their own.
        self._folder = tempfile.TemporaryDirectory()
        meeting = (Path(self._folder.name) / "ranks").as_uri()
        context = multiprocessing.get_context("spawn")
        self._connections: list[Connection[Any, Any]] = []
        self._processes: list[BaseProcess] = []
        for rank in range(settings.count):
            ours, theirs = context.Pipe()
            process = context.Process(
                target=_serve, args=(rank, settings, meeting, theirs), daemon=True
            )
            process.start()
            theirs.close()
            self._connections.append(ours)
            self._processes.append(process)
        self._collect(settings.start_seconds)

    def __enter__(self) -> Ranks:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def running(self) -> bool:
        """Whether the group can run functions; not any more once one of it has failed."""
        return bool(self._processes)

    def run(
        self,
        function: Callable[Concatenate[int, Given], Result],
        *arguments: Given.args,
        **keywords: Given.kwargs,
    ) -> list[Result]:
        """Run a function on every rank.

        Args:
            function: A function of a module, called with the rank and the arguments. These and
                its result are copied between processes; give arrays of numpy, not tensors.
            arguments: For the function.
            keywords: For the function.

        Returns:
            The results by rank.

        Raises:
            SightflowError: a rank failed, died or took too long, or the group is closed. The
                group is then closed.
        """
        if not self._processes:
            raise SightflowError("the ranks must be running, but they were stopped. Start others")
        for rank, connection in enumerate(self._connections):
            try:
                connection.send((function, arguments, keywords))
            except OSError as error:
                code = self._processes[rank].exitcode
                self.close()
                raise SightflowError(_died(rank, code)) from error
        return [answer.result for answer in self._collect(self.settings.task_seconds)]

    def close(self) -> None:
        """End all processes."""
        for connection in self._connections:
            connection.close()
        for process in self._processes:
            # Idle ranks end by themselves when their connection closes.
            process.join(GRACE_SECONDS)
            if process.exitcode is None:
                process.kill()
                process.join()
            process.close()
        self._connections, self._processes = [], []
        self._folder.cleanup()

    def _collect(self, seconds: float) -> list[_Answer]:
        """An answer of each rank; on the first trouble all are ended."""
        answers: dict[int, _Answer] = {}
        until = time.monotonic() + seconds
        while len(answers) < self.settings.count:
            self._receive(answers, until - time.monotonic())
            troubled = any(answer.failure for answer in answers.values()) or self._dead(answers)
            late = time.monotonic() >= until and len(answers) < self.settings.count
            if troubled or late:
                raise SightflowError(self._trouble(answers, seconds))
        return [answers[rank] for rank in range(self.settings.count)]

    def _receive(self, answers: dict[int, _Answer], seconds: float) -> None:
        """Wait for a word or an end of a rank that has not answered, and take all words in."""
        open_ = [rank for rank in range(self.settings.count) if rank not in answers]
        waited = [self._connections[rank] for rank in open_]
        wait([*waited, *(self._processes[rank].sentinel for rank in open_)], max(0.0, seconds))
        for rank in open_:
            try:
                if self._connections[rank].poll():
                    answers[rank] = self._connections[rank].recv()
            except (EOFError, OSError):
                # It died; `_dead` finds it once the process has ended.
                self._processes[rank].join(GRACE_SECONDS)

    def _dead(self, answers: dict[int, _Answer]) -> list[int]:
        return [
            rank
            for rank, process in enumerate(self._processes)
            if rank not in answers and process.exitcode is not None
        ]

    def _trouble(self, answers: dict[int, _Answer], seconds: float) -> str:
        """Close the group and say what happened. A death comes before the failures it causes."""
        until = time.monotonic() + GRACE_SECONDS
        while len(answers) + len(self._dead(answers)) < self.settings.count:
            if time.monotonic() >= until:
                break
            time.sleep(GRACE_SECONDS / 10)
            self._receive(answers, 0)
        dead = self._dead(answers)
        text = _died(dead[0], self._processes[dead[0]].exitcode) if dead else ""
        failed = [f"rank {rank} failed: {a.failure}" for rank, a in answers.items() if a.failure]
        missing = [rank for rank in range(self.settings.count) if rank not in answers]
        self.close()
        late = f"ranks {missing} took more than {seconds} s and were stopped"
        return text or "; ".join(failed) or late


def _died(rank: int, code: int | None) -> str:
    return (
        f"rank {rank} must run until it has answered, but ended with exit code {code}. "
        "The others were stopped. See its output for the cause, and start the ranks again"
    )


def _serve(
    rank: int, settings: RankSettings, meeting: str, connection: Connection[Any, Any]
) -> None:
    """The life of one rank."""
    torch.set_num_threads(settings.threads)
    # Nothing outside of the machine may reach the ranks.
    loopback = [name for _, name in socket.if_nameindex() if name.startswith("lo")]
    if loopback:
        os.environ["GLOO_SOCKET_IFNAME"] = loopback[0]
        os.environ["NCCL_SOCKET_IFNAME"] = loopback[0]
    distributed.init_process_group(
        settings.backend,
        init_method=meeting,
        rank=rank,
        world_size=settings.count,
        # The caller keeps the time; this only ends ranks whose caller is gone.
        timeout=timedelta(seconds=settings.start_seconds + settings.task_seconds),
    )
    connection.send(_Answer())
    while True:
        try:
            function, arguments, keywords = connection.recv()
        except EOFError:
            break
        try:
            answer = _Answer(function(rank, *arguments, **keywords))
        except Exception as error:
            connection.send(
                _Answer(failure="".join(traceback.format_exception_only(error)).strip())
            )
            raise SystemExit(1) from error
        connection.send(answer)
    distributed.destroy_process_group()
