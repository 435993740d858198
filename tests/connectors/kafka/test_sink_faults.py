"""Brokers that go away and processes that die: nothing is lost, and nothing is there twice."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.errors import BytewaxRuntimeError
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSource, run_main

from connectors.codec import encode
from connectors.kafka import KafkaSink, KafkaSinkSettings
from records import SightflowError
from tests.connectors.kafka.test_sink import ALL, ids, writer
from tests.support.kafka_broker import READ_SECONDS, create, send
from tests.support.records import reading, verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import timedelta

    from connectors.kafka import KafkaSettings
    from tests.support.kafka_broker import Broker

ROOT = Path(__file__).resolve().parents[3]
COUNT = 20
STOP_AT = 12
SETTLE_SECONDS = 0.3
"""The test's broker is stopped when nothing is on its way: it forgets what comes while it stops."""


def verdicts(before: Callable[[int], None]) -> Iterator[tuple[str, list[Any]]]:
    for i in range(COUNT):
        before(i)
        yield "gate", [verdict(sequence=i)]


@pytest.mark.parametrize("transactions", [True, False])
def test_a_run_fails_without_its_broker_and_goes_on_with_it(
    own_broker: Broker, tmp_path: Path, no_epoch: timedelta, *, transactions: bool
) -> None:
    settings = own_broker.settings(request_timeout_seconds=2.0, delivery_timeout_seconds=2.0)
    create(settings, *ALL)
    init_db_dir(tmp_path, 1)

    def run(before: Callable[[int], None]) -> None:
        flow = Dataflow("writes")
        items = op.input("items", flow, TestingSource(verdicts(before)))
        wanted = KafkaSinkSettings("writes", transactions=transactions)
        op.output("sink", items, KafkaSink(settings, wanted))
        run_main(flow, epoch_interval=no_epoch, recovery_config=RecoveryConfig(str(tmp_path)))

    def stop_broker(i: int) -> None:
        if i == STOP_AT:
            time.sleep(SETTLE_SECONDS)
            own_broker.stop()

    with pytest.raises(BytewaxRuntimeError) as error:
        run(stop_broker)
    cause = error.value.__cause__
    assert isinstance(cause, SightflowError)
    assert str(cause).startswith(f"not delivered to Kafka at {settings.servers}: ")
    assert str(cause).endswith(
        ". The run stops; resumed, it sends again what its last epoch did not finish"
    )
    own_broker.start()
    run(lambda _: None)
    assert ids(settings) == [f"gate:{i}" for i in range(COUNT)]


def test_a_run_does_not_begin_without_its_broker(own_broker: Broker) -> None:
    settings = own_broker.settings(request_timeout_seconds=0.5)
    own_broker.stop()
    name = f"{settings.topic_prefix}-shop-shop.kafka-0000"
    for transactions, named in ((True, f" (transactional id {name})"), (False, "")):
        with pytest.raises(SightflowError) as error:
            writer(settings, transactions=transactions)
        assert str(error.value) == (
            f"cannot send to Kafka at {settings.servers}: KafkaTimeoutError: Unable to bootstrap "
            f"from {[settings.servers]}{named}"
        )


def test_a_writer_that_failed_writes_no_more(own_broker: Broker) -> None:
    settings = own_broker.settings(request_timeout_seconds=1.0, delivery_timeout_seconds=1.0)
    create(settings, *ALL)
    one = writer(settings)
    one.write_batch([[verdict(sequence=0)]])
    one.snapshot()
    time.sleep(SETTLE_SECONDS)
    own_broker.stop()
    one.write_batch([[verdict(sequence=1)]])
    with pytest.raises(SightflowError, match="^not delivered to Kafka at "):
        one.snapshot()
    for again in (one.snapshot, lambda: one.write_batch([[verdict(sequence=2)]])):
        with pytest.raises(SightflowError) as error:
            again()
        assert str(error.value) == "this producer failed before; it must be made anew"
    one.close()
    own_broker.start()
    assert ids(settings) == ["gate:0"]


def test_a_writer_ends_what_the_one_before_it_left(broker: Broker) -> None:
    settings = broker.settings()
    create(settings, *ALL)
    first = writer(settings)
    first.write_batch([[verdict(sequence=0)]])
    state = first.snapshot()
    first.write_batch([[verdict(sequence=1)]])
    # The process hangs with its transaction open, and is replaced.
    second = writer(settings, state)
    second.write_batch([[verdict(sequence=1), verdict(sequence=2)]])
    second.snapshot()
    second.close()
    assert ids(settings) == ["gate:0", "gate:1", "gate:2"]
    # It wakes up, and must not be able to finish.
    with pytest.raises(SightflowError, match="^not delivered to Kafka at "):
        first.snapshot()
    first.close()
    assert ids(settings) == ["gate:0", "gate:1", "gate:2"]


def test_a_topic_that_lost_what_was_written(broker: Broker) -> None:
    settings = broker.settings()
    (name,) = create(settings, "detections")
    with pytest.raises(SightflowError) as error:
        writer(settings, {"writers": 1, "offsets": {(name, 0): 5}, "written": []})
    assert str(error.value) == (
        f"topic {name}, partition 0, went back: it ends at offset 0, but was written to 5. The "
        "broker lost messages, or the topic was created again; remove the flow's recovery folder "
        "to go on"
    )


@pytest.mark.parametrize(("transactions", "kills"), [("yes", 2), ("no", 1)])
def test_processes_that_are_killed(
    broker: Broker, tmp_path: Path, transactions: str, kills: int
) -> None:
    source, target = broker.settings(), broker.settings()
    (name,) = create(source, "readings", partitions=3)
    create(target, "readings", partitions=2)
    streams = [f"pump {i}" for i in range(5)]
    records = [replace(reading(stream), sequence=i) for i in range(60) for stream in streams]
    send(source, name, [(record.stream, encode(record), {}) for record in records])
    init_db_dir(tmp_path, 1)
    command = [
        sys.executable, str(Path(__file__).with_name("copy_flow.py")), source.servers,
        source.topic_prefix, target.topic_prefix, str(tmp_path), transactions,
    ]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    for kill in range(kills):
        with subprocess.Popen(command, env=environment) as process:
            wait_for(target, 60 + 80 * kill, process)
            process.kill()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = ids(target, "readings")
    assert Counter(found) == Counter(record.id for record in records)
    for stream in streams:
        own = [each for each in found if each.startswith(f"{stream}:")]
        assert own == [f"{stream}:{i}" for i in range(60)]


def wait_for(settings: KafkaSettings, count: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until so many messages are there."""
    deadline = time.monotonic() + READ_SECONDS
    while len(ids(settings, "readings")) < count:
        assert process.poll() is None, "the flow ended before it was killed"
        assert time.monotonic() < deadline
