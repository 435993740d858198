"""Reading labels: what comes back from a tool is matched to items, checked, and told by place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from connectors.codec_fields import MOST_BOXES, shown
from connectors.labels.exchange import clipped, picture_crop, to_frame
from records import Detections, Label, RecordError
from records.checks import check_name
from records.retraining import HUMAN

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from records import Crop, RetrainingItem
    from records.finding import Box

EDGE_PIXELS = 1.0
"""Corners that lie this far outside the picture are moved to its edge: tools round."""

FARTHEST_PIXELS = 1e6
"""Corners beyond this are no coordinates."""


def is_coordinate(value: object) -> bool:
    """Whether this is a number that may be a coordinate; what is beyond could overflow."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return abs(value) <= FARTHEST_PIXELS


@dataclass(frozen=True, slots=True)
class ImportSettings:
    """How labels are read.

    Attributes:
        classes: The classes that labels may have, at least one.
        empty: Whether a picture without boxes says that nothing is there; else it counts as not
            labelled. Label Studio says itself which pictures were labelled.
        accept_auto: Whether boxes that CVAT calls ``auto``, which nobody has touched, count as
            confirmed; else their pictures are refused.

    Raises:
        RecordError: a class is no name, or there is none.
    """

    classes: tuple[str, ...]
    empty: bool = False
    accept_auto: bool = False

    def __post_init__(self) -> None:
        if not self.classes:
            raise RecordError("classes must be at least one, got none")
        for name in self.classes:
            check_name("a class", name)


@dataclass(frozen=True, slots=True)
class Refusal:
    """One thing in a file that cannot be a label.

    Attributes:
        place: Where it stands.
        problem: What must be, what was got.
    """

    place: str
    problem: str


@dataclass(frozen=True, slots=True)
class Imported:
    """What was read.

    Attributes:
        labels: The label of each item, by its id; boxes in pixels of the full frame.
        unlabelled: The ids of the items in the files that nobody has labelled.
        refused: What was wrong.
    """

    labels: Mapping[str, Label]
    unlabelled: tuple[str, ...]
    refused: tuple[Refusal, ...]


class Reader:
    """Gathers the labels of items while a file is read, and refuses what cannot be.

    Args:
        known: The items that labels may be for.
        settings: How labels are read.
    """

    def __init__(self, known: Iterable[RetrainingItem], settings: ImportSettings) -> None:
        self.settings = settings
        self._classes = ", ".join(settings.classes)
        self._by_name = {one.name: one for one in known}
        self._by_id = {one.id: one for one in self._by_name.values()}
        self._boxes: dict[str, list[tuple[Box, str]]] = {}
        self._labels: dict[str, Label] = {}
        self._bad: set[str] = set()
        self._refused: list[Refusal] = []

    def refuse(self, place: str, problem: str, item: RetrainingItem | None = None) -> None:
        """Refuse what stands at `place`, and with it all of `item`."""
        self._refused.append(Refusal(place, problem))
        if item is not None:
            self._bad.add(item.id)

    def named(self, place: str, name: object) -> RetrainingItem | None:
        """The item of a picture's file name, which begins its labels; None when refused."""
        base = str(name).replace("\\", "/").rpartition("/")[2]
        item = self._by_name.get(base.rpartition(".")[0] or base)
        return self._begin(place, item, f"must be the picture of an item, got {shown(name)}")

    def identified(self, place: str, item_id: object) -> RetrainingItem | None:
        """The item of this id, which begins its labels; None when refused."""
        item = self._by_id.get(item_id) if isinstance(item_id, str) else None
        return self._begin(place, item, f"must be the id of an item, got {shown(item_id)}")

    def _begin(
        self, place: str, item: RetrainingItem | None, problem: str
    ) -> RetrainingItem | None:
        if item is None:
            self.refuse(place, problem)
        elif item.id in self._boxes:
            self.refuse(place, f"must be labelled once, got {item.id} again", item)
        else:
            self._boxes[item.id] = []
        return item

    def size(self, place: str, item: RetrainingItem, width: object, height: object) -> None:
        """Check the size that a file tells of a picture."""
        crop = picture_crop(item)
        if crop is not None and (width, height) != (crop.width, crop.height):
            self.refuse(
                place,
                f"must be {crop.width} x {crop.height} pixels, got {shown(width)} x "
                f"{shown(height)}",
                item,
            )

    def box(self, place: str, item: RetrainingItem, name: object, corners: Sequence[Any]) -> None:
        """Take one box, corners x1, y1, x2, y2 in pixels of the picture."""
        crop = picture_crop(item)
        problem = "must be a class, as the item has no picture"
        if crop is not None:
            problem = self._box_problem(crop, name, corners)
        if not problem and len(self._boxes[item.id]) >= MOST_BOXES:
            problem = f"must be at most {MOST_BOXES} boxes in a picture"
        if problem:
            self.refuse(place, problem, item)
            return
        assert crop is not None
        self._boxes[item.id].append((to_frame(crop, corners), str(name)))

    def _box_problem(self, crop: Crop, name: object, corners: Sequence[Any]) -> str:
        if name not in self.settings.classes:
            return f"must be one of the classes {self._classes}, got {shown(name)}"
        if not all(map(is_coordinate, corners)):
            return f"must have corners in pixels, got {shown(list(corners))}"
        x1, y1, x2, y2 = clipped(crop, corners)
        outside = max(abs(a - b) for a, b in zip((x1, y1, x2, y2), corners, strict=True))
        if outside > EDGE_PIXELS or not (x1 < x2 and y1 < y2):
            return (
                f"must lie in the picture of {crop.width} x {crop.height} pixels and have an "
                f"area, got {shown(list(corners))}"
            )
        return ""

    def window(self, place: str, item: RetrainingItem, name: object) -> None:
        """Take the class of a window."""
        if picture_crop(item) is not None or name not in self.settings.classes:
            wanted = f"must be one of the classes {self._classes} for a signal"
            self.refuse(place, f"{wanted}, got {shown(name)}", item)
        elif item.id in self._labels:
            self.refuse(place, f"must be one class, got {shown(name)} as well", item)
        else:
            self._labels[item.id] = Label(HUMAN, class_name=str(name))

    def labelled_empty(self, item: RetrainingItem) -> None:
        """Note that a person said that nothing is in a picture."""
        self._labels[item.id] = Label(HUMAN, boxes=Detections.empty())

    def finish(self) -> Imported:
        """What was read."""
        labels, unlabelled = {}, []
        for item_id, boxes in self._boxes.items():
            if item_id in self._bad:
                continue
            if boxes:
                corners, names = zip(*boxes, strict=True)
                found = Detections.of(corners, [1.0] * len(corners), names)
                labels[item_id] = Label(HUMAN, boxes=found)
            elif item_id in self._labels:
                labels[item_id] = self._labels[item_id]
            elif self.settings.empty and picture_crop(self._by_id[item_id]) is not None:
                labels[item_id] = Label(HUMAN, boxes=Detections.empty())
            else:
                unlabelled.append(item_id)
        return Imported(labels, tuple(unlabelled), tuple(self._refused))
