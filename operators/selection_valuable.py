"""Our own selection: a random audit share, then what is likely wrong and unlike the rest.

Labels that were chosen because something looked wrong cannot tell how good the model is. So a
share of every round is drawn from the queue's random share, which gives an unbiased estimate of
the model's accuracy each round, and training data that no assertion would ever ask for.

The rest is chosen greedily, the item of the highest value next: its calibrated probability that
the model is wrong, times how unlike its picture is to those that were chosen before it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from operators.retraining_value import UNRELATED_BITS, distances, wrongness
from operators.selection import Choice, Reason, in_order, select_random
from records import Origin, RecordError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from operators.selection import Fires
    from records import RetrainingItem


@dataclass(frozen=True, slots=True)
class ValuableSettings:
    """How the budget is spent.

    Attributes:
        audit_share: The share of the budget that is drawn from the random share, 0..1.

    Raises:
        RecordError: a setting is out of its range.
    """

    audit_share: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.audit_share <= 1:
            raise RecordError(f"audit_share must be in 0..1, got {self.audit_share}")


def select_valuable(
    items: Sequence[RetrainingItem],
    count: int,
    generator: np.random.Generator,
    fires: Sequence[Fires] = (),
    settings: ValuableSettings | None = None,
) -> tuple[Choice, ...]:
    """Choose an audit share, then what is likely wrong; a `Selector`.

    Args:
        items: What there is.
        count: How many to choose at most.
        generator: What is drawn from.
        fires: Not read.
        settings: How the budget is spent.
    """
    settings = settings or ValuableSettings()
    pool = in_order(items, count)
    drawn = [one for one in pool if Origin.RANDOM in one.origins]
    share = math.ceil(settings.audit_share * count)
    audited = tuple(
        Choice(one.item, Reason.AUDIT_SHARE, probability=one.probability)
        for one in select_random(drawn, share, generator)
    )
    taken = [choice.item for choice in audited]
    ids = {one.id for one in taken}
    rest = [one for one in pool if one.id not in ids]
    # Equals are chosen in random order.
    rest = [rest[k] for k in generator.permutation(len(rest)).tolist()]
    valued = _greedy(rest, count - len(taken), taken)
    return (*audited, *(Choice(one, Reason.VALUE) for one in valued))


def _greedy(
    items: Sequence[RetrainingItem], count: int, before: Sequence[RetrainingItem]
) -> list[RetrainingItem]:
    """The items of the highest value, one after the other; each makes those like it worth less."""
    wrong = np.array([wrongness(one) for one in items])
    pictured = np.array([one.fingerprint is not None for one in items], np.bool_)
    prints = np.array([one.fingerprint or 0 for one in items], np.uint64)
    bits = np.full(len(items), UNRELATED_BITS, np.int64)

    def learn(chosen: RetrainingItem) -> None:
        if chosen.fingerprint is not None:
            apart = np.minimum(bits, distances(chosen.fingerprint, prints))
            bits[pictured] = apart[pictured]

    for one in before:
        learn(one)
    left = np.ones(len(items), np.bool_)
    found: list[RetrainingItem] = []
    for _ in range(min(count, len(items))):
        value = np.where(left, wrong * (bits / UNRELATED_BITS), -1.0)
        place = int(value.argmax())
        left[place] = False
        found.append(items[place])
        learn(items[place])
    return found
