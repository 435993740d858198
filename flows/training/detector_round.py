"""A round for a detector: the head of a YOLOX is fine-tuned on labelled pictures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import structlog

from flows.evaluate.replay_score import Ratio, matches
from flows.model_reference import REGISTRY
from flows.training.judging import Sample, in_words, shown_above
from flows.training.kinds import (
    CANDIDATE,
    CHECKPOINT,
    Evaluation,
    UntrainableError,
    examples_for,
    training_examples,
)
from flows.training.labelling import in_picture, picture_of
from flows.training.split import Part
from models.detectors import DetectorSettings, load_detector
from models.detectors.head import HeadModel
from models.detectors.head_checkpoint import HeadCheckpoint
from models.detectors.head_settings import HeadTrainSettings
from models.detectors.head_training import train_head
from models.detectors.onnx import YoloxDetector
from models.detectors.settings import AUTO, YOLOX_NANO
from models.registry import ModelKind
from records import DetectorError, RecordError
from records.retraining import PICTURE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from flows.training.examples import Example
    from flows.training.kinds import RoundData
    from flows.training.process import Session
    from models.detectors.head_checkpoint import HeadProgress
    from records import Detections, Detector, RetrainingItem

    Pictures = list[tuple[NDArray[np.uint8], Detections]]

HEAD = "head.safetensors"
"""The file of a version that holds the head."""

NO_PICTURE = "no_picture"
"""Why an item cannot be used: no picture is kept beside it."""

JUDGED_SCORE = 0.3
"""Boxes of at least this score are compared with the labels."""

CONFIDENCE = 0.95
"""Of the intervals of figures."""

FEWEST_JUDGED = 10
"""The held-out part needs so many pictures."""

CHECKPOINT_STEPS = 20
"""A checkpoint is written after so many steps."""

_log = structlog.get_logger()


class DetectorKind:
    """Heads of YOLOX detectors."""

    model_kind = ModelKind.DETECTOR
    asks_reference = False  # it is the reference detector that learns here

    def unfit(self, item: RetrainingItem) -> str:
        """Why an item cannot be used; empty when it can."""
        crop = item.crop
        return "" if crop is not None and crop.content_type == PICTURE else NO_PICTURE

    def train(self, data: RoundData, session: Session) -> None:
        """Fine-tune the head, from the version before on."""
        pictures = pictures_of(data, training_examples(data, self))
        section = data.job.section
        settings = HeadTrainSettings(threads=section.threads, seed=data.seed)
        path = data.folder / f"{CHECKPOINT}.safetensors"

        def progress(at: HeadProgress) -> None:
            if session.enough():
                raise UntrainableError(
                    f"the budget was used up after {at.step} of {at.steps} steps; raise "
                    "training.seconds or training.joules"
                )
            if at.step % CHECKPOINT_STEPS == 0:
                at.checkpoint().save(path)
                data.tell(f"training, loss {at.loss:.3f}", at.step / at.steps)
                session.check()

        try:
            model = train_head(
                base_detector(data), pictures, settings, progress, present_head(data),
                resume=_checkpoint(path),
            )  # fmt: skip
        except RecordError as error:
            raise UntrainableError(f"the examples for training do not do: {error}") from error
        model.save(data.fresh_candidate() / HEAD)

    def evaluate(self, data: RoundData) -> Evaluation:
        """Compare the new head with the present detector on pictures that neither has seen."""
        model = HeadModel.load(data.folder / CANDIDATE / HEAD)
        held = [*examples_for(data, self, Part.TUNE), *examples_for(data, self, Part.JUDGE)]
        if len(held) < FEWEST_JUDGED:
            raise UntrainableError(
                f"the held-out part must have at least {FEWEST_JUDGED} labelled pictures, got "
                f"{len(held)}. Let the queue fill, or shorten training.block_seconds"
            )
        pictures = pictures_of(data, held)
        sample = Sample.of(held, data.split, CONFIDENCE, data.seed)
        settings = replace(
            base_settings(data), score_at_least=JUDGED_SCORE, classes=model.what.classes
        )
        present = present_head(data)
        ratios = _Judged(pictures, sample).ratios(model.detector(settings))
        before = _Judged(pictures, sample).ratios(
            load_detector(settings) if present is None else present.detector(settings)
        )
        difference = sample.compare(before, ratios)
        return Evaluation(
            better=shown_above(difference.get("f1")),
            reason="F1 of boxes is above the present detector's by "
            + (in_words(difference["f1"]) if "f1" in difference else "nothing: there is no box"),
            after=sample.figures(ratios),
            before=sample.figures(before),
            difference=difference,
            data_sha256=str(model.what.provenance["data_sha256"]),
        )


@dataclass(frozen=True, slots=True)
class _Judged:
    """Held-out pictures that detectors are judged on."""

    pictures: Pictures
    sample: Sample

    def ratios(self, detector: Detector) -> dict[str, Ratio]:
        """How many boxes of its classes it finds, and how many of its boxes are right."""
        kept = set(detector.class_names)
        hits, found, there = np.zeros((3, len(self.pictures)))
        for place, (picture, truth) in enumerate(self.pictures):
            (answer,) = detector.detect([picture])
            for name in kept & {*truth.classes, *answer.classes}:
                boxes = [one.boxes[np.array(one.classes) == name] for one in (answer, truth)]
                hits[place] += matches(*boxes)
                found[place] += len(boxes[0])
                there[place] += len(boxes[1])
        weights = self.sample.weights
        return {
            "recall": Ratio(weights * hits, weights * there),
            "precision": Ratio(weights * hits, weights * found),
            "f1": Ratio(weights * 2 * hits, weights * (found + there)),
        }


def base_settings(data: RoundData) -> DetectorSettings:
    """How the detector runs whose head is trained: the configuration's, else the published one.

    Raises:
        UntrainableError: the configuration names a detector whose head cannot be trained.
    """
    section = data.job.configuration.detector
    if section.model not in (AUTO, YOLOX_NANO):
        raise UntrainableError(
            f"detector.model must be {YOLOX_NANO} to be trained, got {section.model}"
        )
    own = section.weights is not None and not section.weights.startswith(REGISTRY)
    weights = str(data.job.folder / str(section.weights)) if own else None
    threads = data.job.section.threads
    return DetectorSettings(YOLOX_NANO, weights=weights, device="cpu", threads=threads)


def base_detector(data: RoundData) -> YoloxDetector:
    """The detector whose head is trained."""
    loaded = load_detector(base_settings(data))
    assert isinstance(loaded, YoloxDetector)
    return loaded


def present_head(data: RoundData) -> HeadModel | None:
    """The version before; None without one."""
    folder = data.parent_folder
    return None if folder is None else HeadModel.load(folder / HEAD)


def pictures_of(data: RoundData, examples: Sequence[Example]) -> Pictures:
    """The pictures of examples, with their labels in pixels of the pictures."""
    found: Pictures = []
    for one in examples:
        assert one.item.crop is not None
        if one.label.boxes is not None:
            picture = picture_of(data.examples.crop(one), one.item.crop)
            found.append((picture, in_picture(one.label.boxes, one.item.crop)))
    return found


def _checkpoint(path: Path) -> HeadCheckpoint | None:
    """The checkpoint to go on from; one that a kill has damaged is told of and not used."""
    if not path.is_file():
        return None
    try:
        return HeadCheckpoint.load(path)
    except DetectorError as error:
        _log.warning("training begins anew", reason=str(error))
        return None
