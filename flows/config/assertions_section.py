"""The section of a configuration that says which model assertions watch the streams."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from flows.config.section import Count, Name, PositiveSeconds, Seconds, Section, Share, Text

HealthName = Literal["frozen", "dark", "blocked", "moved", "clock_skew", "gap"]
"""The checks of the input that look at frames and their times."""

OutputName = Literal["flicker", "appear", "multibox", "velocity", "count_jump", "class_change"]
"""The built-in assertions on what the detector finds, and the classifier of signals."""

HEALTH: tuple[HealthName, ...] = ("frozen", "dark", "blocked", "moved", "clock_skew", "gap")
OUTPUTS: tuple[OutputName, ...] = ("flicker", "appear", "multibox", "class_change")


class FindingAlertsSection(Section):
    """How findings become alerts: an episode for each stream, assertion and object."""

    only: list[Name] | None = Field(
        None,
        description="The assertions that alert; null = those of the input, class_change and "
        "your own.",
    )
    clear_seconds: PositiveSeconds = Field(
        5.0,
        description="An episode closes when nothing was found for so long, seconds; what lasts is "
        "told again each second, so shorter ones cut it up.",
    )
    cooldown_seconds: Seconds = Field(
        60.0, description="For so long afterwards the same opens none again, seconds."
    )
    update_seconds: Seconds = Field(
        10.0, description="A rising severity is told at most this often, seconds."
    )
    group_seconds: Seconds = Field(
        0.0,
        description="Above 0: findings of one assertion that follow within this time are one "
        "episode, whatever object they are about, seconds.",
    )
    least_model_wrong: Share = Field(
        0.0, description="Findings with a lower calibrated probability do not alert, 0..1."
    )
    false_alarms_per_day: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="The most false alarms a day on each stream, on average, by calibrated "
        "assertions; null = no promise. Needs calibration.",
    )


class AssertionsSection(Section):
    """Model assertions: conditions that frames and answers must meet, and what follows if not."""

    health: dict[HealthName, dict[str, Any] | None] = Field(
        dict.fromkeys(HEALTH),
        description="Checks of the input, with their settings; null = the usual ones.",
    )
    outputs: dict[OutputName, dict[str, Any] | None] = Field(
        dict.fromkeys(OUTPUTS),
        description="Built-in assertions on the answers, with their settings.",
    )
    files: list[Text] = Field(
        [], description="Python files with assertions of your own; run as programs are."
    )
    packages: list[Text] = Field(
        [], description="Assertions of installed packages, by the name of their entry point."
    )
    calibration: Text | None = Field(
        None,
        description="A file of 'evaluate assertions --save', which gives findings probabilities.",
    )
    correct: dict[Name, Share] = Field(
        {},
        description="Assertions whose corrections are applied before the sinks, each with the "
        "least probability that the correction is right, by the lower end of its calibrated "
        "interval; 0 = always.",
    )
    hold_seconds: Seconds = Field(
        2.0, description="How long verdicts wait for corrections, seconds of event time."
    )
    most_failures: Count = Field(
        10, description="An assertion that fails so often in a row is switched off."
    )
    alerts: FindingAlertsSection | None = Field(
        default_factory=FindingAlertsSection, description="Alerts of findings; null = none."
    )
