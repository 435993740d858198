"""Which objects a query's filters let through."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from operators.predicate import Predicate
from records import QueryError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from flows.query.contents import Contents
    from flows.query.model import Filters
    from records import Detections

    Zones = Mapping[str, tuple[tuple[float, float], ...]]
    """Polygons by name, corners (x, y) in pixels."""


def corners(zone: str | None, zones: Zones) -> tuple[tuple[float, float], ...]:
    """The corners (x, y) of a zone, in pixels; none where no zone is named.

    Raises:
        QueryError: there is no zone of that name.
    """
    if zone is None:
        return ()
    if zone not in zones:
        known = ", ".join(sorted(zones)) or "none; say --zone NAME=x1,y1,x2,y2,x3,y3"
        raise QueryError(f"there is no zone {zone!r}; there is: {known}")
    return tuple(zones[zone])


def matcher(filters: Filters, zones: Zones) -> Callable[[Detections], NDArray[np.bool_]]:
    """The function that says which objects of an answer match, bool (n,).

    Args:
        filters: What counts; its contents are not looked at.
        zones: The zones there are.

    Raises:
        QueryError: the filters name a zone that there is not.
    """
    zone = corners(filters.zone, zones)

    def match(answer: Detections) -> NDArray[np.bool_]:
        classes = np.array(answer.classes, dtype=np.str_)
        good = np.ones(len(answer), dtype=np.bool_)
        if filters.classes:
            good &= np.isin(classes, filters.classes)
        for name, one in filters.boxes.items():
            values = _box_values(name, answer)
            good &= np.array([one.holds(float(value)) for value in values], dtype=np.bool_)
        if zone:
            inside = [_inside(answer, place, zone) for place in range(len(answer))]
            good &= np.array(inside, dtype=np.bool_)
        return good

    return match


def _box_values(name: str, answer: Detections) -> NDArray[np.float32]:
    boxes = answer.boxes
    if name == "score":
        return answer.scores
    if name == "area":
        return np.asarray((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
    return boxes[:, ("xmin", "ymin", "xmax", "ymax").index(name)]


def _inside(answer: Detections, place: int, zone: tuple[tuple[float, float], ...]) -> bool:
    one = answer.select(np.array([place]))
    return Predicate(answer.classes[place], zone=zone).holds(one)


def content_holds(filters: Filters, crop: NDArray[np.uint8], functions: Contents) -> bool:
    """Whether an object's pixels pass the filters.

    Args:
        filters: What counts; only its contents are looked at.
        crop: uint8 (height, width, 3), the pixels of its box.
        functions: The functions that the filters name.

    Raises:
        QueryError: a function of the user's fails.
    """
    if not crop.size:
        return False
    return all(one.holds(functions[name](crop)) for name, one in filters.contents.items())
