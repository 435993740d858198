"""Evaluation of a new cascade: thresholds from one held-out part, figures from another.

Thresholds are swept on the part for tuning, each example weighted by the inverse of its propensity.
On the part for judging, which nothing has seen, each rung of the ladder must reach the contract's
targets, and the cheapest is compared with the present version on the same examples. Only the
specialised stage is judged: single frames cannot tell what the difference detector saves, and it
stays as it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flows.evaluate.acceptance import RUNGS
from flows.trained import Certified, TrainedCascade, save_trained
from flows.training.cascade_examples import TRAINED, Origins, counts_of, squares_of, whole_frames
from flows.training.judging import Sample, in_words, shown_above
from flows.training.kinds import Evaluation, UntrainableError, examples_for
from flows.training.split import Part
from models.certification import accuracy_bounds, certify, event_blocks
from models.specialised import SpecialisedModel
from models.thresholds import ThresholdSweep
from operators.plan import REFERENCE, Band, Plan
from records import Origin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from flows.evaluate.optimise import Targets
    from flows.evaluate.replay_score import Ratio
    from flows.training.examples import Example
    from flows.training.kinds import Kind, RoundData
    from models.certification import Contract
    from models.registry import Metric

FEWEST_ANSWERS = 5
"""The part for tuning and that for judging each need so many frames of either answer."""


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """One held-out part.

    Attributes:
        examples: Its examples, n of them.
        squares: uint8 (n, size, size, 3).
        truth: bool (n,), whether the predicate holds.
        sample: What figures rest on.
    """

    examples: list[Example]
    squares: NDArray[np.uint8]
    truth: NDArray[np.bool_]
    sample: Sample


@dataclass(frozen=True, slots=True, eq=False)
class Answered:
    """What a plan says of a held-out part.

    Attributes:
        positive: bool (n,), its answers.
        referred: bool (n,), whether the reference detector gives them.
    """

    positive: NDArray[np.bool_]
    referred: NDArray[np.bool_]

    def ratios(self, part: HeldOut) -> dict[str, Ratio]:
        """How right it is, and what share the reference detector is spared."""
        sample, truth = part.sample, part.truth
        right = self.positive & truth
        return {
            "recall": sample.ratio(right, truth),
            "precision": sample.ratio(right, self.positive),
            "accuracy": sample.ratio(self.positive == truth),
            "spared": sample.ratio(~self.referred),
        }


def evaluate_cascade_round(kind: Kind, data: RoundData) -> Evaluation:
    """Judge the model of a round, and write the cascade that it makes.

    Args:
        kind: The kind.
        data: The round, with the model in its folder.

    Raises:
        UntrainableError: a held-out part has too few frames of either answer.
    """
    origins = Origins.of(data)
    model = SpecialisedModel.load(data.folder / TRAINED)
    tune, judge = (_held_out(kind, data, origins, one) for one in (Part.TUNE, Part.JUDGE))
    targets = data.job.targets(origins.contract)
    ladder = _ladder(model.score(tune.squares), tune, targets, origins)
    scores = model.score(judge.squares)
    # From the cheapest rung that keeps the targets on; those behind it are safer.
    while ladder and not _meets(_answers(ladder[0], scores, judge), judge, targets):
        ladder = ladder[1:]
    present = _answers(*_present(origins, judge), judge)
    before = judge.sample.figures(present.ratios(judge)) if origins.present else {}
    sha256 = str(model.what.provenance["data_sha256"])
    if not ladder:
        reason = "no plan keeps the contract's targets on held-out frames"
        return Evaluation(
            better=False, reason=reason, after={}, before=before, difference={}, data_sha256=sha256
        )
    ratios = _answers(ladder[0], scores, judge).ratios(judge)
    difference = judge.sample.compare(present.ratios(judge), ratios)
    kept = _meets(present, judge, targets)
    certified = _certified(ladder, scores, judge, data, origins.contract)
    save_trained(
        data.fresh_candidate(),
        TrainedCascade(
            origins.reference, origins.predicate, ladder, origins.contract, certified, model
        ),
    )
    return Evaluation(
        better=not kept or shown_above(difference["spared"]),
        reason=_reason(difference["spared"], kept=kept),
        after=judge.sample.figures(ratios),
        before=before,
        difference=difference,
        data_sha256=sha256,
    )


def _reason(spared: Metric, *, kept: bool) -> str:
    if not kept:
        return "it keeps the contract's targets on held-out frames, the present version does not"
    return f"it spares the reference detector more frames by a share of {in_words(spared)}"


def _held_out(kind: Kind, data: RoundData, origins: Origins, part: Part) -> HeldOut:
    examples = whole_frames(examples_for(data, kind, part))
    truth = counts_of(examples, origins.predicate) >= origins.predicate.at_least
    yes = int(truth.sum())
    if min(yes, len(truth) - yes) < FEWEST_ANSWERS:
        raise UntrainableError(
            f"the held-out part for {part.name.lower()} must have at least {FEWEST_ANSWERS} "
            f"frames of either answer, got {yes} yes and {len(truth) - yes} no. "
            "Let the queue fill, or shorten training.block_seconds"
        )
    sample = Sample.of(examples, data.split, origins.contract.confidence, data.seed)
    return HeldOut(examples, squares_of(data, examples, origins.architecture.size), truth, sample)


def _ladder(
    scores: NDArray[np.float32], tune: HeldOut, targets: Targets, origins: Origins
) -> tuple[Plan, ...]:
    """Plans that use up less and less of the allowed errors, cheapest first."""
    sweep = ThresholdSweep(scores, tune.truth, tune.sample.weights)
    plans = []
    for share in RUNGS:
        tight = targets.tightened(targets.margin * share)
        found = sweep.for_recall_precision(tight.recall, tight.precision)
        if found.referred < 1:
            band = Band(found.low, found.high)
            plans.append(Plan(difference=origins.difference, specialised=band))
    return tuple(dict.fromkeys(plans))


def _present(origins: Origins, judge: HeldOut) -> tuple[Plan, NDArray[np.float32]]:
    """The present version's cheapest plan and its scores; the reference alone without one."""
    present = origins.present
    model = None if present is None else present.specialised
    if present is None or model is None or present.plans[0].specialised is None:
        return REFERENCE, np.zeros(len(judge.truth), np.float32)
    return present.plans[0], model.score(judge.squares)


