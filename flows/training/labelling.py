"""The second step of a round: its items get their labels and become examples, one after another."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from connectors.kafka.pictures import CodedPixels
from flows.training.selecting import NO_LABEL, label_of, source_of
from records import Crop, Detections, Label, RecordError, SourceError
from records.retraining import PICTURE, REFERENCE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from connectors.queue import RetrainingQueue
    from connectors.queue_items import Entry, StoredItem
    from flows.training.kinds import Kind, RoundData
    from flows.training.process import Session
    from records import Detector

    Labelled = tuple[StoredItem, Label, str]
    """An item, its label, and whose that is."""

ASKED = "asked"
"""The source of labels for which the reference detector was asked in this round."""

GONE = "gone"
"""Why an item cannot be used: it has left the queue since it was chosen."""

DAMAGED = "damaged"
"""Why an item cannot be used: its picture or signal is damaged."""

NO_BUDGET = "no_budget"
"""Why an item cannot be used: the round's budget was used up before its turn."""

CHUNK = 64
"""So many labelled items are made examples at once; fewer would wait for the disk more often."""

Counts = tuple[dict[str, int], dict[str, int]]
"""How many items got a label, by its source; how many could not be used, by the reason."""


class Labelling:
    """The items of one round on their way to being examples.

    Args:
        data: The round.
        kind: The kind of model.
        session: What it asks while it works.
        queue: The live queue; only read.
    """

    def __init__(
        self, data: RoundData, kind: Kind, session: Session, queue: RetrainingQueue
    ) -> None:
        self._data, self._kind, self._session, self._queue = data, kind, session, queue
        self._section = data.job.section
        self._labels, self._unused = Counter[str](), Counter[str]()

    def run(self, ids: Sequence[str]) -> Counts:
        """Label the items; those that are examples already are done.

        Args:
            ids: The ids of the items, in order.

        Raises:
            TrainingStoppedError: the trainer is to end; what is labelled is safe.
            SightflowError: the queue cannot be read, or an example not be kept.
        """
        there = {one.item.id: one for one in self._queue.items()}
        known = self._data.examples.labels()
        asked: list[StoredItem] = []
        labelled: list[Labelled] = []
        for item_id in ids:
            one = there.get(item_id)
            label = None if one is None else label_of(one, self._section)
            if item_id in known and (label is None or label == known[item_id]):
                self._labels[self._source(one, known[item_id])] += 1
            elif one is None:
                self._unused[GONE] += 1
            elif label is None:
                asked.append(one)
            else:
                labelled.append((one, label, source_of(one, label)))
        for start in range(0, len(labelled), CHUNK):
            self._keep(labelled[start : start + CHUNK])
        self._ask(asked)
        self._data.examples.keep_newest(self._section.examples_at_most)
        return dict(self._labels), dict(self._unused)

    def _source(self, one: StoredItem | None, label: Label) -> str:
        """Whose label an example has that was made before this process began."""
        if one is not None and label in (one.label, one.item.label):
            return source_of(one, one.label if label == one.label else label)
        return ASKED if label.source == REFERENCE else "weak"

    def _keep(self, labelled: Sequence[Labelled]) -> None:
        entries: list[tuple[Entry, Label]] = []
        sources: dict[str, str] = {}
        for one, label, source in labelled:
            data = self._queue.crop(one.item.id)
            if data is None:
                self._unused[DAMAGED] += 1
            else:
                entries.append(((one.item, data), label))
                sources[one.item.id] = source
        refused = self._data.examples.add(entries, self._data.job.clock())
        self._unused.update(refused.values())
        self._labels.update(sources[item_id] for item_id in sources.keys() - refused.keys())

    def _ask(self, items: Sequence[StoredItem]) -> None:
        if not items:
            return
        if not (self._kind.asks_reference and self._section.ask_reference):
            self._unused[NO_LABEL] += len(items)
            return
        detector = self._data.job.detector()
        batch = self._data.job.configuration.detector.batch
        for start in range(0, len(items), batch):
            if self._session.enough():
                self._unused[NO_BUDGET] += len(items) - start
                return
            answers = self._answers(items[start : start + batch], detector)
            self._keep([(one, Label(REFERENCE, boxes=found), ASKED) for one, found in answers])
            self._data.tell("asking the reference detector", (start + batch) / len(items))
            self._session.check()

    def _answers(
        self, items: Sequence[StoredItem], detector: Detector
    ) -> Iterator[tuple[StoredItem, Detections]]:
        ready, images = [], []
        for one in items:
            data, crop = self._queue.crop(one.item.id), one.item.crop
            if data is None or crop is None:
                self._unused[DAMAGED] += 1
                continue
            try:
                images.append(picture_of(data, crop))
            except (RecordError, SourceError):
                self._unused[DAMAGED] += 1
                continue
            ready.append((one, crop))
        for (one, crop), found in zip(ready, detector.detect(images), strict=True):
            yield one, in_frame(found, crop)


def picture_of(data: bytes, crop: Crop, side: int | None = None) -> NDArray[np.uint8]:
    """The picture of an item, uint8 (height, width, 3), RGB, by the way that frames take.

    Args:
        data: The bytes of its crop.
        crop: What is known of them.
        side: Both sides, pixels; its own when None.

    Raises:
        RecordError: it is no picture.
        SourceError: it is damaged.
    """
    if crop.content_type != PICTURE:
        raise RecordError(f"the crop must be a picture ({PICTURE}), got {crop.content_type}")
    return CodedPixels(data, PICTURE).rgb(side, side)


def in_frame(found: Detections, crop: Crop) -> Detections:
    """What was found in a picture, boxes in pixels of the full frame.

    Raises:
        RecordError: the crop is no picture.

    >>> crop = Crop(PICTURE, "0" * 64, 1, width=64, height=48, region=(100.0, 50.0, 228.0, 146.0))
    >>> found = Detections.of([[10, 0, 32, 48]], [0.9], ["person"])
    >>> in_frame(found, crop).boxes.tolist()
    [[120.0, 50.0, 164.0, 146.0]]
    """
    if crop.region is None:
        raise RecordError("the crop must be a picture with its region, got a signal")
    x1, y1, x2, y2 = crop.region
    scale = np.array([(x2 - x1) / crop.width, (y2 - y1) / crop.height] * 2)
    boxes = found.boxes * scale + np.array([x1, y1, x1, y1])
    return replace(found, boxes=boxes.astype(np.float32))


def in_picture(there: Detections, crop: Crop) -> Detections:
    """What lies in the region of a picture, boxes in pixels of the picture and cut to it.

    Raises:
        RecordError: the crop is no picture.

    >>> crop = Crop(PICTURE, "0" * 64, 1, width=64, height=48, region=(100.0, 50.0, 228.0, 146.0))
    >>> there = Detections.of([[90, 50, 164, 146], [0, 0, 9, 9]], [0.9, 0.8], ["person", "car"])
    >>> in_picture(there, crop).boxes.tolist()
    [[0.0, 0.0, 32.0, 48.0]]
    """
    if crop.region is None:
        raise RecordError("the crop must be a picture with its region, got a signal")
    x1, y1, x2, y2 = crop.region
    size = np.array([crop.width, crop.height] * 2)
    boxes = (there.boxes - np.array([x1, y1, x1, y1])) * size / np.array([x2 - x1, y2 - y1] * 2)
    boxes = np.clip(boxes, 0, size).astype(np.float32)
    inside = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    return replace(there, boxes=boxes).select(inside)
