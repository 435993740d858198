"""The planner: how a query would be answered, what that would cost, and why not otherwise.

Rules after BlazeIt (Kang et al., VLDB 2020, section 5). Calls are predicted before the reference is
asked, from the error that is wanted and how much values like these usually vary:

- *full scan*: every frame;
- *uniform sampling* would take (z s / e)^2, less the finite population's share;
- *stratified*: one frame in each of so many cells; on traffic the error is RATIO of uniform's at
  600 calls, and falls faster, so the calls are at most RATIO^2 of uniform's;
- *control variate*: the same, with what a proxy explains taken out;
- *rewrite*: the proxy's own mean, put right by a pilot; valid only where the pilot's interval of
  the proxy's bias is within the error.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from scipy.stats import norm

from flows.query.model import AggregateQuery, LimitQuery, Measure

if TYPE_CHECKING:
    from flows.query.model import Query

RATIO = 0.4
"""The error of jittered cells as a share of uniform sampling's, at the same calls."""

DEVIATION = {Measure.AVERAGE: 1.0, Measure.SUM: 1.0, Measure.PRESENCE: 0.5}
"""The standard deviation of a frame's value that is assumed before any is known."""

PILOT = 256
"""The calls of a pilot that judges a proxy."""

EXPLAINED = 0.5
"""The share of the variance that a proxy is assumed to explain before a pilot."""


class Way(StrEnum):
    """How a query is answered."""

    SCAN = "full scan"
    STRATIFIED = "stratified"
    VARIATE = "control variate"
    REWRITE = "rewrite to the proxy"
    SEARCH = "bandit over time chunks"
    RANKED = "ranked by the proxy"


@dataclass(frozen=True, slots=True)
class Option:
    """One way to answer.

    Attributes:
        way: Which.
        calls: The calls that are predicted; None where that depends on what is found.
        reason: Why it was chosen or not.
    """

    way: Way
    calls: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The way that is taken, and the others.

    Attributes:
        chosen: The way that is taken.
        others: The others, with the reasons against them.
        frames: The frames that are asked about.
    """

    chosen: Option
    others: tuple[Option, ...]
    frames: int

    def to_json(self) -> dict[str, Any]:
        """The plan as plain JSON values."""
        return {
            "way": str(self.chosen.way),
            "predicted_calls": self.chosen.calls,
            "frames": self.frames,
            "reason": self.chosen.reason,
            "others": [
                {"way": str(one.way), "predicted_calls": one.calls, "reason": one.reason}
                for one in self.others
            ],
        }


def plan_query(query: Query, frames: int, *, proxy: bool, force: Way | None = None) -> Plan:
    """Choose how to answer a query.

    Args:
        query: The query.
        frames: The frames that it asks about, over all streams.
        proxy: Whether every stream has a proxy.
        force: The way that is wanted whatever it costs; None lets the rules choose.
    """
    if isinstance(query, AggregateQuery):
        options = _aggregate(query, frames, proxy=proxy)
    elif isinstance(query, LimitQuery):
        options = _limit(frames, proxy=proxy)
    else:
        options = [Option(Way.SCAN, frames, "every object must be seen, which meets any FNR")]
    chosen = options[0] if force is None else next((o for o in options if o.way is force), None)
    if chosen is None:
        chosen = options[0]
    elif force is not None:
        chosen = Option(chosen.way, chosen.calls, "it was asked for")
    return Plan(chosen, tuple(one for one in options if one.way is not chosen.way), frames)


def _aggregate(query: AggregateQuery, frames: int, *, proxy: bool) -> list[Option]:
    """The ways to answer an aggregate, the best first."""
    if query.measure is Measure.DISTINCT:
        return [Option(Way.SCAN, frames, "different objects can be told only in every frame")]
    scan = Option(Way.SCAN, frames, "costs more")
    if query.error is None and query.budget is None:
        return [Option(Way.SCAN, frames, "no ERROR and no BUDGET: the exact answer is wanted")]
    stratified = _stratified(query, frames)
    if stratified is None:
        return [Option(Way.SCAN, frames, "so small an error needs every frame")]
    if not proxy:
        missing = "there is no proxy"
        return [stratified, scan, Option(Way.VARIATE, None, missing),
                Option(Way.REWRITE, None, missing)]  # fmt: skip
    assert stratified.calls is not None
    varied = round(stratified.calls * (1 - EXPLAINED))
    pilot = Option(
        Way.REWRITE, PILOT, "a pilot decides: taken where the proxy's bias is within the error"
    )
    best = Option(Way.VARIATE, max(varied, 1), "the proxy explains part of what varies in a cell")
    return [best, pilot, Option(Way.STRATIFIED, stratified.calls, "leaves the proxy unused"), scan]


def _stratified(query: AggregateQuery, frames: int) -> Option | None:
    """One frame in each cell; None where as many cells as frames would be needed."""
    reason = "needs no model"
    if query.error is None:
        return Option(Way.STRATIFIED, query.budget, reason)
    error = query.error / frames if query.measure is Measure.SUM else query.error
    quantile = float(norm.ppf(1 - (1 - query.confidence) / 2))
    calls = math.ceil((quantile * DEVIATION[query.measure] / error * RATIO) ** 2)
    if query.budget is not None:
        calls = min(calls, query.budget)
    return None if calls >= frames else Option(Way.STRATIFIED, calls, reason)


def _limit(frames: int, *, proxy: bool) -> list[Option]:
    scan = Option(Way.SCAN, frames, "sees every frame up to the last one found")
    search = Option(Way.SEARCH, None, "looks more often where something was found")
    if not proxy:
        return [search, scan, Option(Way.RANKED, None, "there is no proxy")]
    ranked = Option(Way.RANKED, None, "best scores first, and a bandit leaves a score that fails")
    return [ranked, search, scan]
