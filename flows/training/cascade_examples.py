"""Examples for a cascade: whole frames as the live stage sees them, and what it takes over."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flows.trained import TrainedCascade, load_trained
from flows.training.kinds import UntrainableError
from flows.training.labelling import picture_of
from models.architecture import Architecture
from models.detectors.settings import AUTO

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from flows.training.examples import Example
    from flows.training.kinds import RoundData
    from models.certification import Contract
    from models.specialised import SpecialisedModel
    from operators.difference import DifferenceSettings
    from operators.predicate import Predicate
    from records import RetrainingItem

TRAINED = "specialised.safetensors"
"""The file in a round's folder that holds the new specialised model."""


@dataclass(frozen=True, slots=True)
class Origins:
    """What a new cascade takes over.

    Attributes:
        present: The version before; None without one.
        predicate: The question.
        difference: The difference detector that stands before the model; None for none.
        contract: What is to be kept.
        reference: The name of the reference detector.
    """

    present: TrainedCascade | None
    predicate: Predicate
    difference: DifferenceSettings | None
    contract: Contract
    reference: str

    @classmethod
    def of(cls, data: RoundData) -> Origins:
        """From the version before, else from the configuration.

        Raises:
            UntrainableError: neither tells of a question and a contract, or the configuration
                names another reference detector than the version before was trained on.
        """
        job, folder = data.job, data.parent_folder
        present = None if folder is None else load_trained(folder)
        model = job.configuration.detector.model
        if present is not None and model not in (AUTO, present.reference):
            raise UntrainableError(
                f"{job.name}@{data.parent} was trained on the answers of {present.reference}, "
                f"detector.model is {model}; train another model for that"
            )
        predicate = present.predicate if present else job.predicate()
        contract = job.contract() or (present.contract if present else None)
        if predicate is None or contract is None:
            raise UntrainableError(
                "a first version needs cascade.predicate and cascade.contract in the "
                "configuration, and one zone at most: name one stream in training.streams"
            )
        difference = present.plans[0].difference if present else job.difference()
        reference = present.reference if present else job.detector().name
        return cls(present, predicate, difference, contract, reference)

    @property
    def architecture(self) -> Architecture:
        """The shape of the model."""
        model = self.present.specialised if self.present else None
        return Architecture() if model is None else model.what.architecture

    @property
    def initial(self) -> SpecialisedModel | None:
        """The model that training goes on from."""
        return self.present.specialised if self.present else None


def whole_frames(examples: Sequence[Example]) -> list[Example]:
    """Those whose picture shows the largest part of the frame that any of their stream shows."""
    largest: dict[str, float] = defaultdict(float)
    for one in examples:
        largest[one.item.stream] = max(largest[one.item.stream], _area(one.item))
    return [one for one in examples if _area(one.item) == largest[one.item.stream]]


def _area(item: RetrainingItem) -> float:
    assert item.crop is not None
    assert item.crop.region is not None
    x1, y1, x2, y2 = item.crop.region
    return (x2 - x1) * (y2 - y1)


def squares_of(data: RoundData, examples: Sequence[Example], size: int) -> NDArray[np.uint8]:
    """The pictures as the live stage sees frames, uint8 (n, size, size, 3)."""
    found = np.empty((len(examples), size, size, 3), np.uint8)
    for place, one in enumerate(examples):
        assert one.item.crop is not None
        found[place] = picture_of(data.examples.crop(one), one.item.crop, size)
    return found


def counts_of(examples: Sequence[Example], predicate: Predicate) -> NDArray[np.int64]:
    """How many objects count in each, int64 (n,)."""
    boxes = [one.label.boxes for one in examples]
    return np.array([0 if one is None else predicate.count(one) for one in boxes], np.int64)
