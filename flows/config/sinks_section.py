"""The sections of a configuration that say where records go."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr

from flows.config.section import Count, PositiveSeconds, Seconds, Section, Text

RecordKind = Literal[
    "verdict", "alert", "event", "estimate", "reading", "finding", "classification"
]
"""The kinds of record that a sink may be asked for."""


class EventLogSection(Section):
    """The event log that replays read."""

    directory: Text = Field(
        "runs",
        description="Each run makes a folder of its own in here. A relative path counts "
        "from the configuration file's folder.",
    )
    segment_megabytes: Count = Field(64, le=4096, description="Size of a segment, MB.")


class JsonLinesSection(Section):
    """A file of JSON lines."""

    path: Text = Field(description="The file to append to; '-' = standard output.")
    kinds: list[RecordKind] = Field(
        ["verdict", "alert", "event", "estimate", "finding", "classification"],
        min_length=1,
        description="The records to write.",
    )


class ConsoleSection(Section):
    """Readable lines on the terminal."""

    kinds: list[RecordKind] = Field(
        ["alert", "event"], min_length=1, description="The records to show."
    )


class WebhookSection(Section):
    """An endpoint that alerts are posted to, signed (Standard Webhooks)."""

    url: Text = Field(description="Where alerts are posted to, http or https.")
    secrets: list[SecretStr] = Field(
        min_length=1,
        description="Signing secrets, whsec_…, as references ${NAME} to the environment; several "
        "while one replaces another.",
    )
    timeout_seconds: PositiveSeconds = Field(10.0, description="For one attempt, seconds.")
    attempts: Count = Field(10, le=20, description="Attempts for one alert.")
    first_retry_seconds: PositiveSeconds = Field(
        0.5, description="Wait before the second attempt, seconds; doubles."
    )
    most_retry_seconds: PositiveSeconds = Field(30.0, description="The longest wait, seconds.")
    queue_at_most: Count = Field(1000, description="Alerts that may wait.")
    drain_seconds: Seconds = Field(
        30.0, description="A finished run waits this long for deliveries, seconds."
    )
    body: Literal["standard", "alertmanager"] = Field(
        "standard",
        description="What is posted: an alert by itself (Standard Webhooks), or in the shape of "
        "Prometheus' Alertmanager.",
    )
    allow_private: bool = Field(
        default=False, description="Whether the address may be a private one."
    )


class SinksSection(Section):
    """Where records go."""

    event_log: EventLogSection | None = Field(
        default_factory=EventLogSection, description="The event log; null = none."
    )
    json_lines: list[JsonLinesSection] = Field([], description="Files of JSON lines.")
    console: ConsoleSection | None = Field(
        default_factory=ConsoleSection,
        description="Lines on the terminal; null = none.",
    )
    webhooks: list[WebhookSection] = Field([], description="Endpoints for alerts.")
