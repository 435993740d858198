"""The sections of a configuration about sampled signals, such as ECG, and who classifies them."""

from __future__ import annotations

from pydantic import Field

from flows.config.section import Count, PositiveSeconds, Seconds, Section, StartTime, Text


class SignalSection(Section):
    """One stream of samples from WFDB records (PhysioNet's format), played one after another."""

    records: list[Text] = Field(
        min_length=1,
        description="Header files (.hea), or folders of them in order of name. A relative path "
        "counts from the configuration file's folder.",
    )
    start: StartTime | None = Field(
        None,
        description="Event time of the first sample; null = as the header says, or 1970.",
    )
    block_seconds: PositiveSeconds = Field(
        1.0, description="Samples that travel together, seconds."
    )
    pause_seconds: Seconds = Field(
        1.0, description="Time between the end of one record and the start of the next, seconds."
    )
    speed: PositiveSeconds | None = Field(
        None, description="How fast they are played: 1 = in real time; null = as fast as possible."
    )


class ClassifierSection(Section):
    """The model that classifies the windows of signals."""

    model: Text = Field(
        description="A model that 'evaluate ecg --save' wrote, .safetensors; or registry:NAME, a "
        "model of models.directory."
    )
    channel: str = Field("", description="The channel that is classified; empty = the first.")
    new_windows: Count = Field(
        8,
        description="Windows that must be ready before the model runs; fewer wait less.",
    )
    tolerance_seconds: Seconds = Field(0.01, description="A gap up to this long is none, seconds.")
