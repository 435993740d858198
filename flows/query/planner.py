"""The planner: how a query would be answered, what that would cost, and why not otherwise.

Rules after BlazeIt (Kang et al., VLDB 2020, section 5). Calls are predicted before the reference is
asked, from the error that is wanted and how much values like these usually vary:

- *full scan*: every frame;
- *uniform sampling* would take (z s / e)^2, less the finite population's share;
- *stratified*: one frame in each of so many cells; on traffic the error is RATIO of uniform's at
  600 calls, and falls faster, so the calls are at most RATIO^2 of uniform's;
- *control variate*: the same, with what a proxy explains taken out;
- *rewrite*: the proxy's own mean, put right by a pilot; valid only where the pilot's interval of
  the proxy's bias is within the error;
- *ranked*: the frames that a limit query is after, by the proxy's score; else by a bandit.

A proxy must be asked about every frame, which on a video means decoding it. Where it is known what
that costs and what a call costs, a proxy is used only if the calls that it spares cost more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from scipy.stats import norm

from flows.query.model import AggregateQuery, LimitQuery, Measure
from records import QueryError

if TYPE_CHECKING:
    from flows.query.costs import Costs
    from flows.query.model import Query

RATIO = 0.4
"""The error of jittered cells as a share of uniform sampling's, at the same calls."""

DEVIATION = {Measure.AVERAGE: 1.0, Measure.SUM: 1.0, Measure.PRESENCE: 0.5}
"""The standard deviation of a frame's value that is assumed before any is known."""

PILOT = 256
"""The calls of a pilot that judges a proxy."""

EXPLAINED = 0.5
"""The share of the variance that a proxy is assumed to explain before a pilot."""

USUAL_SHARE = 0.01
"""The share of the frames that is assumed to hold what a limit query is after: it is rare."""

USUAL_PRECISION = 0.5
"""The share of a proxy's best frames that is assumed to hold it."""


class Way(StrEnum):
    """How a query is answered."""

    SCAN = "full scan"
    STRATIFIED = "stratified"
    VARIATE = "control variate"
    REWRITE = "rewrite to the proxy"
    SEARCH = "bandit over time chunks"
    RANKED = "ranked by the proxy"


PROXIED = (Way.VARIATE, Way.REWRITE, Way.RANKED)
"""The ways that ask a proxy about every frame."""

_WITHOUT = (Way.STRATIFIED, Way.SEARCH)
"""What each is weighed against."""

PROXY_ESTIMATORS = ("fast", "blazeit", "ppi")
"""The estimators that a proxy helps."""

NO_PROXY = "there is no proxy"
"""The reason against ways that need one."""


@dataclass(frozen=True, slots=True)
class Option:
    """One way to answer.

    Attributes:
        way: Which.
        calls: The calls that are predicted; None where that depends on what is found.
        reason: Why it was chosen or not.
        seconds: How long it is predicted to take; None where that is not known.
    """

    way: Way
    calls: int | None
    reason: str
    seconds: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The way as plain JSON values."""
        return {
            "way": str(self.way),
            "predicted_calls": self.calls,
            "predicted_seconds": None if self.seconds is None else round(self.seconds, 3),
            "reason": self.reason,
        }


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
            **self.chosen.to_json(),
            "frames": self.frames,
            "others": [one.to_json() for one in self.others],
        }


def takes_proxy(query: AggregateQuery | LimitQuery) -> bool:
    """Whether a proxy could help to answer this query."""
    if isinstance(query, LimitQuery):
        return True
    sampled = query.error is not None or query.budget is not None
    return sampled and query.measure is not Measure.DISTINCT and query.estimator in PROXY_ESTIMATORS


def plan_query(
    query: Query,
    frames: int,
    *,
    proxy: bool,
    force: Way | None = None,
    costs: Costs | None = None,
) -> Plan:
    """Choose how to answer a query.

    Args:
        query: The query.
        frames: The frames that it asks about, over all streams.
        proxy: Whether every stream has a proxy that fits the query.
        force: The way that is wanted whatever it costs; None lets the rules choose.
        costs: What a frame costs; None where that is not known.

    Raises:
        QueryError: the way that is wanted cannot answer the query.
    """
    if isinstance(query, AggregateQuery):
        options = _aggregate(query, frames, proxy=proxy)
    elif isinstance(query, LimitQuery):
        options = _limit(query, frames, proxy=proxy)
    else:
        options = [Option(Way.SCAN, frames, "every object must be seen, which meets any FNR")]
    options = [replace(one, seconds=_seconds(one, costs, frames)) for one in options]
    if force is not None:
        chosen = _forced(force, options)
    else:
        options = _weighed(query, options, costs, frames)
        chosen = options[0]
    return Plan(chosen, tuple(one for one in options if one.way is not chosen.way), frames)


def _seconds(option: Option, costs: Costs | None, frames: int) -> float | None:
    if costs is None or option.calls is None:
        return None
    scoring = costs.scoring(frames) if option.way in PROXIED else 0.0
    return scoring + costs.asking(option.calls, frames)


def _forced(force: Way, options: list[Option]) -> Option:
    for one in options:
        if one.way is force and one.reason == NO_PROXY:
            raise QueryError(
                f"the way {force!s} needs a proxy: say --trained FOLDER for videos, or --proxy for "
                "traces"
            )
        if one.way is force:
            return replace(one, reason="it was asked for")
    ways = ", ".join(str(one.way) for one in options)
    raise QueryError(f"the way {force!s} does not answer this query; there is: {ways}")


def _weighed(query: Query, options: list[Option], costs: Costs | None, frames: int) -> list[Option]:
    """The options, the best first, with the proxy's cost among the reasons."""
    first, second = options[0], next((o for o in options if o.way in _WITHOUT), options[0])
    if costs is None or first.way not in PROXIED or first.seconds is None or second.seconds is None:
        return options
    scoring = f"scoring {frames:,} frames takes {costs.scoring(frames):.1f} s"
    if isinstance(query, AggregateQuery) and query.error is None:
        told = replace(first, reason=f"narrows the interval that BUDGET allows; {scoring}")
        return [told, *options[1:]]
    spared = second.seconds - first.seconds + costs.scoring(frames)
    weighed = f"{scoring}, and spares {spared:.1f} s of calls"
    if first.seconds <= second.seconds:
        return [replace(first, reason=f"{first.reason}; {weighed}"), *options[1:]]
    best = replace(second, reason=f"{second.reason}; {scoring}, and would spare {spared:.1f} s")
    others = [one for one in options[1:] if one.way is not second.way]
    return [best, replace(first, reason=weighed), *others]


