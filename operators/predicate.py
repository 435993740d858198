"""Predicates: the yes-or-no question that a cascade answers for every frame.

"At least k objects of a class, in a zone": NoScope (Kang et al., VLDB 2017) asks it with k = 1 and
no zone. An object is in the zone when the middle of its lower edge is, where it stands.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from records import RecordError
from records.checks import check_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from records import Detections

FEWEST_CORNERS = 3
"""A zone needs this many corners."""


@dataclass(frozen=True, slots=True)
class Predicate:
    """The question.

    Attributes:
        class_name: The class that is counted.
        at_least: The count from which the answer is yes.
        zone: The corners of a polygon, (x, y) in pixels of the full frame; empty for all of it.
        score_at_least: Only boxes with this score count, 0..1.

    Raises:
        RecordError: a field is out of its range.

    >>> from records import Detections
    >>> two = Detections.of([[0, 0, 10, 20], [50, 0, 60, 20]], [0.9, 0.9], ["car", "car"])
    >>> Predicate("car", at_least=2).holds(two)
    True
    >>> Predicate("car", at_least=2, zone=((0, 0), (30, 0), (30, 30), (0, 30))).holds(two)
    False
    """

    class_name: str
    at_least: int = 1
    zone: tuple[tuple[float, float], ...] = ()
    score_at_least: float = 0.0

    def __post_init__(self) -> None:
        check_name("class_name", self.class_name)
        if self.at_least < 1:
            raise RecordError(f"at_least must be at least 1, got {self.at_least}")
        if not 0 <= self.score_at_least <= 1:
            raise RecordError(f"score_at_least must be in 0..1, got {self.score_at_least}")
        if self.zone and len(self.zone) < FEWEST_CORNERS:
            raise RecordError(
                f"zone must have at least {FEWEST_CORNERS} corners, got {len(self.zone)}"
            )
        if not np.isfinite(np.array(self.zone, dtype=np.float64)).all():
            raise RecordError("zone must have finite corners")

    def count(self, answer: Detections) -> int:
        """How many objects count."""
        if self.class_name not in answer.class_names:
            return 0
        wanted = answer.class_ids == answer.class_names.index(self.class_name)
        wanted &= answer.scores >= self.score_at_least
        boxes = answer.boxes[wanted]
        if not self.zone:
            return len(boxes)
        corners = np.array(self.zone, dtype=np.float32)
        feet = np.stack([(boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 3]], axis=1)
        return sum(
            cv2.pointPolygonTest(corners, (float(x), float(y)), measureDist=False) >= 0
            for x, y in feet
        )

    def holds(self, answer: Detections) -> bool:
        """Whether the answer is yes."""
        return self.count(answer) >= self.at_least

    def to_json(self) -> dict[str, Any]:
        """The predicate as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Predicate:
        """The predicate of `to_json`'s values.

        Raises:
            RecordError: they are no predicate.

        >>> Predicate.from_json(Predicate("car", 2).to_json())
        Predicate(class_name='car', at_least=2, zone=(), score_at_least=0.0)
        """
        try:
            zone = tuple((float(x), float(y)) for x, y in value["zone"])
            return cls(**{**value, "zone": zone})
        except (KeyError, TypeError, ValueError) as error:
            raise RecordError(f"no predicate: {error}") from error

    def __str__(self) -> str:
        where = " in the zone" if self.zone else ""
        return f"at least {self.at_least} of class {self.class_name}{where}"
