"""Endpoints that note when each alert came, and which may be dead."""

from __future__ import annotations

import base64
import json
import math
from typing import TYPE_CHECKING

from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.endpoints import ScriptedServer

SECRET = "whsec_" + base64.b64encode(b"chaos" * 6).decode()
"""What the suite's messages are signed with; it guards nothing."""

FRAME_NS = 100_000_000
"""The time between two frames, nanoseconds."""


def numbers(server: ScriptedServer) -> list[int]:
    """The numbers of the alerts that came, as often as they came."""
    return [json.loads(one.body)["data"]["sequence"] for one in server.requests]


def latencies(server: ScriptedServer) -> list[float]:
    """How long each alert took from being raised to its first arrival, seconds."""
    first: dict[int, float] = {}
    for one in server.requests:
        data = json.loads(one.body)["data"]
        first.setdefault(data["sequence"], one.time - int(data["message"]) / NANOSECONDS)
    return list(first.values())


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of all does not exceed; infinite for none."""
    if not values:
        return math.inf
    return sorted(values)[math.ceil(share * len(values)) - 1]
