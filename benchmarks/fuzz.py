"""Fuzzing: damaged inputs for all that reads input of strangers, each target's crashes and cost.

Run: ``python -m benchmarks.fuzz --inputs 10000`` (or ``make fuzz``) for all targets, ``--only
NAME`` for some, ``--seed N`` for other inputs. Prints a table and writes
benchmarks/results/fuzz.json, where rows of targets that were not tried stay; exits with 1 where one
crashed.
"""

from __future__ import annotations

import argparse
import json
import logging
import resource
import sys
import tempfile
import time
import warnings
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.hardware import hardware
from tests.fuzz.target import fuzz
from tests.fuzz.targets import TARGETS

if TYPE_CHECKING:
    from collections.abc import Iterator

RESULT = Path(__file__).resolve().parent / "results" / "fuzz.json"
"""Where the figures are kept."""

SECONDS_AN_INPUT = 10.0
"""The longest that one input may take, seconds."""

MOST_GROWTH_BYTES = 2**30
"""How much memory one target may take in all, bytes; beyond it allocations fail, as crashes."""

SHOWN_CRASHES = 5
"""How many crashes of a target are told."""


def try_target(name: str, inputs: int, seed: int) -> dict[str, Any]:
    """Fuzz one target; its row."""
    chance = Random(seed)  # noqa: S311 - of inputs, which must come again with the same seed
    before, begun = _peak_bytes(), time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder, _bounded_memory():
        outcome = fuzz(TARGETS[name], Path(folder), inputs, chance, SECONDS_AN_INPUT)
    seconds = time.perf_counter() - begun
    return {
        "target": name,
        "seed": seed,
        "inputs": outcome.inputs,
        "accepted": outcome.accepted,
        "crashes": len(outcome.crashes),
        "first_crashes": outcome.crashes[:SHOWN_CRASHES],
        "seconds": round(seconds, 1),
        "slowest_seconds": round(outcome.slowest_seconds, 3),
        "memory_growth_mib": round((_peak_bytes() - before) / 2**20, 1),
    }


@contextmanager
def _bounded_memory() -> Iterator[None]:
    """Within, the process may grow by `MOST_GROWTH_BYTES` of addresses and no more."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0])
    most = pages * resource.getpagesize() + MOST_GROWTH_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> int:
    """Try targets and write what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=10_000, help="for each target")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*", choices=list(TARGETS), default=[])
    parser.add_argument("--no-result", action="store_true", help="write no file")
    given = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)  # servers tell of each broken request
    rows = {}
    for name in given.only or TARGETS:
        rows[name] = try_target(name, given.inputs, given.seed)
        sys.stderr.write(f"{name}: {rows[name]['crashes']} crashes, {rows[name]['seconds']} s\n")
        for crash in rows[name]["first_crashes"]:
            sys.stderr.write(f"    {crash}\n")
        if not given.no_result:
            _write({name: rows[name]})
    Console().print(_table(rows))
    return int(any(row["crashes"] for row in rows.values()))


def _write(rows: dict[str, dict[str, Any]]) -> None:
    found = json.loads(RESULT.read_bytes()) if RESULT.exists() else {"rows": []}
    known = {row["target"]: row for row in found["rows"]} | rows
    value = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "hardware": hardware(),
        "seconds_an_input_at_most": SECONDS_AN_INPUT,
        "rows": [known[name] for name in TARGETS if name in known],
    }
    RESULT.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def _table(rows: dict[str, dict[str, Any]]) -> Table:
    columns = ("inputs", "accepted", "crashes", "seconds", "slowest_seconds", "memory_growth_mib")
    table = Table("target", *columns)
    for name, row in rows.items():
        table.add_row(name, *(str(row[column]) for column in columns))
    return table


if __name__ == "__main__":
    sys.exit(main())
