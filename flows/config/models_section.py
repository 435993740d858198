"""The section of a configuration about the registry: models that change while the flow runs."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from flows.config.section import Count, PositiveSeconds, Seconds, Section, Share, Text
from operators.cascade_settings import ShadowSettings

_DEFAULTS = ShadowSettings()


class ShadowSection(Section):
    """How a candidate is tried on live input before it is promoted."""

    least_audited: Count = Field(
        _DEFAULTS.least_audited,
        description="Cascades: the fewest audited frames that a judgement rests on.",
    )
    most_seconds: PositiveSeconds = Field(
        _DEFAULTS.most_seconds,
        description="Cascades: a candidate that is not proven good by then has failed, seconds of "
        "event time.",
    )
    confidence: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)] = Field(
        _DEFAULTS.confidence, description="Cascades: of the bounds that a judgement rests on."
    )
    worse_by: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)] = Field(
        _DEFAULTS.worse_by,
        description="Cascades: how much less often than the present version the candidate may be "
        "right, as a share of the frames on which one of both or the reference says yes.",
    )
    quorum: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = Field(
        1.0, description="Cascades: the share of their streams on which a candidate must pass."
    )
    every: Count = Field(
        20, description="Detectors and classifiers: the candidate runs on one call in so many."
    )
    least_compared: Count = Field(
        200,
        description="Detectors and classifiers: images or windows that a judgement rests on.",
    )
    least_agreement: Share = Field(
        0.8,
        description="Detectors and classifiers: least agreement with the present version, 0..1.",
    )
    at_most_slower: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(
        1.5,
        description="Detectors and classifiers: the candidate may take so many times as long as "
        "the present version.",
    )


class ModelsSection(Section):
    """The model registry. What 'registry:NAME' refers to changes while the flow runs."""

    directory: Text = Field(
        "models",
        description="The registry's folder. A relative path counts from the configuration file's "
        "folder.",
    )
    poll_seconds: PositiveSeconds = Field(
        1.0, description="How often the registry is looked at, seconds."
    )
    shadow: ShadowSection | None = Field(
        default_factory=ShadowSection,
        description="How candidates are tried, promoted and rejected; null = never.",
    )
    rollback: bool = Field(
        default=True,
        description="Whether a promoted cascade is rolled back when its audit gets worse.",
    )
    probation_seconds: Seconds = Field(
        3600.0,
        description="For so long after a swap the audit is compared with that before it, seconds "
        "of event time.",
    )
