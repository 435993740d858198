from __future__ import annotations

import threading
import time
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

import bytewax.operators as op
import cv2
import numpy as np
import pytest
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSink, run_main
from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import NewPartitions

from connectors.codec import encode
from connectors.kafka import (
    AtOffsets,
    AtTime,
    Cluster,
    DeadLetter,
    KafkaSource,
    KafkaSourceSettings,
    Reason,
    TopicKind,
    kafka_input,
)
from connectors.kafka.positions import reader_of
from records import EventKind, FrameBatch, StreamEvent, Verdict
from tests.support.kafka_broker import create, records_in, run_part, send
from tests.support.records import FRAME_NS, START_NS, alert, event, reading, verdict

if TYPE_CHECKING:
    from datetime import timedelta
    from pathlib import Path

    from connectors.kafka import KafkaSettings
    from records import Reading, Record
    from tests.support.kafka_broker import Broker

ONE: dict[str, Any] = {"readers": 1}
"""Tests that drive a single part have a single reader."""


def blocks(count: int, stream: str = "pump", first: int = 0) -> list[Reading]:
    return [
        replace(reading(stream), sequence=i, time_ns=START_NS + i * FRAME_NS)
        for i in range(first, first + count)
    ]


def messages(records: list[Any]) -> list[tuple[str, bytes, dict[str, str]]]:
    return [(record.stream, encode(record), {}) for record in records]


def part(
    settings: KafkaSettings, wanted: KafkaSourceSettings, state: Any = None, **how: Any
) -> Any:
    return KafkaSource(settings, wanted, **how).build_part("read", "0000", state)


def run(
    settings: KafkaSettings, wanted: KafkaSourceSettings
) -> tuple[list[tuple[str, FrameBatch]], list[tuple[str, Record]], list[tuple[str, DeadLetter]]]:
    """Read to the end through a real dataflow: frames, records and dead letters."""
    flow = Dataflow("reads")
    frames: list[Any] = []
    records: list[Any] = []
    dead: list[Any] = []
    streams = kafka_input("kafka", flow, KafkaSource(settings, wanted))
    op.output("frames", streams.frames, TestingSink(frames))
    op.output("records", streams.records, TestingSink(records))
    op.output("dead", streams.dead_letters, TestingSink(dead))
    run_main(flow)
    return frames, [(key, record) for key, each in records for record in each], dead


def test_all_kinds_are_read_to_the_end(broker: Broker) -> None:
    settings = broker.settings()
    kinds = ["readings", "detections", "alerts", "frames"]
    names = create(settings, *kinds, partitions=3)
    sent: dict[str, list[Any]] = {
        "readings": blocks(4, "pump") + blocks(3, "ecg"),
        "detections": [event(), *(verdict("gate", i) for i in range(3)), verdict("yard", 7)],
        "alerts": [alert()],
    }
    for kind, records in sent.items():
        send(settings, settings.topic(kind), messages(records))
    image = cv2.imencode(".png", np.full((2, 3, 3), 9, np.uint8))[1].tobytes()
    send(
        settings, names[3],
        [
            ("gate", image, {"content-type": "image/png", "ce_sequence": str(i),
                             "ce_time": "2023-11-14T22:13:20Z"})
            for i in (3, 4, 6)
        ],
        partition=2,
    )  # fmt: skip
    send(settings, names[0], [("pump", b"junk", {"x": "y"})], partition=1)
    wanted = KafkaSourceSettings(dict.fromkeys(names), end="latest")
    frames, records, dead = run(settings, wanted)

    assert [key for key, _ in records] == [record.stream for _, record in records]
    by_stream = {key: [record for k, record in records if k == key] for key, _ in records}
    expected: dict[str, list[Any]] = {}
    for record in (each for kind in kinds[:3] for each in sent[kind]):
        expected.setdefault(record.stream, []).append(record)
    assert by_stream.keys() == expected.keys()
    for stream, found in by_stream.items():  # the topics of a stream may come in any order
        assert sorted(map(repr, found)) == sorted(map(repr, expected[stream]))
    verdicts = [each for each in by_stream["gate"] if isinstance(each, Verdict)]
    assert verdicts == sent["detections"][1:4]

    # All three frames have one time: only the first is later than the one before.
    assert {key for key, _ in frames} == {"gate"}
    found_frames = [frame for _, batch in frames for frame in batch.frames]
    assert [(frame.sequence, frame.time_ns) for frame in found_frames] == [(3, START_NS)]
    assert found_frames[0].pixels.rgb().tolist() == [[[9] * 3] * 3] * 2
    where = f"topic {names[3]}, partition 2, from 0"
    assert [event for _, batch in frames for event in batch.events] == [
        StreamEvent("gate", START_NS, EventKind.OPENED, detail=where),
        StreamEvent("gate", START_NS, EventKind.DROPPED, 1, "missing", "5 to 5 did not come"),
        StreamEvent("gate", START_NS, EventKind.ENDED, 1),
    ]
    assert sorted((key, str(each.reason)) for key, each in dead) == [
        (f"{names[3]}:2", "late"),
        (f"{names[3]}:2", "late"),
        (f"{names[0]}:1", "undecodable"),
    ]
    junk = next(each for _, each in dead if each.reason is Reason.UNDECODABLE)
    assert (junk.message.topic, junk.message.partition, junk.message.key) == (names[0], 1, b"pump")
    assert (junk.message.headers, junk.message.value) == ((("x", b"y"),), b"junk")


