from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from models.registry import ChangeKind, Pointers, Registry
from models.registry_history import standing_after
from models.registry_log import stated_pointers
from tests.support.registries import new_version, registry_with
from tests.support.registry_process import TASKS

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 300
"""Long enough for the slowest machine; only a hang takes so long."""


def started(*words: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.support.registry_process", *map(str, words)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def check_whole(registry: Registry, folder: Path) -> None:
    """After a change, history, state and folders say the same, and nothing lies about."""
    standing = standing_after(registry.history("gate"))
    assert stated_pointers(folder / "gate") == registry.pointers("gate") == standing.pointers
    assert standing.added == set(registry.numbers("gate"))
    assert all(registry.folder("gate", number).is_dir() for number in registry.numbers("gate"))
    names = {path.name for path in (folder / "gate" / "versions").iterdir()}
    assert names == set(map(str, registry.numbers("gate")))


@pytest.mark.parametrize("task", TASKS)
def test_a_kill_at_any_use_of_a_file_leaves_before_or_after(tmp_path: Path, task: str) -> None:
    registry = registry_with(tmp_path, 3)
    registry.promote("gate", 1)
    registry.promote("gate", 2)
    before = registry.pointers("gate"), registry.numbers("gate")
    with started("crash", tmp_path, task) as process:
        kills = int(process.communicate(timeout=SECONDS)[0])
    assert process.returncode == 0
    done = tmp_path / f"crashed-{kills + 1}"
    whole = Registry(done, time.time_ns)
    after = whole.pointers("gate"), whole.numbers("gate")
    check_whole(whole, done)
    assert before != after or task == "prune"
    seen = []
    for uses in range(1, kills + 1):
        folder = tmp_path / f"crashed-{uses}"
        crashed = Registry(folder, time.time_ns)
        seen.append((crashed.pointers("gate"), crashed.numbers("gate")))
        assert all(crashed.folder("gate", number).is_dir() for number in seen[-1][1])
        added = crashed.add("gate", tmp_path / "source", new_version())
        assert added.number == max(3, *seen[-1][1]) + 1
        assert crashed.pointers("gate") == seen[-1][0]
        check_whole(crashed, folder)
    assert seen == sorted(seen, key=[before, after].index)
    assert set(seen) == {before, after}


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    writers = [started("write", tmp_path, 6) for _ in range(2)]
    for writer in writers:
        with writer:
            writer.communicate(timeout=SECONDS)
        assert writer.returncode == 0
    registry = Registry(tmp_path / "models", time.time_ns)
    assert registry.numbers("gate") == tuple(range(1, 13))
    changes = registry.history("gate")
    kinds = [one.what for one in changes]
    assert (kinds.count(ChangeKind.ADDED), kinds.count(ChangeKind.PROMOTED)) == (12, 12)
    check_whole(registry, tmp_path / "models")


def test_a_killed_writer_leaves_the_lock_to_others(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "models", time.time_ns)
    with started("write", tmp_path, 10**6) as writer:
        while registry.pointers("gate").revision < 3:  # reads while the other writes
            assert writer.poll() is None
        writer.kill()
    numbers, pointers = registry.numbers("gate"), registry.pointers("gate")
    (source,) = tmp_path.glob("source-*")
    added = registry.add("gate", source, new_version())
    assert added.number == len(numbers) + 1
    registry.promote("gate", added.number)
    assert registry.pointers("gate") == Pointers(
        added.number, pointers.candidate, pointers.revision + 1
    )
    check_whole(registry, tmp_path / "models")
