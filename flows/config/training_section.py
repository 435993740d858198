"""The section of a configuration about training in the background: `sightflow train`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from flows.config.section import Count, PositiveSeconds, Section, Share, Text

SelectionName = Literal["valuable", "random", "uncertainty", "uniform", "bal", "all"]
"""How items are chosen; ``all`` takes every one."""

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class TrainingSection(Section):
    """A model of the registry that is trained anew from the retraining queue, beside the flow."""

    model: Text = Field(description="The model's name in the registry.")
    kind: Literal["cascade", "ecg", "detector"] = Field(description="What is trained.")
    queue: Text | None = Field(
        None, description="The retraining queue, a file; null = that of the section retraining."
    )
    streams: list[Text] = Field([], description="Items of these streams; of all when empty.")
    every_seconds: PositiveSeconds | None = Field(
        None, description="A round begins so long after the last began, seconds; null = never."
    )
    queue_items: Count | None = Field(
        100, description="A round begins when the queue holds so many new items; null = never."
    )
    on_alarm: bool = Field(
        default=True, description="A round begins when the flow's contract is broken."
    )
    select: SelectionName = Field("valuable", description="How items are chosen from the queue.")
    items: Count = Field(200, le=100_000, description="The most items that a round adds.")
    labels: list[Literal["human", "reference", "weak"]] = Field(
        ["human", "reference"], min_length=1, description="Whose labels are trained on."
    )
    weak_at_least: Share = Field(
        0.8,
        description="Weak labels count that are right with at least this probability, 0..1; with 0 "
        "also those whose probability is not known.",
    )
    ask_reference: bool = Field(
        default=True,
        description="Ask the reference detector about the pictures of items without a label.",
    )
    rehearsal: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = Field(
        3.0,
        description="Examples of earlier rounds trained on beside each new one, so that what they "
        "taught is not forgotten; null = all of them.",
    )
    examples_at_most: Count = Field(20_000, description="The examples kept for later rounds.")
    held_out_share: Annotated[float, Field(ge=0.1, le=0.8)] = Field(
        0.4, description="Share of the blocks of time that no training sees, 0.1..0.8."
    )
    block_seconds: PositiveSeconds = Field(
        60.0, description="Length of those blocks, seconds of event time."
    )
    margin: Share = Field(
        0.5, description="Share of the contract's allowed errors that a plan may use up, 0..1."
    )
    seconds: PositiveSeconds = Field(
        600.0, description="The most work of one round, seconds; waiting for the flow is not in it."
    )
    joules: Positive | None = Field(
        None, description="The most energy of one round, joules; null = any."
    )
    watts_per_core: Positive | None = Field(
        10.0,
        description="Energy is counted as processor seconds times this, watts; null = as the "
        "processor counts it (RAPL), for all that runs on it.",
    )
    scheduling: Literal["idle", "batch", "normal"] = Field(
        "idle", description="The operating system's class: with idle, only what is left over."
    )
    nice: Annotated[int, Field(ge=0, le=19)] = Field(19, description="Niceness, 0..19.")
    threads: Annotated[int, Field(ge=1, le=64)] = Field(1, description="Threads of the training.")
    pause_at_busy: bool = Field(
        default=True, description="Wait between operators while the flow is behind."
    )
    seed: int = Field(0, ge=0, description="All that is random in a round follows from it.")
    plan: Text = Field(
        "auto", description="How work is parted: auto, single, dp (data parallel) or a plan file."
    )
    keep_versions: Count = Field(20, description="Versions that the registry keeps of the model.")
