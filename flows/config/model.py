"""The sections of a configuration, strict and frozen; every field carries its unit.

The sections say what a file may hold. What a value means is said, and checked again, by the
settings of the component that it goes to (`flows.build`).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from connectors.pace import LEAST_SPEED, MOST_SPEED
from flows.config.assertions_section import AssertionsSection
from flows.config.cascade_section import CascadeSection
from flows.config.kafka_section import KafkaSection
from flows.config.lidar_section import LidarSection
from flows.config.models_section import ModelsSection
from flows.config.retraining_section import RetrainingSection
from flows.config.section import (
    Count,
    Mask,
    Name,
    PositiveSeconds,
    Seconds,
    Section,
    Share,
    StartTime,
    Text,
    Zone,
)
from flows.config.signal_section import ClassifierSection, SignalSection
from flows.config.sinks_section import SinksSection
from flows.config.training_section import TrainingSection
from flows.config.ui_section import UiSection
from flows.shards import MOST_SHARDS
from operators.cascade import LARGEST_BATCH
from operators.observe import LARGEST_STRIDE

FROM_KAFKA = "kafka:"
"""The address of a stream whose frames come through ``kafka.read``."""


class StreamSection(Section):
    """One stream of frames."""

    uri: Text = Field(
        description="A video file, a folder of segments, an RTSP or HTTP address, webcam:0, or "
        "'kafka:' for frames with this key in kafka.read. A relative path counts from the "
        "configuration file's folder."
    )
    start: StartTime | None = Field(
        None,
        description="Event time of the first frame, with its zone: 2026-05-01T08:00:00Z. By "
        "default a file's own creation time (or 1970), and the clock for live sources.",
    )
    live: bool | None = Field(
        None,
        description="Whether frames may be dropped when the flow is "
        "behind. By default decided by the address.",
    )
    batch_frames: Count = Field(16, le=1024, description="Frames that travel together.")
    frames_in_memory: Count = Field(
        64, le=4096, description="The most decoded frames of this stream held at once."
    )
    drop: Literal["oldest", "newest"] = Field(
        "oldest", description="Which frame a live stream gives up when the flow is behind."
    )
    stall_seconds: PositiveSeconds = Field(
        8.0, description="A live source is lost after this long without a packet, seconds."
    )
    open_seconds: PositiveSeconds = Field(
        5.0, description="An attempt to open a live source ends after this long, seconds."
    )
    reconnect_first_seconds: PositiveSeconds = Field(
        0.25, description="The wait before a lost source is tried again, seconds; doubles."
    )
    reconnect_most_seconds: PositiveSeconds = Field(
        1.0, description="The longest wait between two tries, seconds."
    )
    frames_at_most: Count | None = Field(None, description="Stop after this many frames.")
    decode_threads: int = Field(
        0, ge=0, le=64, description="Threads of the decoder; 0 = its own choice."
    )
    decode: Literal["ahead", "on_demand"] | None = Field(
        None,
        description="Decode every frame ahead, or only when a stage asks for its pixels. By "
        "default on demand where a plan begins with the packets' sizes.",
    )
    packet_megabytes: Count = Field(
        64, le=16_384, description="With on_demand: memory for packets that may yet be decoded, MB."
    )
    speed: Annotated[float, Field(ge=LEAST_SPEED, le=MOST_SPEED)] | None = Field(
        None,
        description="How quickly a file plays, seconds of its own time in a second: 1 = as it was "
        "recorded. null = as quickly as the flow takes it.",
    )
    zone: Zone | None = Field(
        None,
        description="Corners [x, y] in pixels: objects count for the predicate only where they "
        "stand in it. null = everywhere.",
    )
    masks: list[Mask] = Field(
        [],
        description="Polygons that the difference detector leaves out: corners [x, y] in shares of "
        "the frame, 0..1.",
    )
    trained: Text | None = Field(
        None, description="A trained cascade for this stream alone; see cascade.trained."
    )


class DetectorSection(Section):
    """The reference detector."""

    model: Text = Field(
        "auto",
        description="auto, yolox_nano, ssd_mobilenetv2_oiv4, or torchvision:BUILDER.",
    )
    weights: Text | None = Field(
        None,
        description="A local file of weights, or registry:NAME, a model of models.directory; by "
        "default the model's own, fetched once.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Where it runs.")
    score_at_least: Share = Field(0.3, description="Boxes with a lower score are left out, 0..1.")
    overlap_at_most: Share = Field(
        0.45, description="Of two boxes of one class that overlap more, the better stays, 0..1."
    )
    classes: list[Text] = Field([], description="The classes to keep; all when empty.")
    batch: Count = Field(8, le=LARGEST_BATCH, description="The most frames in one call.")
    threads: int = Field(
        0, ge=0, le=256, description="CPU threads of the model; 0 = its own choice."
    )


class TrackSection(Section):
    """Tracks over frames (ByteTrack)."""

    start_score: Share = Field(0.5, description="A box needs this score to start a track, 0..1.")
    high_score: Share = Field(0.5, description="Boxes from this score on are matched first, 0..1.")
    overlap: Share = Field(0.1, description="A box needs this overlap with a track, 0..1.")
    confirm_frames: Count = Field(2, description="Frames in a row before a track has a number.")
    lost_seconds: PositiveSeconds = Field(
        2.0, description="An unseen track ends after this long, seconds."
    )
    rate_hz: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(
        10.0, description="The usual frame rate, Hz."
    )


class AlertSection(Section):
    """A rule that alerts when enough objects of a class are in view."""

    name: Name = Field(description="The rule's name.")
    class_name: Text = Field(alias="class", description="The class that is counted.")
    at_least: Count = Field(description="The count that opens an episode.")
    score_at_least: Share = Field(0.0, description="Only boxes with this score count, 0..1.")
    for_seconds: Seconds = Field(0.0, description="The count must hold this long, seconds.")
    clear_seconds: Seconds = Field(2.0, description="And be missed this long to close, seconds.")
    update_seconds: Seconds | None = Field(
        10.0, description="A rising peak is told at most this often, seconds; null = never."
    )
    streams: list[Text] = Field([], description="The streams it watches; all when empty.")


class WindowSection(Section):
    """Averages over windows of event time, with intervals, from a few calls of the detector."""

    name: Name = Field(description="The windows' name, the first part of each estimate's.")
    classes: list[Text] = Field(min_length=1, description="The classes; each is told by itself.")
    aggregates: list[Literal["average", "sum", "presence"]] = Field(
        ["average"], min_length=1, description="Per frame, over all frames, share of the frames."
    )
    at_least: Count = Field(1, description="The count from which a frame counts for presence.")
    size_seconds: PositiveSeconds = Field(60.0, description="Length of a window, seconds.")
    slide_seconds: PositiveSeconds | None = Field(
        None, description="From one window's start to the next; null = the size. Divides the size."
    )
    calls_per_hour: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(
        3600.0, description="Detector calls an hour of event time, shared by the streams."
    )
    confidence: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)] = Field(
        0.95, description="Of each interval."
    )
    score_at_least: Share = Field(0.0, description="Only boxes with this score count, 0..1.")
    in_zone: bool = Field(default=False, description="Count only in each stream's own zone.")
    proxy_stride: Count | None = Field(
        None,
        le=LARGEST_STRIDE,
        description="Let the trained cascade's small model count every so many frames, which "
        "narrows the intervals of its class; null = never.",
    )
    lateness_seconds: Seconds = Field(
        0.0, description="How long after its end a window is corrected by late frames, seconds."
    )
    out_of_order_seconds: Seconds = Field(
        0.0, description="How far behind the latest frame one may come and be on time, seconds."
    )
    seed: int = Field(0, ge=0, description="Of the frames that are drawn.")


class MetricsSection(Section):
    """The Prometheus endpoint /metrics."""

    host: Text = Field("127.0.0.1", description="The address to listen on.")
    port: int = Field(ge=0, le=65535, description="The port; 0 = any free one.")


class Configuration(Section):
    """One flow: streams in, a cascade, alerts and sinks out."""

    version: Literal[1] = Field(description="The version of this format: 1.")
    name: Name = Field(description="The flow's name.")
    streams: dict[Name, StreamSection] = Field(
        {}, description="The streams, by name; those of Kafka need not be named."
    )
    kafka: KafkaSection | None = Field(None, description="A Kafka cluster; null = none.")
    shards: Annotated[int, Field(ge=1, le=MOST_SHARDS)] | None = Field(
        None,
        description="Groups of streams that share a process and the batches of its models; at most "
        "as many processes can share a run, also when it is resumed. null = one a process.",
    )
    signals: dict[Name, SignalSection] = Field(
        {}, description="Streams of samples, by name; those of Kafka need not be named."
    )
    lidars: dict[Name, LidarSection] = Field(
        {}, description="LIDARs by the name of their stream, each beside a camera's."
    )
    classifier: ClassifierSection | None = Field(
        None, description="Who classifies signals; null = they only pass to the sinks."
    )
    detector: DetectorSection = Field(default_factory=DetectorSection)
    cascade: CascadeSection = Field(default_factory=CascadeSection)
    track: TrackSection | None = Field(
        default_factory=TrackSection, description="Tracks; null = none."
    )
    alerts: list[AlertSection] = Field([], description="The rules that alert.")
    windows: list[WindowSection] = Field([], description="Averages with intervals.")
    assertions: AssertionsSection | None = Field(
        None, description="Model assertions and checks of the input; null = none."
    )
    models: ModelsSection | None = Field(
        None, description="The registry whose models change while the flow runs; null = none."
    )
    retraining: RetrainingSection | None = Field(
        None, description="The retraining queue: what is put aside to be labelled; null = none."
    )
    training: TrainingSection | None = Field(
        None, description="A model that 'sightflow train' trains beside the flow; null = none."
    )
    sinks: SinksSection = Field(default_factory=SinksSection)
    metrics: MetricsSection | None = Field(
        None, description="The /metrics endpoint; off by default."
    )
    ui: UiSection | None = Field(None, description="The dashboard; off by default.")

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all streams that are told of here: of frames, signals and LIDARs."""
        return (*self.streams, *self.signals, *self.lidars)
