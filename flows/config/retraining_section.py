"""The section of a configuration that says what is put aside to be labelled, and where."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from connectors.queue_pictures import LARGEST_SIDE, MOST_QUALITY
from flows.config.section import Count, PositiveSeconds, Seconds, Section, Text
from records.retraining import FINGERPRINT_BITS

LEAST_SIDE = 32
"""The least that the longest side of a picture may be set to, pixels."""

LEAST_PICTURE_BYTES = 2**20
"""The least memory that frames may be given, bytes."""


class RetrainingSection(Section):
    """The retraining queue: frames and windows that are worth a label, put aside."""

    queue: Text | None = Field(
        None,
        description="The queue's SQLite file, made if it is not there; runs and processes may "
        "share it. A relative path counts from the configuration file's folder. null = none.",
    )
    kafka: bool = Field(
        default=False,
        description="Whether items go to the topic retraining too, as kafka.write writes.",
    )
    random_seconds: Seconds = Field(
        600.0,
        description="One frame in each cell of so many seconds of event time is put aside whatever "
        "is in it; 0 = none.",
    )
    reference_seconds: Seconds = Field(
        0.0,
        description="While the reference detector decides alone, one frame in each cell of so many "
        "seconds is put aside too, with its answer as the label; 0 = none.",
    )
    hold_seconds: Seconds | None = Field(
        None,
        description="How long frames wait for findings about them, seconds of event time; null = "
        "the longest window of the assertions.",
    )
    clear_seconds: PositiveSeconds = Field(
        5.0, description="An episode ends when nothing was found for so long, seconds."
    )
    most_per_episode: Count = Field(3, description="The most items of one episode.")
    most_places: Count = Field(
        3, description="The most frames that one finding puts aside, evenly spread."
    )
    near_bits: int = Field(
        4,
        ge=-1,
        le=FINGERPRINT_BITS,
        description="Pictures whose 64-bit fingerprints differ in at most so many bits are one; "
        "-1 = never.",
    )
    seed: int = Field(0, ge=0, description="Of the frames that are drawn.")
    crop: Literal["frame", "box"] = Field(
        "frame",
        description="What a picture shows: the whole frame, or what the findings are about, with a "
        "margin.",
    )
    crop_side_at_most: int = Field(
        1280,
        ge=LEAST_SIDE,
        le=LARGEST_SIDE,
        description="The longest side of a picture, pixels; larger ones are scaled down.",
    )
    jpeg_quality: int = Field(90, ge=1, le=MOST_QUALITY, description="Of the pictures.")
    picture_bytes_at_most: int = Field(
        256 * 2**20,
        ge=LEAST_PICTURE_BYTES,
        description="Memory for the frames of one stream that may yet be put aside, bytes.",
    )
    most_items: Count = Field(10_000, description="Items kept; the lowest priority leaves first.")
    most_per_stream: Count = Field(2_000, description="Items kept of one stream.")
    most_bytes: Count = Field(2 * 2**30, description="Bytes of all items with their pictures.")
    keep_seconds: PositiveSeconds = Field(
        2_592_000.0, description="How long an item waits for its label, seconds."
    )
    file_bytes_at_most: Count = Field(
        8 * 2**30, description="The largest file, bytes; then new items are refused."
    )
    busy_seconds: Seconds = Field(
        10.0, description="How long to wait while another process writes, seconds."
    )
