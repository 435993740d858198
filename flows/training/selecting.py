"""The first step of a round: which items of the live queue it takes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flows.selectors import SELECTORS, Selection
from records.retraining import REFERENCE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from connectors.queue_items import StoredItem
    from flows.config.training_section import TrainingSection
    from flows.training.kinds import Kind
    from records import Label

LABELLED_BY_PEOPLE = "human"
"""The reason of a choice: somebody has given the item a label."""

EVERYTHING = "all"
"""The selection that takes every item, and the reason of its choices."""

NO_LABEL = "no_label"
"""Why an item cannot be used: nobody whose labels count has labelled it."""

OTHER_STREAM = "other_stream"
"""Why an item cannot be used: its stream is not trained on."""


@dataclass(frozen=True, slots=True)
class Selected:
    """What a round takes.

    Attributes:
        ids: The items' ids, in order.
        chosen: How many, by the reason of the choice.
        unused: How many others cannot be used, by the reason.
    """

    ids: tuple[str, ...]
    chosen: Mapping[str, int]
    unused: Mapping[str, int]


def label_of(stored: StoredItem, section: TrainingSection) -> Label | None:
    """The label of an item that counts: a person's, the reference's, or a weak one."""
    if stored.label is not None and "human" in section.labels:
        return stored.label
    label = stored.item.label
    if label is None:
        return None
    if label.source == REFERENCE:
        return label if "reference" in section.labels else None
    likely = 0.0 if label.probability is None else label.probability
    return label if "weak" in section.labels and likely >= section.weak_at_least else None


def source_of(stored: StoredItem, label: Label) -> str:
    """Whose label it is: ``human``, ``reference`` or ``weak``."""
    if label is stored.label:
        return LABELLED_BY_PEOPLE
    return "reference" if label.source == REFERENCE else "weak"


def new_items(
    stored: Iterable[StoredItem], section: TrainingSection, kind: Kind, known: Mapping[str, Label]
) -> tuple[list[StoredItem], dict[str, int]]:
    """The items that a round could take, and why others cannot be used.

    An item that is an example already counts only where a person has since said something else.

    Args:
        stored: The items of the live queue.
        section: Which may be taken.
        kind: The kind of model.
        known: The labels of the examples, by id.
    """
    found, unused = [], Counter[str]()
    for one in stored:
        before = known.get(one.item.id)
        if before is not None and (one.label is None or one.label == before):
            continue
        reason = _unfit(one, section, kind)
        if reason:
            unused[reason] += 1
        else:
            found.append(one)
    return found, dict(unused)


def _unfit(one: StoredItem, section: TrainingSection, kind: Kind) -> str:
    if section.streams and one.item.stream not in section.streams:
        return OTHER_STREAM
    reason = kind.unfit(one.item)
    if reason:
        return reason
    asked = section.ask_reference and kind.asks_reference and "reference" in section.labels
    return "" if asked or label_of(one, section) is not None else NO_LABEL


def select(
    stored: Iterable[StoredItem],
    section: TrainingSection,
    kind: Kind,
    known: Mapping[str, Label],
    seed: int,
) -> Selected:
    """Choose the items of a round: first what people have labelled, then by the selection.

    BAL has no counts of fires here, so it chooses as in its first round.

    Args:
        stored: The items of the live queue.
        section: How many, and how.
        kind: The kind of model.
        known: The labels of the examples, by id.
        seed: Of the choice.
    """
    found, unused = new_items(stored, section, kind, known)
    people = [one.item for one in found if one.label is not None and "human" in section.labels]
    people = people[: section.items]
    taken = {one.id for one in people}
    rest = [one.item for one in found if one.item.id not in taken]
    left = section.items - len(people)
    reasons = Counter({LABELLED_BY_PEOPLE: len(people)})
    ids = [one.id for one in people]
    if section.select == EVERYTHING:
        ids += [one.id for one in rest[:left]]
        reasons[EVERYTHING] += min(len(rest), left)
    else:
        selector = SELECTORS[Selection(section.select)]
        choices = selector(rest, left, np.random.default_rng(seed), ())
        ids += [choice.item.id for choice in choices]
        reasons.update(choice.reason.value for choice in choices)
    return Selected(tuple(ids), {name: n for name, n in reasons.items() if n}, unused)
