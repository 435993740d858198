"""What audited frames tell of one side of the contract, valid at every moment at once.

Estimates. Each side (recall: audited positives that were reported; precision: audited reports that
are positive) has a confidence sequence, valid at every moment at once and so under any rule of
stopping: the values p against which Krichevsky-Trofimov bets,

    B(hits + 1/2, misses + 1/2) / B(1/2, 1/2) / (p^hits (1 - p)^misses),

never won 1 / (1 - confidence) (Robbins, 1970; Waudby-Smith & Ramdas, JRSS-B 2024).

Alarm. Against H0 "recall and precision are at least their targets" each side bets on recalls that
fall short by each of ALTERNATIVES: a hit multiplies the wealth by 1 - s, a miss by
1 + s t / (1 - t) (t the target, s the shortfall), whose mean under H0 is at most 1. So that a
fault after months of good work is found nearly as fast as one at the start, part of the wealth
enters with each observation: the k-th brings k^-a - (k+1)^-a, which sums to 1 (a = ENTRY_DECAY).
The mean of both sides is an e-process: under H0 it reaches 1 / false_alarm with a probability of
at most false_alarm over an unlimited time (Ville, 1939; Ramdas et al., Statistical Science 2023).

Assumed: given the past, an audited positive is found (a reported frame is positive) with a
probability of at least the target. Cells should be longer than errors hang together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

ALTERNATIVES = (0.02, 0.05, 0.1, 0.2, 0.4, 0.7)
"""The shortfalls that the alarm bets on: recall (1 - s) times its target, in equal shares."""

ENTRY_DECAY = 0.25
"""How fast the wealth that enters with each observation falls; see the module."""

BISECTIONS = 40
"""Halvings of 0..1 when an interval is solved for."""


@dataclass(frozen=True, slots=True)
class SideState:
    """What one side has seen in this epoch.

    Attributes:
        seen: Audited frames that count on this side.
        hits: Those with the right answer.
        recent: The last of them, oldest first.
        wealth: What each of ALTERNATIVES has won with the wealth that has entered.
    """

    seen: int = 0
    hits: int = 0
    recent: tuple[bool, ...] = ()
    wealth: tuple[float, ...] = (0.0,) * len(ALTERNATIVES)

    @property
    def evidence(self) -> float:
        """The e-value against the target, with the wealth that has not entered yet."""
        return sum(self.wealth) / len(ALTERNATIVES) + _remaining(self.seen)


def learn(state: SideState, target: float, recent: int, *, hit: bool) -> SideState:
    """The state after one more audited frame of this side.

    Args:
        state: The state before.
        target: The share of hits that is promised, 0..1 exclusive.
        recent: How many frames the recent share covers.
        hit: Whether the cascade was right.
    """
    entering = _remaining(state.seen) - _remaining(state.seen + 1)
    miss_gain = target / (1 - target)
    wealth = tuple(
        (won + entering) * (1 - shortfall if hit else 1 + shortfall * miss_gain)
        for won, shortfall in zip(state.wealth, ALTERNATIVES, strict=True)
    )
    latest = (*state.recent, hit)[-recent:]
    return SideState(state.seen + 1, state.hits + hit, latest, wealth)


def confidence_sequence(hits: int, seen: int, confidence: float) -> tuple[float, float]:
    """An interval for a share that holds at every moment of an unlimited sequence at once.

    >>> low, high = confidence_sequence(95, 100, 0.95)
    >>> round(low, 3), round(high, 3)
    (0.844, 0.993)
    """
    if seen == 0:
        return 0.0, 1.0
    misses = seen - hits
    goal = -math.log1p(-confidence) - (
        math.lgamma(hits + 0.5)
        + math.lgamma(misses + 0.5)
        - math.lgamma(seen + 1)
        - math.log(math.pi)
    )

    def covered(share: float) -> bool:
        losses = (hits * math.log(share) if hits else 0.0) + (
            misses * math.log1p(-share) if misses else 0.0
        )
        return -losses < goal

    low = _edge(0.0, hits / seen, covered) if hits else 0.0
    high = _edge(1.0, hits / seen, covered) if misses else 1.0
    return low, high


def _remaining(seen: int) -> float:
    """The wealth that has not entered after `seen` observations."""
    return float((seen + 1) ** -ENTRY_DECAY)


def _edge(outside: float, inside: float, covered: Callable[[float], bool]) -> float:
    """The end of the interval between a share outside it and one inside."""
    for _ in range(BISECTIONS):
        middle = (outside + inside) / 2
        outside, inside = (outside, middle) if covered(middle) else (middle, inside)
    return outside
