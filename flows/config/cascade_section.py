"""The sections of a cascade: its stages, its question and its contract."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from flows.config.section import Count, PositiveSeconds, Section, Share, Text
from operators.audit import MOST_RECENT
from operators.cascade import TrialSettings
from operators.difference import MOST_BLOCKS, MOST_PIXELS_A_SIDE
from operators.images import LARGEST_ERROR
from operators.plan import LARGEST_STRIDE

Target = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]


class DifferenceSection(Section):
    """The difference detector."""

    threshold: float = Field(
        5.0,
        ge=0,
        le=LARGEST_ERROR,
        allow_inf_nan=False,
        description="Ask the next stage when the mean squared error is above this, squared grey "
        "levels.",
    )
    width: Count = Field(96, le=MOST_PIXELS_A_SIDE, description="Width compared, pixels.")
    height: Count = Field(72, le=MOST_PIXELS_A_SIDE, description="Height compared, pixels.")
    hold_seconds: PositiveSeconds | None = Field(
        5.0, description="Ask at the latest after this long, seconds; null = never."
    )
    against: Literal["fired", "earlier", "background"] = Field(
        "fired",
        description="What a frame is compared with: the last frame that fired, the frame some "
        "seconds earlier, or the average of frames known to be empty (needs a predicate).",
    )
    earlier_seconds: PositiveSeconds = Field(
        1.0, description="With earlier: how much earlier, seconds."
    )
    background_rate: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = Field(
        0.05, description="With background: the share of a new empty frame in the average, 0..1."
    )
    blocks: int = Field(
        0,
        ge=0,
        le=MOST_BLOCKS,
        description="Compare a grid of so many blocks a side, and take the largest; 0 = the whole.",
    )
    exposure: bool = Field(
        default=False,
        description="Match brightness and contrast first, so that a jump of the exposure does not "
        "ask.",
    )


class PredicateSection(Section):
    """The yes-or-no question that the cascade answers for every frame."""

    class_name: Text = Field(alias="class", description="The class that is counted.")
    at_least: Count = Field(1, description="The count from which the answer is yes.")
    score_at_least: Share = Field(0.0, description="Only boxes with this score count, 0..1.")


class ContractSection(Section):
    """What the answers must reach against the reference detector, and how that is watched."""

    recall: Target = Field(description="Least share of the yes frames that are reported, 0..1.")
    precision: Target = Field(description="Least share of the reported frames that are yes, 0..1.")
    confidence: Target = Field(0.95, description="Of certificates and of the audit's intervals.")
    audit_seconds: PositiveSeconds = Field(
        10.0, description="One frame in each such span goes to the reference detector, seconds."
    )
    false_alarm: Target = Field(
        0.05, description="The most that the probability of ever raising a false alarm may be."
    )
    recent: Count = Field(
        200, le=MOST_RECENT, description="Audited frames that the recent share covers."
    )
    seed: int = Field(0, ge=0, description="Of the frames that the audit draws.")
    start: Literal["certified", "tuned"] = Field(
        "certified",
        description="Begin with the cheapest certified plan (the reference detector alone when "
        "none is), or with the cheapest tuned one, trusting the audit.",
    )
    trial_seconds: PositiveSeconds | None = Field(
        TrialSettings().seconds,
        description="While the reference detector decides alone, plans are certified on so many "
        "seconds of frames at a time; null = never.",
    )
    block_seconds: PositiveSeconds = Field(
        60.0, description="The shortest block of time that certification counts as one, seconds."
    )


class CascadeSection(Section):
    """Which stages stand before the reference detector."""

    difference: DifferenceSection | None = Field(
        default_factory=DifferenceSection,
        description="The difference detector; null = none.",
    )
    stride: Count = Field(
        1,
        le=LARGEST_STRIDE,
        description="Look at every so many frames only; the others take the last answer.",
    )
    predicate: PredicateSection | None = Field(
        None, description="The yes-or-no question; null = none."
    )
    trained: Text | None = Field(
        None,
        description="A folder that 'sightflow evaluate cascade --save' wrote: its plans, models "
        "and question stand for difference, stride and predicate. Or registry:NAME, a model of "
        "models.directory: its versions change while the flow runs. With predicate and contract it "
        "may begin with the reference detector alone, before there is a version.",
    )
    contract: ContractSection | None = Field(
        None, description="The accuracy that is promised, audited and kept; null = none."
    )
