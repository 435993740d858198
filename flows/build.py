"""From a configuration to a bytewax dataflow.

::

    frames ─► events ─────────────────────────────────────────┐
       ├────► observe ─► windows ─────────────────────────────┤
       └────► cascade ─► track ─┬─► verdicts, audit, contract ─┼─► records ─► every sink
    detections of others ─┘     └─► episodes ─────────────────┘
    verdicts, findings, frames ─► put aside ─► retraining queue
    messages not understood ─► dead letters ─► Kafka

The items between the steps are batches, keyed by stream; the sinks take lists of records.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import bytewax.operators as op
from bytewax.dataflow import Dataflow

from connectors.codec import kind_of
from flows.asserted import assert_on
from flows.inputs import Inputs, open_inputs
from flows.lidar import joined
from flows.member import ALONE
from flows.model_reference import registry_name
from flows.reload_states import windows_step
from flows.retraining import frames_aside, put_aside
from flows.shards import ONE_SHARD
from flows.signals import heard
from flows.sinks import Nowhere
from flows.windows import observe_settings, window_proxies, window_settings
from models.detectors import DetectorSettings
from operators.alerting import AlertOrigin, CountRule, episodes
from operators.assertions.health.watch import watch_input
from operators.cascade import cascade
from operators.observe import observe
from operators.track import TrackSettings, track
from operators.window import window

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from bytewax.operators import KeyedStream
    from bytewax.outputs import Sink

    from connectors.kafka import DeadLetter
    from flows.assertions import Assertions
    from flows.cascades import Cascades
    from flows.config import AlertSection, Configuration, WindowSection
    from flows.lidar import Lidars
    from flows.member import Member
    from flows.retraining import Retraining
    from flows.shards import Shards
    from flows.signals import Classifier
    from operators.retraining_settings import Candidates
    from records import Alert, Clock, FrameBatch, Record, VerdictBatch

Records = tuple[str, "Sequence[Record]"]
"""What a sink takes: a stream's name and records of that stream."""


def _unheard(*_: object) -> None:
    """What nobody asked to be told of."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a dataflow is built from, besides its configuration.

    Attributes:
        cascades: The cascades and their models; None where no frames come.
        origin: What stands behind the alerts.
        sinks: The sinks, by the name of their step.
        observe: Called with every item that goes to the sinks, in the worker that made it.
        entered: Called with every batch of frames, or of others' verdicts, that comes in.
        stop: Set it to end all sources; what they have emitted is still decided.
        clock: The time for live sources.
        folder: Where relative paths in the configuration count from.
        kafka: Writes records and dead letters to Kafka; None for none.
        buried: Called with every message that was not understood.
        progress: Called with a topic's partition, the next offset and its end, now and then.
        classifier: Classifies signals; None for nobody.
        lidars: The LIDARs beside cameras; None for none.
        assertions: The model assertions and checks of the input; None for none.
        retraining: What puts items into the retraining queue; None for nothing.
        shards: The groups of the streams; those of a group share a process.
        member: Which process this is.
    """

    cascades: Cascades | None
    origin: AlertOrigin
    sinks: Mapping[str, Sink[Records]]
    observe: Callable[[Records], None]
    entered: Callable[[FrameBatch | VerdictBatch], None]
    stop: threading.Event
    clock: Clock
    folder: Path
    kafka: Sink[Any] | None = None
    buried: Callable[[DeadLetter], None] = _unheard
    progress: Callable[[tuple[str, int], int, int], None] = _unheard
    classifier: Classifier | None = None
    lidars: Lidars | None = None
    assertions: Assertions | None = None
    retraining: Retraining | None = None
    shards: Shards = ONE_SHARD
    member: Member = ALONE


def build(
    configuration: Configuration,
    parts: Parts,
    inputs: Callable[[Dataflow, Configuration, Parts], Inputs] = open_inputs,
) -> Dataflow:
    """Build the dataflow of a configuration. Nothing runs yet.

    Args:
        configuration: The configuration.
        parts: What it is built from.
        inputs: Adds the sources; those of the configuration, unless something is replayed.
    """
    flow = Dataflow(flow_id(configuration.name))
    opened = inputs(flow, configuration, parts)
    outputs: list[KeyedStream[list[Record]]] = []
    aside: list[KeyedStream[Candidates]] = []
    if opened.frames is not None:
        outputs += _seen(opened.frames, opened, configuration, parts, aside)
    if opened.signals is not None:
        outputs += heard(
            opened.signals, parts.classifier, parts.assertions, parts.origin,
            parts.retraining, aside,
        )  # fmt: skip
    if opened.sighted is not None:
        outputs.append(opened.sighted.records)
    if opened.records is not None:
        outputs.append(opened.records)
    records = op.inspect("observe", op.merge("records", *outputs), lambda _, i: parts.observe(i))
    _write(records, opened, configuration, parts, put_aside(aside, parts.retraining))
    return flow


