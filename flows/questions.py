"""What a configuration itself says of a cascade: its question and its difference detector."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from operators.difference import DifferenceSettings
from operators.predicate import Predicate

if TYPE_CHECKING:
    from flows.config import CascadeSection, StreamSection


def plain_difference(section: CascadeSection) -> DifferenceSettings | None:
    """The difference detector of the configuration; None without one."""
    if section.difference is None:
        return None
    values = section.difference.model_dump()
    hold = section.difference.hold_seconds
    return DifferenceSettings(**{**values, "hold_seconds": math.inf if hold is None else hold})


def predicate_of(section: CascadeSection, stream: StreamSection | None) -> Predicate | None:
    """The question of the configuration, in the zone of a stream; None without one."""
    asked = section.predicate
    if asked is None:
        return None
    zone = () if stream is None or stream.zone is None else tuple((x, y) for x, y in stream.zone)
    return Predicate(asked.class_name, asked.at_least, zone, asked.score_at_least)
