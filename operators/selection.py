"""Selection: which items of the retraining queue are labelled next.

`random`, `uncertainty` and `uniform` are the baselines of Kang et al. (MLSys 2020, section 5.4);
BAL is in `operators.selection_bal`, and what we add to them in `operators.selection_valuable`. All
have one signature, draw from the generator that they are given and never give an item twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from records import RecordError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from records import RetrainingItem

Fires = Mapping[str, int]
"""How often each assertion fires on a frozen probe set, with the model of one round."""


class Reason(StrEnum):
    """Why an item was chosen.

    AUDIT_SHARE: drawn from the random share, whatever else is chosen. RANDOM: drawn from all items.
    UNCERTAINTY: the model is unsure. ASSERTION: drawn for an assertion. VALUE: likely wrong, and
    unlike what was chosen before.
    """

    AUDIT_SHARE = "audit_share"
    RANDOM = "random"
    UNCERTAINTY = "uncertainty"
    ASSERTION = "assertion"
    VALUE = "value"


@dataclass(frozen=True, slots=True)
class Choice:
    """One item that is to be labelled.

    Attributes:
        item: The item.
        reason: Why it was chosen.
        assertion: The assertion that it was drawn for; empty for other reasons.
        probability: The probability with which this item was drawn from those that were there, for
            AUDIT_SHARE and RANDOM; None for others. Times the item's propensity it is the
            probability that the frame is labelled.
    """

    item: RetrainingItem
    reason: Reason
    assertion: str = ""
    probability: float | None = None


Selector = Callable[
    [Sequence["RetrainingItem"], int, np.random.Generator, Sequence[Fires]], tuple[Choice, ...]
]
"""Chooses from items at most so many, given how assertions fired after each round so far.

The fires begin with those of the first model, before anything was labelled; only BAL reads them.
"""


def in_order(items: Iterable[RetrainingItem], count: int) -> list[RetrainingItem]:
    """The items by id, so that the order in which they come changes no draw.

    Raises:
        RecordError: `count` is below 0, or an item is there twice.
    """
    if count < 0:
        raise RecordError(f"count must be at least 0, got {count}")
    ordered = sorted(items, key=lambda one: one.id)
    if len({one.id for one in ordered}) < len(ordered):
        raise RecordError("items must each be there once")
    return ordered


def select_random(
    items: Sequence[RetrainingItem],
    count: int,
    generator: np.random.Generator,
    fires: Sequence[Fires] = (),
) -> tuple[Choice, ...]:
    """Choose at random; all items are equally likely."""
    pool = in_order(items, count)
    taken = min(count, len(pool))
    drawn = generator.permutation(len(pool))[:taken]
    return tuple(
        Choice(pool[k], Reason.RANDOM, probability=taken / len(pool)) for k in drawn.tolist()
    )


def select_uncertain(
    items: Sequence[RetrainingItem],
    count: int,
    generator: np.random.Generator,
    fires: Sequence[Fires] = (),
) -> tuple[Choice, ...]:
    """Choose those that the model is most unsure of; equals in random order."""
    pool = in_order(items, count)
    shuffled = [pool[k] for k in generator.permutation(len(pool)).tolist()]
    shuffled.sort(key=lambda one: -one.uncertainty)
    return tuple(Choice(one, Reason.UNCERTAINTY) for one in shuffled[:count])


def select_uniform(
    items: Sequence[RetrainingItem],
    count: int,
    generator: np.random.Generator,
    fires: Sequence[Fires] = (),
) -> tuple[Choice, ...]:
    """Choose an assertion, all equally likely, then any item that it flags; again and again."""
    return FlaggedItems(in_order(items, count), generator).draw(count)


class FlaggedItems:
    """Items by the assertions that flag them, to be drawn without replacement.

    Args:
        items: The items; those without flags are passed over.
        generator: What is drawn from.
    """

    def __init__(self, items: Sequence[RetrainingItem], generator: np.random.Generator) -> None:
        self._generator = generator
        self._items = [one for one in items if one.flags]
        self._left = np.ones(len(self._items), np.bool_)
        flagged: dict[str, dict[int, float]] = defaultdict(dict)
        for place, one in enumerate(self._items):
            for flag in one.flags:
                worst = flagged[flag.assertion].get(place, 0.0)
                flagged[flag.assertion][place] = max(worst, flag.severity)
        self._places = {name: np.array(list(flagged[name])) for name in sorted(flagged)}
        self._ranks = {
            name: _ranks(np.array(list(flagged[name].values()))) for name in sorted(flagged)
        }

    @property
    def assertions(self) -> tuple[str, ...]:
        """The assertions that flag anything, in order of their names."""
        return tuple(self._places)

    def draw(
        self, count: int, weights: Mapping[str, float] | None = None, *, by_severity: bool = False
    ) -> tuple[Choice, ...]:
        """Draw items that are left, at most `count`.

        Args:
            count: How many.
            weights: The assertion of each is drawn in proportion to these; one that is not named
                weighs nothing. None for all alike.
            by_severity: Whether an assertion's items are drawn in proportion to the rank of their
                severity, 1 for the mildest; else all alike.
        """
        names = list(self._places)
        shares = np.array([1.0 if weights is None else weights.get(name, 0.0) for name in names])
        chosen: list[Choice] = []
        while len(chosen) < count:
            for k, name in enumerate(names):
                if not self._left[self._places[name]].any():
                    shares[k] = 0.0
            if not shares.sum() > 0:
                break
            name = names[int(self._generator.choice(len(names), p=shares / shares.sum()))]
            chosen.append(self._draw_one(name, by_severity=by_severity))
        return tuple(chosen)

    def _draw_one(self, name: str, *, by_severity: bool) -> Choice:
        places = self._places[name]
        weights = self._left[places] * (self._ranks[name] if by_severity else 1.0)
        place = places[int(self._generator.choice(len(places), p=weights / weights.sum()))]
        self._left[place] = False
        return Choice(self._items[place], Reason.ASSERTION, name)


def _ranks(severities: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rank of each severity, 1 for the lowest; equals share the highest of their ranks."""
    ordered = np.sort(severities)
    return np.searchsorted(ordered, severities, side="right").astype(np.float64)
