"""The selections that commands and configurations know by name."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from operators.selection import select_random, select_uncertain, select_uniform
from operators.selection_bal import select_bal
from operators.selection_valuable import select_valuable

if TYPE_CHECKING:
    from operators.selection import Selector


class Selection(StrEnum):
    """How items of a retraining queue are chosen."""

    VALUABLE = "valuable"
    RANDOM = "random"
    UNCERTAINTY = "uncertainty"
    UNIFORM = "uniform"
    BAL = "bal"


SELECTORS: dict[Selection, Selector] = {
    Selection.VALUABLE: select_valuable,
    Selection.RANDOM: select_random,
    Selection.UNCERTAINTY: select_uncertain,
    Selection.UNIFORM: select_uniform,
    Selection.BAL: select_bal,
}
"""What chooses them."""