def _seen(
    frames: KeyedStream[FrameBatch],
    opened: Inputs,
    configuration: Configuration,
    parts: Parts,
    aside: list[KeyedStream[Candidates]],
) -> list[KeyedStream[list[Record]]]:
    """What follows from frames, and from what other programs saw in theirs."""
    frames = op.inspect("entered", frames, lambda _, item: parts.entered(item[1]))
    if parts.assertions is not None and parts.assertions.health:
        frames = watch_input("health", frames, parts.assertions.health, parts.shards.key)
    decided = _decided(frames, opened, configuration, parts)
    answers, monitored = decided, None
    outputs = [op.filter_map_value("events", frames, _events)]
    if parts.assertions is not None:
        moments = None
        if parts.lidars is not None and opened.sighted is not None:
            moments = joined(decided, opened.sighted, parts.lidars)
        asserted = assert_on(decided, parts.assertions, parts.origin, moments)
        decided, monitored = asserted.verdicts, asserted.monitored
        outputs += asserted.records
    if parts.retraining is not None:
        aside.append(frames_aside(frames, answers, monitored, parts.retraining, parts.shards.key))
    outputs.append(op.filter_map_value("verdicts", decided, _verdicts))
    if configuration.alerts:
        rules = [count_rule(alert) for alert in configuration.alerts]
        outputs.append(
            op.map_value("alerts", episodes("rules", decided, rules, parts.origin), list)
        )
    for section in configuration.windows:
        outputs += _windows(windows_step(section.name), frames, section, configuration, parts)
    return outputs


def _decided(
    frames: KeyedStream[FrameBatch], opened: Inputs, configuration: Configuration, parts: Parts
) -> KeyedStream[VerdictBatch]:
    """The verdicts of the cascade, and those of other programs; tracked."""
    made = parts.cascades
    assert made is not None, "frames come"
    decided = cascade(
        "cascade", frames, made.settings, made.models, parts.shards.key, made.streams, made.versions
    )
    if opened.verdicts is not None:
        received = op.inspect(
            "entered_verdicts", opened.verdicts, lambda _, item: parts.entered(item[1])
        )
        decided = op.merge("decided", decided, received)
    if configuration.track is None:
        return decided
    return track("track", decided, TrackSettings(**configuration.track.model_dump()))


def _windows(
    step: str,
    frames: KeyedStream[FrameBatch],
    section: WindowSection,
    configuration: Configuration,
    parts: Parts,
) -> list[KeyedStream[list[Record]]]:
    """The estimates of one section's windows, and what is to be said of them."""
    assert parts.cascades is not None, "frames come"
    observed = observe(
        f"{step}_observe",
        frames,
        observe_settings(section, configuration),
        parts.cascades.models.reference,
        window_proxies(section, parts.cascades),
        parts.shards.key,
    )
    told = window(f"{step}_window", observed, window_settings(section))
    return [
        op.map_value(f"{step}_estimates", told.estimates, _one),
        op.map_value(f"{step}_events", told.events, _one),
    ]


def _one(item: Any) -> list[Any]:  # noqa: ANN401 - records and dead letters alike
    return [item]


def _write(
    records: KeyedStream[list[Record]],
    opened: Inputs,
    configuration: Configuration,
    parts: Parts,
    outgoing: list[KeyedStream[Any]],
) -> None:
    for name, sink in parts.sinks.items():
        op.output(name, records, sink)
    if parts.kafka is not None:
        if configuration.kafka is not None and configuration.kafka.write is not None:
            kinds = frozenset(configuration.kafka.write.kinds)
            outgoing.append(
                op.filter_map_value("to_kafka", records, lambda items: _of_kinds(items, kinds))
            )
        if opened.dead_letters is not None:
            outgoing.append(op.map_value("dead_letters", opened.dead_letters, _one))
        op.output("to_topics", op.merge("outgoing", *outgoing), parts.kafka)
    if not parts.sinks and parts.kafka is None:
        # The engine wants an output, and a run without sinks may still be watched.
        op.output("nowhere", records, Nowhere())


def _of_kinds(records: list[Record], kinds: frozenset[str]) -> list[Record] | None:
    return [record for record in records if kind_of(record) in kinds] or None


def _events(batch: FrameBatch) -> list[Record] | None:
    return list(batch.events) or None


def _verdicts(batch: VerdictBatch) -> list[Record] | None:
    return [*batch.verdicts, *batch.reports] or None


def _alerts(changes: tuple[Alert, ...]) -> list[Record]:
    return list(changes)


def flow_id(name: str) -> str:
    """A name as the engine wants it: without dots, which part its step ids.

    >>> flow_id("shop.north")
    'shop_north'
    """
    return name.replace(".", "_")


def detector_settings(configuration: Configuration, folder: Path) -> DetectorSettings:
    """The detector's settings."""
    section = configuration.detector
    own = section.weights is not None and registry_name(section.weights) is None
    return DetectorSettings(
        model=section.model,
        weights=str(folder / str(section.weights)) if own else None,
        device=section.device,
        score_at_least=section.score_at_least,
        iou_at_most=section.overlap_at_most,
        batch_size=section.batch,
        threads=section.threads,
        classes=tuple(section.classes),
    )


def count_rule(section: AlertSection) -> CountRule:
    """The rule of an alert section."""
    values = section.model_dump()
    values["streams"] = tuple(section.streams)
    if section.update_seconds is None:
        values["update_seconds"] = math.inf
    return CountRule(**values)
