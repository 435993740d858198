"""What ranks run in tests; quick to import."""

from __future__ import annotations

import time

from records import RecordError


def refuse(rank: int) -> None:
    raise RecordError(f"no work for {rank}")


def dawdle(rank: int) -> None:
    if rank == 1:
        time.sleep(3600)


def add(rank: int, number: int) -> int:
    return rank + number
