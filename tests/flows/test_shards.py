"""Shards go to the processes they are meant for, also in the engine itself."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from flows.cluster import free_ports
from flows.shards import MOST_PROCESSES, Shards, engine_hash, shard_key
from records import RecordError

WORKER = """
import sys
import json
import bytewax.operators as op
from bytewax.connectors.stdio import StdOutSink
from bytewax.dataflow import Dataflow
from bytewax.run import cli_main
from bytewax.testing import TestingSource

process, addresses = int(sys.argv[1]), sys.argv[2].split(",")
keys = [f"key {number}" for number in range(40)]
flow = Dataflow("where")
items = op.input("items", flow, TestingSource([(key, 0) for key in keys] if not process else []))
placed = op.stateful_map("placed", items, lambda state, value: (state, process))
op.output("out", op.map("text", placed, lambda item: json.dumps(item)), StdOutSink())
cli_main(flow, process_id=process, addresses=addresses)
"""


def test_the_engine_sends_keys_where_their_hash_says() -> None:
    addresses = ",".join(f"127.0.0.1:{port}" for port in free_ports(3))
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(process), addresses],
            stdout=subprocess.PIPE, text=True,
        )
        for process in range(3)
    ]  # fmt: skip
    found = [line for worker in workers for line in worker.communicate(timeout=60)[0].splitlines()]
    # The engine prints lines of its own while the workers find each other.
    placed = dict(json.loads(line) for line in found if line.startswith("["))
    assert placed == {f"key {n}": engine_hash(f"key {n}") % 3 for n in range(40)}
    assert set(placed.values()) == {0, 1, 2}


def test_a_shard_goes_to_its_process_for_every_number_of_processes() -> None:
    for place in range(20):
        for processes in range(1, MOST_PROCESSES + 1):
            assert engine_hash(shard_key(place)) % processes == place % processes


def test_known_streams_are_dealt_out_in_turn_and_others_by_name() -> None:
    shards = Shards(2, ("c", "a", "b", "d"))
    assert [shards.place(stream) for stream in "abcd"] == [0, 1, 0, 1]
    others = [shards.place(f"camera {number}") for number in range(100)]
    assert 30 < sum(others) < 70
    assert [shards.process(stream, 2) for stream in "ab"] == [0, 1]


@pytest.mark.parametrize("count", [0, 65])
def test_the_number_of_shards_is_bounded(count: int) -> None:
    with pytest.raises(RecordError, match=f"^shards must be in 1..64, got {count}$"):
        Shards(count)