def test_batches_are_bounded(broker: Broker) -> None:
    settings = broker.settings()
    names = create(settings, "frames")
    image = cv2.imencode(".jpg", np.zeros((2, 2, 3), np.uint8))[1].tobytes()
    headers = [
        {
            "content-type": "image/jpeg",
            "ce_sequence": str(i),
            "ce_time": f"2023-11-14T22:13:{i:02}Z",
        }
        for i in range(10)
    ]
    send(settings, names[0], [("gate", image, each) for each in headers])
    wanted = KafkaSourceSettings({names[0]: None}, end="latest", batch_frames=4, batch_messages=9)
    frames, _, _ = run(settings, wanted)
    sizes = [len(batch.frames) for _, batch in frames if batch.frames]
    assert (sum(sizes), max(sizes)) == (10, 4)


@pytest.mark.parametrize("compression", ["none", "gzip", "lz4", "zstd"])
def test_compression(broker: Broker, compression: str) -> None:
    settings = broker.settings(compression=compression)
    (name,) = create(settings, "readings")
    send(settings, name, messages(blocks(20)))
    _, records, _ = run(settings, KafkaSourceSettings({name: None}, end="latest", **ONE))
    assert [record for _, record in records] == blocks(20)


def test_ranges(broker: Broker) -> None:
    settings = broker.settings()
    (name,) = create(settings, "readings")
    sent = blocks(10)
    # Not long ago, since brokers remove what is old by Kafka's own time.
    first_ms = time.time_ns() // 1_000_000 - 100_000
    for i, message in enumerate(messages(sent)):
        send(settings, name, [message], time_ms=first_ms + 1000 * i)

    def read(start: Any, end: Any) -> list[Record]:
        wanted = KafkaSourceSettings({name: None}, start=start, end=end, **ONE)
        return records_in(run_part(part(settings, wanted), lambda _: False))

    first, second = first_ms * 1_000_000, 10**9
    assert read("earliest", "latest") == sent
    assert read("latest", "latest") == []
    assert read(AtOffsets({(name, 0): 3}), AtOffsets({(name, 0): 7})) == sent[3:7]
    assert read(AtTime(first + 2 * second), AtTime(first + 5 * second)) == sent[2:5]
    # Kafka's times are milliseconds: the first that is not older than 2 s and a nanosecond is 3 s.
    assert read(AtTime(first + 2 * second + 1), "latest") == sent[3:]
    assert read(AtTime(first + 99 * second), "latest") == []
    assert read("earliest", AtTime(first + 99 * second)) == sent


def test_what_was_aborted_is_not_seen(broker: Broker) -> None:
    settings = broker.settings()
    (name,) = create(settings, "readings")
    producer = KafkaProducer(
        **settings.producer_options(), transactional_id=f"test-{settings.topic_prefix}"
    )
    producer.init_transactions()
    sent = blocks(3)
    for record, commit in zip(sent, (True, False, True), strict=True):
        producer.begin_transaction()
        producer.send(name, encode(record), b"pump").get(10)
        (producer.commit_transaction if commit else producer.abort_transaction)()
    producer.close()
    # The topic ends with a marker of a transaction, which is no message.
    wanted = KafkaSourceSettings({name: None}, end="latest", **ONE)
    found = records_in(run_part(part(settings, wanted), lambda _: False))
    missing = StreamEvent(
        "pump", sent[2].time_ns, EventKind.DROPPED, 1, "missing", "1 to 1 did not come"
    )
    assert found == [sent[0], missing, sent[2]]


def test_a_snapshot_goes_on_where_it_was_made(broker: Broker) -> None:
    settings = broker.settings()
    (name,) = create(settings, "readings", partitions=2)
    sent = {stream: blocks(30, stream) for stream in ("a", "b", "c", "d")}
    send(settings, name, [each for records in sent.values() for each in messages(records)])
    wanted = KafkaSourceSettings({name: None}, end="latest", batch_messages=7, **ONE)
    found: list[Record] = []
    state = None
    while state is None or not state["finished"]:
        one = part(settings, wanted, state)
        found += records_in([item for _ in range(4) for item in next_batch(one)])
        state = one.snapshot()
        one.close()
    for stream, records in sent.items():
        assert [each for each in found if each.stream == stream] == records
    with pytest.raises(StopIteration):
        part(settings, wanted, state).next_batch()


def next_batch(one: Any) -> list[Any]:
    try:
        items: list[Any] = one.next_batch()
    except StopIteration:
        return []
    return items