def _answers(plan: Plan, scores: NDArray[np.float32], judge: HeldOut) -> Answered:
    """What the specialised stage of a plan says; the reference detector is right."""
    band = plan.specialised
    if band is None:
        return Answered(judge.truth, np.ones(len(judge.truth), np.bool_))
    # As the cascade compares them: float32 scores, thresholds at full precision.
    wide = scores.astype(np.float64)
    referred = (wide >= band.low) & (wide <= band.high)
    return Answered(np.where(referred, judge.truth, wide > band.high), referred)


def _meets(answered: Answered, judge: HeldOut, targets: Targets) -> bool:
    ratios = answered.ratios(judge)
    found = {name: ratios[name].value for name in ("recall", "precision")}
    # Without a positive, or without a reported frame, nothing was missed.
    return not (found["recall"] < targets.recall or found["precision"] < targets.precision)


def _certified(
    ladder: Sequence[Plan],
    scores: NDArray[np.float32],
    judge: HeldOut,
    data: RoundData,
    contract: Contract,
) -> Certified:
    """What can be proven on the random share alone: its frames are drawn like the stream's."""
    items = [one.item for one in judge.examples]
    drawn = np.array([Origin.RANDOM in one.origins for one in items], np.bool_)
    order = np.argsort(np.array([one.time_ns for one in items], np.int64), kind="stable")
    order = order[drawn[order]]
    if not len(order):
        return Certified(None, 0.0, 0.0, 0)
    truth = judge.truth[order]
    times = np.array([items[k].time_ns for k in order.tolist()], np.int64)
    blocks = event_blocks(truth, times, data.job.section.block_seconds)
    answers = [_answers(plan, scores, judge).positive[order] for plan in ladder]
    found = certify(answers, truth, blocks, contract, seed=data.seed)
    low = accuracy_bounds(answers[found.chosen or 0], truth, blocks, contract.confidence, data.seed)
    return Certified(found.chosen, *low, len(blocks.starts))
