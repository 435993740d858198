"""A round for a cascade: a specialised model from labelled frames, and thresholds for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.training.cascade_evaluation import evaluate_cascade_round
from flows.training.cascade_examples import (
    TRAINED,
    Origins,
    counts_of,
    squares_of,
    whole_frames,
)
from flows.training.kinds import UntrainableError, checkpoint_of, training_examples
from flows.training.planning import planning_of
from models.registry import ModelKind
from models.training import TrainSettings, train_specialised
from records import RecordError
from records.retraining import PICTURE

if TYPE_CHECKING:
    from flows.training.kinds import Evaluation, RoundData
    from flows.training.process import Session
    from records import RetrainingItem

NO_PICTURE = "no_picture"
"""Why an item cannot be used: no picture is kept beside it."""

PART_OF_FRAME = "part_of_frame"
"""Why an item cannot be used: its picture does not show the whole frame."""

LONGEST_TRAINING = 30 * 86_400.0
"""The round's budget ends a training, not the training's own limit, seconds."""


class CascadeKind:
    """Cascades of a specialised model and the reference detector."""

    model_kind = ModelKind.CASCADE
    asks_reference = True

    def unfit(self, item: RetrainingItem) -> str:
        """Why an item cannot be used; empty when it can."""
        crop = item.crop
        if crop is None or crop.content_type != PICTURE or crop.region is None:
            return NO_PICTURE
        # The live stage sees whole frames, so it must learn from whole frames.
        return PART_OF_FRAME if crop.region[:2] != (0.0, 0.0) else ""

    def train(self, data: RoundData, session: Session) -> None:
        """Train the specialised model, from the version before on where it has the same shape."""
        origins = Origins.of(data)
        examples = whole_frames(training_examples(data, self))
        squares = squares_of(data, examples, origins.architecture.size)
        section, at_least = data.job.section, origins.predicate.at_least
        initial = origins.initial
        if initial is not None and initial.what.most_counted != at_least:
            initial = None
        settings = TrainSettings(
            architecture=origins.architecture,
            most_counted=at_least,
            at_least=at_least,
            seconds=LONGEST_TRAINING,
            threads=section.threads,
            seed=data.seed,
        )

        def progress(share: float, loss: float) -> None:
            data.tell(f"training, validation loss {loss:.3f}", share)
            session.check()

        try:
            model = train_specialised(
                squares,
                counts_of(examples, origins.predicate),
                settings,
                progress,
                predicate=str(origins.predicate),
                parent="" if data.parent is None else f"{data.job.name}@{data.parent}",
                initial=initial,
                checkpoint=checkpoint_of(data),
                enough=session.enough,
                planning=planning_of(data),
            )
        except RecordError as error:
            raise UntrainableError(f"the examples for training do not do: {error}") from error
        model.save(data.folder / TRAINED)

    def evaluate(self, data: RoundData) -> Evaluation:
        """Tune thresholds, judge the plans beside the present version, and write the cascade."""
        return evaluate_cascade_round(self, data)
