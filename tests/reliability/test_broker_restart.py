"""A broker that restarts under a running flow: it reads and writes on, and nothing is lost."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from flows import config
from flows.picture import write_picture
from flows.run import RunRequest, run
from tests.support.kafka_broker import create, read, send
from tests.support.videos import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from connectors.kafka import KafkaSettings
    from tests.support.kafka_broker import Broker

CONFIGURATION = """\
version: 1
name: copy
kafka:
  servers: ["{servers}"]
  topic_prefix: {prefix}
  read: {{topics: {{{topic}: detections}}, watch_seconds: 0.2, readers: 1}}
  write: {{kinds: [verdict], transactions: false}}
detector: {{model: silhouette, weights: empty.png}}
track: null
sinks: {{console: null, event_log: null}}
"""
REST_SECONDS = 0.3
"""The broker is stopped when nothing is on its way: it forgets what comes while it stops."""


def messages(numbers: range) -> list[tuple[str | bytes | None, bytes | None, dict[str, str]]]:
    answer = {"boxes": [[1, 2, 30, 40]], "scores": [0.5], "classes": ["person"]}
    values = (
        {"stream": "gate", "sequence": number, "time_ns": number * 10**8, "answer": answer}
        for number in numbers
    )
    headers = {"content-type": "application/json"}
    return [("gate", json.dumps(value).encode(), headers) for value in values]


def written(settings: KafkaSettings) -> list[str]:
    topic = settings.topic("detections")
    return [dict(one.headers)["ce_id"].decode() for one in read(settings, topic)]


def are_written(settings: KafkaSettings, count: int) -> bool:
    return len(written(settings)) >= count


def test_a_broker_that_restarts_under_a_run(own_broker: Broker, tmp_path: Path) -> None:
    source, target = own_broker.settings(), own_broker.settings()
    (topic,) = create(source, "detections")
    create(target, "detections", "deadletters")
    write_picture(tmp_path / "empty.png", np.zeros((64, 64, 3), np.uint8))
    path = tmp_path / "copy.yaml"
    text = CONFIGURATION.format(servers=target.servers, prefix=target.topic_prefix, topic=topic)
    path.write_text(text, encoding="utf-8")
    configuration, text = config.load(path)
    stop = threading.Event()

    def script() -> None:
        try:
            for first in (0, 50, 100):
                send(source, topic, messages(range(first, first + 50)))
                wait_until(partial(are_written, target, first + 50), "the verdicts")
                time.sleep(REST_SECONDS)
                own_broker.stop()
                own_broker.start()
        finally:
            stop.set()

    with ThreadPoolExecutor(1) as pool:
        driving = pool.submit(script)
        summary = run(RunRequest(configuration, text, tmp_path), stop)
        driving.result()
    assert (summary.frames, summary.dead_letters) == (150, {})
    assert written(target) == [f"gate:{number}" for number in range(150)]