def _aggregate(query: AggregateQuery, frames: int, *, proxy: bool) -> list[Option]:
    """The ways to answer an aggregate, the best first."""
    if query.measure is Measure.DISTINCT:
        return [Option(Way.SCAN, frames, "different objects can be told only in every frame")]
    scan = Option(Way.SCAN, frames, "costs more")
    if query.error is None and query.budget is None:
        return [Option(Way.SCAN, frames, "no ERROR and no BUDGET: the exact answer is wanted")]
    sampled = _calls(query, frames, explained=0.0)
    if sampled is None:
        return [Option(Way.SCAN, frames, "so small an error needs every frame")]
    stratified = Option(Way.STRATIFIED, sampled, "needs no model")
    if not takes_proxy(query):
        return [stratified, scan]
    if not proxy:
        return [stratified, scan, Option(Way.VARIATE, None, NO_PROXY),
                Option(Way.REWRITE, None, NO_PROXY)]  # fmt: skip
    varied = _calls(query, frames, EXPLAINED)
    best = Option(Way.VARIATE, varied, "the proxy explains part of what varies in a cell")
    unused = Option(Way.STRATIFIED, sampled, "leaves the proxy unused")
    if query.error is None:
        return [best, unused, scan]
    pilot = Option(
        Way.REWRITE,
        min(PILOT, frames),
        "a pilot decides: taken where the proxy's bias is within the error",
    )
    return [best, pilot, unused, scan]


def _calls(query: AggregateQuery, frames: int, explained: float) -> int | None:
    """One frame in each cell; None where as many cells as frames would be needed."""
    if query.error is None:
        return query.budget
    error = query.error / frames if query.measure is Measure.SUM else query.error
    quantile = float(norm.ppf(1 - (1 - query.confidence) / 2))
    needed = (quantile * DEVIATION[query.measure] / error * RATIO) ** 2 * (1 - explained)
    calls = max(math.ceil(needed), 1)
    if query.budget is not None:
        calls = min(calls, query.budget)
    return None if calls >= frames else calls


def _limit(query: LimitQuery, frames: int, *, proxy: bool) -> list[Option]:
    most = frames if query.budget is None else min(query.budget, frames)
    scan = Option(Way.SCAN, frames, "sees every frame up to the last one found")
    search = Option(
        Way.SEARCH,
        min(math.ceil(query.limit / USUAL_SHARE), most),
        "looks more often where something was found; the calls are predicted as if one frame in "
        f"{1 / USUAL_SHARE:.0f} held it",
    )
    if not proxy:
        return [search, scan, Option(Way.RANKED, None, NO_PROXY)]
    ranked = Option(
        Way.RANKED,
        min(math.ceil(query.limit / USUAL_PRECISION), most),
        "best scores first, and a bandit leaves a score that fails",
    )
    return [ranked, search, scan]
