"""Processes that work on a registry: ``write DIR COUNT`` or ``crash DIR TASK``.

``write`` adds and promotes versions. ``crash`` does a task again and again on copies of DIR/models,
DIR/crashed-K, each in a process that is killed at its K-th use of a file, until one comes to an
end. It prints how many were killed.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from models.registry import Registry
from tests.support.registries import new_version, source_folder

if TYPE_CHECKING:
    from collections.abc import Callable

TASKS: dict[str, Callable[[Registry, Path], object]] = {
    "add": lambda registry, source: registry.add("gate", source, new_version(2)),
    "propose": lambda registry, _: registry.propose("gate", 3, "try it"),
    "promote": lambda registry, _: registry.promote("gate", 3, "better"),
    "rollback": lambda registry, _: registry.rollback("gate", "worse"),
    "prune": lambda registry, _: registry.prune("gate", 2),
}
"""What may be cut short."""

_FILE_EVENTS = {
    *(f"os.{name}" for name in ("listdir", "mkdir", "remove", "rename", "rmdir", "scandir")),
    *("fcntl.flock", "open", "os.truncate", "shutil.rmtree"),
}


def write(folder: Path, versions: int) -> None:
    registry = Registry(folder / "models", time.time_ns)
    source = source_folder(folder / f"source-{os.getpid()}")
    for _ in range(versions):
        added = registry.add("gate", source, new_version())
        registry.propose("gate", added.number)
        registry.promote("gate", added.number)


def crash(folder: Path, task: str) -> None:
    source = source_folder(folder / "source")
    for uses in count(1):
        copy = folder / f"crashed-{uses}"
        shutil.copytree(folder / "models", copy)
        child = os.fork()
        if child == 0:
            _killed_at(uses)
            TASKS[task](Registry(copy, time.time_ns), source)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0
            sys.stdout.write(f"{uses - 1}\n")
            return
        assert os.WTERMSIG(status) == signal.SIGKILL


def _killed_at(uses: int) -> None:
    left = uses

    def hook(event: str, _: object) -> None:
        nonlocal left
        if event not in _FILE_EVENTS:
            return
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        crash(Path(sys.argv[2]), sys.argv[3])
