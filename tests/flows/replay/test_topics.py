"""Ranges of topics, fetched from a real broker and replayed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import cv2
import pytest

from connectors.codec import encode, iso_time
from connectors.replay import EventLog
from connectors.video import VideoSettings, read_video
from records import Alert, Frame, Stage, StreamEvent, Verdict
from tests.support.kafka_broker import Broker, BrokerError, create, send
from tests.support.recordings import Town, replay_town

if TYPE_CHECKING:
    from collections.abc import Iterator

    from connectors.kafka import KafkaSettings


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    broker = Broker(tmp_path_factory.mktemp("broker") / "data")
    try:
        broker.start()
    except BrokerError as error:
        pytest.skip(f"needs a Kafka broker: {error}")
    yield broker
    broker.kill()


def address(settings: KafkaSettings, topic: str, options: str = "") -> str:
    return f"kafka://{settings.bootstrap_servers[0]}/{topic}{options}"


def test_detections_that_a_run_wrote_give_its_verdicts_and_alerts_again(
    town: Town, broker: Broker
) -> None:
    settings = broker.settings()
    (topic,) = create(settings, "detections", partitions=3)
    log = EventLog.open(town.log)
    for partition, stream in enumerate(log.streams):
        messages: list[Any] = [
            (stream, encode(one), {"ce_type": f"io.sightflow.{kind}"})
            for one in log.records(stream)
            for kind, of_kind in (("verdict", Verdict), ("event", StreamEvent))
            if isinstance(one, of_kind)
        ]
        send(settings, topic, messages, partition=partition)
    path = town.write("topic.yaml", more="track: null")
    replayed = replay_town(town, path, address(settings, topic))
    before = replay_town(town, path, town.log)
    assert replayed.of(Verdict) == before.of(Verdict)
    # A topic does not tell which detector stands behind its verdicts.
    nameless = [replace(alert, model="") for alert in before.of(Alert)]
    assert replayed.of(Alert) == nameless
    assert len(nameless) > 1
    assert replayed.summary.notes == {"left_out": [], "dead_letters": {}}
    order = [(one.time_ns, one.stream) for one in replayed.of(Verdict)]
    assert order == sorted(order)
    part = replay_town(town, path, address(settings, topic, "?from=0:5,1:0,2:0&to=0:9,1:0,2:0"))
    assert {one.stream for one in part.records} == {"gate"}


def test_frames_of_a_topic_are_decided(town: Town, broker: Broker) -> None:
    settings = broker.settings()
    (topic,) = create(settings, "frames")
    video = VideoSettings(str(town.videos / "gate.mp4"), frames_at_most=30)
    frames = [item for item in read_video("gate", video) if isinstance(item, Frame)]
    messages: list[Any] = []
    for frame in frames:
        picture = cv2.cvtColor(frame.pixels.rgb(), cv2.COLOR_RGB2BGR)
        headers = {"content-type": "image/png", "ce_sequence": str(frame.sequence),
                   "ce_time": iso_time(frame.time_ns)}  # fmt: skip
        messages.append(("gate", cv2.imencode(".png", picture)[1].tobytes(), headers))
    messages.append(("door", messages[0][1], messages[0][2]))
    send(settings, topic, messages)
    twice = [replay_town(town, town.write(), address(settings, topic)) for _ in range(2)]
    assert twice[0].records == twice[1].records
    verdicts = twice[0].of(Verdict)
    assert [one.sequence for one in verdicts] == list(range(30))
    assert {one.stage for one in verdicts} == {Stage.REFERENCE, Stage.DIFFERENCE}
    before = [one for one in EventLog.open(town.log).records("gate") if isinstance(one, Verdict)]
    near = [abs(len(a.answer) - len(b.answer)) <= 1 for a, b in zip(verdicts, before, strict=False)]
    assert sum(near) >= 27
    assert twice[0].summary.notes == {"left_out": ["door"], "dead_letters": {}}
