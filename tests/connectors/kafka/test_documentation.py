"""Every example of docs/kafka.md runs, and what it sends is understood."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from connectors.kafka import DeadLetter, KafkaSource, KafkaSourceSettings, Reason, TopicKind
from connectors.kafka.dead_letters import ERROR_PREFIX, to_message
from connectors.kafka.messages import Message
from records import Detections, Reading, Stage, Verdict
from tests.support.kafka_broker import create, records_in, run_part

if TYPE_CHECKING:
    from tests.support.kafka_broker import Broker

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "kafka.md").read_text(encoding="utf-8")
EXAMPLES = dict(
    zip(
        re.findall(r"^## Send (.+)$", TEXT, re.MULTILINE),
        re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL),
        strict=True,
    )
)


def example(broker: Broker, name: str, kind: str) -> list[Any]:
    """Run an example against the broker; what Sightflow reads then."""
    settings = broker.settings()
    (topic,) = create(settings, kind)
    code = EXAMPLES[name].replace("localhost:9092", settings.servers)
    code = code.replace(f'"sightflow.{kind}"', f'"{topic}"')
    exec(compile(code, name, "exec"), {})  # noqa: S102 - the project's own documentation
    wanted = KafkaSourceSettings({topic: None}, end="latest", readers=1)
    part = KafkaSource(settings, wanted).build_part("read", "0000", None)
    found = run_part(part, lambda _: False)
    part.close()
    return found


def test_frames(broker: Broker) -> None:
    batches = [batch for _, batch in example(broker, "frames", "frames")]
    frames = [frame for batch in batches for frame in batch.frames]
    assert [(frame.stream, frame.sequence) for frame in frames] == [
        ("gate", 0),
        ("gate", 1),
        ("gate", 2),
    ]
    assert [frame.pixels.rgb().mean().round() for frame in frames] == [0, 80, 160]


def test_readings(broker: Broker) -> None:
    (found,) = records_in(example(broker, "sensor readings", "readings"))
    samples = np.array([[0.5, 21.0], [np.nan, 21.1]], np.float32)
    assert found == Reading(
        "pump", 0, found.time_ns, 100.0, samples, ("vibration", "temperature"), ("mm/s", "°C")
    )


def test_detections(broker: Broker) -> None:
    (found,) = records_in(example(broker, "detections", "detections"))
    answer = Detections.of([[10, 20, 50, 90]], [0.9], ["person"])
    score = float(answer.scores[0])
    assert found == Verdict("gate", 0, found.time_ns, Stage.REFERENCE, score, answer)


def test_every_example_is_run() -> None:
    assert list(EXAMPLES) == ["frames", "sensor readings", "detections"]


def test_topics_reasons_and_headers_are_named() -> None:
    for kind in (*TopicKind, "deadletters", "retraining"):
        assert f"`sightflow.{kind}`" in TEXT
    for reason in Reason:
        assert f"`{reason}`" in TEXT
    letter = DeadLetter(Message("t", 0, 0, 0, None, (), bytes(9_000)), Reason.LATE, "x")
    for name, _ in to_message(letter, 5_000)[1]:
        assert f"`{name}`" in TEXT or f"`.{name.removeprefix(ERROR_PREFIX)}`" in TEXT
