"""The fault suite: every bar of docs/reliability.md that takes long to try, in one table.

Run: ``python -m benchmarks.chaos`` (or ``make chaos``) for all, ``--only NAME`` for some,
``--quick`` for a small version of each that only shows that it works. Prints a table and writes
benchmarks/results/chaos.json, where rows of bars that were not tried stay; exits with 1 where a bar
is not met.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from benchmarks import latency, throughput
from benchmarks.chaos import broker_restarts, kills, memory, poison, topics, webhooks
from benchmarks.chaos.bars import Trial
from benchmarks.hardware import hardware

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.chaos.bars import Row

BARS: dict[str, Callable[[Trial], list[Row]]] = {
    "broker": broker_restarts.bars,
    "kills": kills.bars,
    "poison": poison.bars,
    "webhooks": webhooks.bars,
    "topics": topics.bars,
    "memory": memory.bars,
    "throughput": throughput.bars,
    "latency": latency.bars,
}
"""The bars, by name."""

RESULT = Path(__file__).resolve().parents[1] / "results" / "chaos.json"


def try_all(names: list[str], *, quick: bool) -> list[dict[str, Any]]:
    """Try bars one after the other; each row as it is written."""
    rows = []
    for name in names:
        begun = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix=f"chaos-{name}-") as folder:
            found = BARS[name](Trial(Path(folder), quick=quick))
        seconds = round(time.perf_counter() - begun, 1)
        for row in found:
            sys.stderr.write(f"{row.verdict:>6}  {row.bar}: {row.measured}\n")
            rows.append(
                {
                    "name": name,
                    "bar": row.bar,
                    "measured": row.measured,
                    "wanted": row.wanted,
                    "verdict": row.verdict,
                    "figures": row.figures,
                    "seconds": seconds,
                }
            )
    return rows


def table_of(rows: list[dict[str, Any]]) -> Table:
    """The table that people see."""
    table = Table("bar", "measured", "wanted", "verdict")
    for row in rows:
        table.add_row(row["bar"], row["measured"], row["wanted"], row["verdict"])
    return table


def write(rows: list[dict[str, Any]]) -> None:
    """Write what was tried, each row with its date; rows of other bars stay."""
    about = {"date": datetime.now(UTC).date().isoformat(), "hardware": hardware()}
    tried = {row["name"] for row in rows}
    before = json.loads(RESULT.read_text(encoding="utf-8"))["rows"] if RESULT.exists() else []
    kept = [row for row in before if row["name"] not in tried]
    order = list(BARS)
    every = sorted(
        [*kept, *({**row, **about} for row in rows)], key=lambda r: order.index(r["name"])
    )
    text = json.dumps({"rows": every}, indent=2, ensure_ascii=False) + "\n"
    RESULT.write_text(text, encoding="utf-8")


def main() -> None:
    """Try, print and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos")
    parser.add_argument("--only", action="append", choices=list(BARS), help="one bar; repeatable")
    parser.add_argument("--quick", action="store_true", help="small figures, nothing is written")
    words = parser.parse_args()
    rows = try_all(words.only or list(BARS), quick=words.quick)
    Console(width=140).print(table_of(rows))
    if not words.quick:
        write(rows)
    if any(row["verdict"] == "FAILED" for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