def test_a_flow_that_fails_resumes_behind_its_last_epoch(
    broker: Broker, tmp_path: Path, no_epoch: timedelta
) -> None:
    settings = broker.settings()
    (name,) = create(settings, "readings")
    sent = blocks(60)
    send(settings, name, messages(sent))
    init_db_dir(tmp_path, 1)
    found: list[Any] = []
    fail_at = {20, 45}

    def take(record: Any) -> Any:
        if record.sequence in fail_at:
            fail_at.discard(record.sequence)
            raise ValueError("fails once")
        return record

    def once() -> None:
        flow = Dataflow("resumes")
        wanted = KafkaSourceSettings({name: None}, end="latest", batch_messages=10, **ONE)
        records = kafka_input("kafka", flow, KafkaSource(settings, wanted)).records
        out = op.map("take", op.flat_map("each", records, lambda item: list(item[1])), take)
        op.output("out", out, TestingSink(found))
        run_main(flow, epoch_interval=no_epoch, recovery_config=RecoveryConfig(str(tmp_path)))

    for _ in range(2):
        with pytest.raises(Exception, match="error calling"):
            once()
    once()
    assert [record for record, _ in groupby(sorted(found, key=lambda each: each.sequence))] == sent
    # An epoch is one batch of at most ten messages, so no more than that is done again.
    assert len(found) <= len(sent) + 2 * 10


def test_partitions_that_are_added_are_read(broker: Broker) -> None:
    settings = broker.settings()
    (name,) = create(settings, "readings")
    send(settings, name, messages(blocks(3, "a")))
    wanted = KafkaSourceSettings({name: None}, watch_seconds=0.05, **ONE)
    one = part(settings, wanted)
    found = run_part(one, lambda items: len(records_in(items)) == 3)
    admin = KafkaAdminClient(**settings.client_options())
    admin.create_partitions({name: NewPartitions(3)})
    admin.close()
    send(settings, name, messages(blocks(2, "b")), partition=2)
    found += run_part(one, lambda items: len(records_in(items)) == 2)
    send(settings, name, messages(blocks(1, "a", 3)), partition=0)
    found += run_part(one, lambda items: len(records_in(items)) == 1)
    assert records_in(found) == blocks(3, "a") + blocks(2, "b") + blocks(1, "a", 3)
    assert one.snapshot()["offsets"] == {(name, 0): 4, (name, 1): 0, (name, 2): 2}
    one.close()


def test_each_partition_has_one_reader() -> None:
    for readers in (1, 3, 4):
        shares = [reader_of(("t", partition), readers) for partition in range(2 * readers)]
        assert sorted(shares) == sorted([*range(readers), *range(readers)])


def test_offsets_are_committed_for_tools_and_may_be_a_start(broker: Broker) -> None:
    settings = broker.settings()
    (name,) = create(settings, "readings")
    send(settings, name, messages(blocks(6)))
    group = f"group-{settings.topic_prefix}"
    wanted = KafkaSourceSettings({name: None}, group=group, batch_messages=2, **ONE)
    one = part(settings, wanted)
    run_part(one, lambda items: len(records_in(items)) == 4)
    one.snapshot()
    one.close()
    with Cluster(settings) as cluster:
        assert cluster.committed(group) == {(name, 0): 4}
    again = part(settings, replace(wanted, start="committed", end="latest"))
    assert records_in(run_part(again, lambda _: False)) == blocks(2, first=4)
    again.close()


def test_progress_is_told(broker: Broker) -> None:
    settings = broker.settings()
    (name,) = create(settings, "readings")
    send(settings, name, messages(blocks(5)))
    told: list[Any] = []
    wanted = KafkaSourceSettings({name: None}, watch_seconds=0.05, **ONE)
    one = part(settings, wanted, progress=lambda *values: told.append(values))
    run_part(one, lambda _: ((name, 0), 5, 5) in told)
    one.close()


def test_stopped_readers_end_their_streams(broker: Broker) -> None:
    settings = broker.settings()
    (name,) = create(settings, "frames")
    image = cv2.imencode(".jpg", np.zeros((2, 2, 3), np.uint8))[1].tobytes()
    headers = {"content-type": "image/jpeg", "ce_sequence": "0", "ce_time": "2023-11-14T22:13:20Z"}
    send(settings, name, [("gate", image, headers)])
    stop = threading.Event()
    one = part(settings, KafkaSourceSettings({name: None}, **ONE), stop=stop)
    run_part(one, bool)
    stop.set()
    ended = StreamEvent("gate", START_NS, EventKind.ENDED, 1, "stopped")
    assert one.next_batch() == [("gate", FrameBatch("gate", (), (ended,)))]
    with pytest.raises(StopIteration):
        one.next_batch()
    assert not one.snapshot()["finished"]
    one.close()


def test_topics_with_other_names_are_told_what_they_hold(broker: Broker) -> None:
    settings = broker.settings()
    (name,) = create(settings, "plant")
    send(settings, name, messages(blocks(2)))
    wanted = KafkaSourceSettings({name: TopicKind.READINGS}, end="latest", **ONE)
    assert records_in(run_part(part(settings, wanted), lambda _: False)) == blocks(2)
