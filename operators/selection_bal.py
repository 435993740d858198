"""BAL: the bandit of Kang et al., "Model Assertions for Monitoring and Improving ML Models".

MLSys 2020, section 3 and Algorithm 1. An assertion is an arm. What an arm is worth is the marginal
reduction r_m: by how much less assertion m fires after a round of training than before it. It is
counted on a frozen probe set, for on live data the number of fires follows the traffic.

- The first round draws uniformly over the assertions.
- Later rounds draw the assertion in proportion to r_m, then one of its items in proportion to the
  rank of its severity; a quarter of the budget explores, drawn as in the first round.
- When no r_m reaches 1 %, assertions teach nothing more: a baseline chooses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from operators.selection import FlaggedItems, in_order, select_random, select_uncertain
from records import RecordError
from records.checks import check_count

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from operators.selection import Choice, Fires
    from records import RetrainingItem

FALLBACKS = {"random": select_random, "uncertainty": select_uncertain}
"""The baselines that may choose when no assertion teaches anything more."""

ROUNDS_OF_A_REDUCTION = 2
"""A reduction is from one count of fires to the next."""


@dataclass(frozen=True, slots=True)
class BalSettings:
    """How BAL chooses.

    Attributes:
        uniform_share: The share of the budget that is drawn uniformly over the assertions, 0..1.
        least_reduction: Below this marginal reduction of all assertions the fallback chooses.
        fallback: ``random`` or ``uncertainty``.

    Raises:
        RecordError: a setting is out of its range.
    """

    uniform_share: float = 0.25
    least_reduction: float = 0.01
    fallback: str = "random"

    def __post_init__(self) -> None:
        for name in ("uniform_share", "least_reduction"):
            if not 0 <= getattr(self, name) <= 1:
                raise RecordError(f"{name} must be in 0..1, got {getattr(self, name)}")
        if self.fallback not in FALLBACKS:
            raise RecordError(
                f"fallback must be one of {', '.join(FALLBACKS)}, got {self.fallback!r}"
            )


def marginal_reductions(before: Fires, after: Fires) -> dict[str, float]:
    """By which share each assertion fires less than before, on the same probe set.

    Above 0 where it fires less, below where it fires more; 0 for one that did not fire before.

    Raises:
        RecordError: a count is below 0.

    >>> marginal_reductions({"flicker": 200, "appear": 10}, {"flicker": 150, "appear": 12})
    {'flicker': 0.25, 'appear': -0.2}
    """
    for fires in (before, after):
        for name, count in fires.items():
            check_count(f"fires of {name}", count)
    return {
        name: (count - after.get(name, 0)) / count if count else 0.0
        for name, count in before.items()
    }


def select_bal(
    items: Sequence[RetrainingItem],
    count: int,
    generator: np.random.Generator,
    fires: Sequence[Fires] = (),
    settings: BalSettings | None = None,
) -> tuple[Choice, ...]:
    """Choose items for the next round; a `Selector`.

    Args:
        items: What there is.
        count: How many to choose at most.
        generator: What is drawn from.
        fires: On the probe set, with the first model and after each round.
        settings: How it chooses.

    Returns:
        The chosen items. Where the assertions flag too few, the fallback chooses the rest.
    """
    settings = settings or BalSettings()
    pool = in_order(items, count)
    chosen = _draw_flagged(FlaggedItems(pool, generator), count, fires, settings)
    taken = {choice.item.id for choice in chosen}
    rest = [one for one in pool if one.id not in taken]
    return (*chosen, *FALLBACKS[settings.fallback](rest, count - len(chosen), generator))


def _draw_flagged(
    flagged: FlaggedItems, count: int, fires: Sequence[Fires], settings: BalSettings
) -> tuple[Choice, ...]:
    """What is drawn for assertions; nothing where the fallback is to choose."""
    if len(fires) < ROUNDS_OF_A_REDUCTION:
        return flagged.draw(count)
    reductions = marginal_reductions(*fires[-ROUNDS_OF_A_REDUCTION:])
    if all(each < settings.least_reduction for each in reductions.values()):
        return ()
    weights = {name: max(each, 0.0) for name, each in reductions.items()}
    uniform = round(settings.uniform_share * count)
    explored = flagged.draw(uniform)
    exploited = flagged.draw(count - uniform, weights, by_severity=True)
    # The assertions with a reduction may flag too few items.
    more = flagged.draw(count - len(explored) - len(exploited))
    return (*explored, *exploited, *more)
