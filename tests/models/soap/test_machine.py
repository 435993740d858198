"""Machines: their links, the published ones, and those of users' files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from models.soap.machine import Device, Link, Machine, Runtime, this_machine
from models.soap.machine_file import MachineFile
from models.soap.machines_published import EDR_INFINIBAND, GIB, NVLINK, find_machine
from records import ConfigurationError, RecordError

if TYPE_CHECKING:
    from pathlib import Path

TEXT = """name: lab
nodes: 2
switches: 1
devices: 2
device:
  kind: A4000
  memory_bytes: 17179869184
  flops: 19.2e12
  memory_bytes_per_second: 448e9
links:
  switch: {bytes_per_second: 16e9, latency_seconds: 1e-5}
  node: {bytes_per_second: 8000000000, latency_seconds: 0, shared: true}
  network: {bytes_per_second: 1.25e9, latency_seconds: 5e-5, shared: true}
"""


def test_transfers_take_latency_and_bytes_on_the_link_between() -> None:
    machine = find_machine("p100")
    assert len(machine.devices) == 16
    assert machine.overlap
    assert machine.transfer_seconds(3, 3, 10**9) == 0
    assert machine.transfer_seconds(0, 3, 10**9) == NVLINK.latency_seconds + 0.05
    assert machine.transfer_seconds(0, 4, 10**9) == EDR_INFINIBAND.latency_seconds + 0.08
    assert [machine.link(0, 1), machine.link(1, 0)] == [("switch", 0, 1), ("switch", 1, 0)]
    # All that leaves a node goes through its one adapter.
    assert machine.link(0, 4) == machine.link(3, 12) == ("network", 0, 0)


def test_adjacent_gpus_of_the_k80_cluster_share_a_switch() -> None:
    machine = find_machine("k80")
    assert [d.name for d in machine.devices[3:6]] == ["0.1.1", "1.0.0", "1.0.1"]
    assert machine.devices[0].memory_bytes == 12 * GIB
    assert machine.link(0, 1) == ("switch", 0, 1)
    assert machine.link(0, 2) == machine.link(3, 1) == ("node", 0, 0)
    assert machine.link(63, 0) == ("network", 15, 0)


def test_this_machine_blocks_and_shares_its_memory() -> None:
    runtime = Runtime(message_seconds=1e-3, bytes_per_second=1e6)
    machine = this_machine(2, runtime)
    assert not machine.overlap
    assert machine.transfer_seconds(0, 1, 1000) == 2e-3
    assert machine.devices[0].memory_bytes == machine.devices[1].memory_bytes > GIB // 8
    with pytest.raises(RecordError) as caught:
        this_machine(0)
    assert str(caught.value) == "ranks must be in 1..4096, got 0"


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: Device("a", 0), "memory_bytes must be at least 1, got 0"),
        (lambda: Device("a", 1, node=-1), "node must be at least 0, got -1"),
        (lambda: Device("a", 1, flops=0), "flops must be above 0 and finite, got 0"),
        (lambda: Link(1, -1), "latency_seconds must be at least 0 and finite, got -1"),
        (lambda: Runtime(alone_factor=1.5), "alone_factor must be at most 1, got 1.5"),
        (lambda: Machine("a", (), {}), "a machine must have 1..4096 devices, got 0"),
        (
            lambda: Machine("a", (Device("a", 1),), {"node": Link(1, 0)}),
            "links must be given for ['switch', 'node', 'network'], got ['node']",
        ),
        (
            lambda: MachineFile("a", 100, 10, 10, Device("a", 1), {}),
            "a machine must have at most 4096 devices, got 10000",
        ),
        (
            lambda: find_machine("cray"),
            "a machine must be one of ['k80', 'p100'] or a YAML file, got 'cray'",
        ),
    ],
)
def test_values_out_of_range(make: object, complaint: str) -> None:
    assert callable(make)
    with pytest.raises(RecordError) as caught:
        make()
    assert str(caught.value) == complaint


def test_a_users_machine(tmp_path: Path) -> None:
    path = tmp_path / "lab.yaml"
    path.write_text(TEXT)
    machine = find_machine(str(path))
    assert machine.name == "lab"
    assert machine.devices[3] == Device(
        "1.0.1", 17179869184, 1, 0, "A4000", 19.2e12, 448e9, launch_seconds=1e-5
    )
    assert machine.links["node"] == Link(8e9, 0.0, shared=True)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (
            "nodes: 2",
            "nodes: two",
            "2: nodes: has the wrong type (got 'two'). Give a whole number.",
        ),
        ("nodes: 2\n", "", "1: nodes: is missing. Give a whole number."),
        (
            "kind: A4000",
            "kind: A4000\n  cores: 3",
            "7: device.cores: is not known (got 3). Known are ['kind', 'memory_bytes', 'flops', "
            "'memory_bytes_per_second', 'launch_seconds'].",
        ),
        (
            "16e9,",
            "-1.0,",
            "11: links.switch: bytes_per_second must be above 0 and finite, got -1.0. Mend the "
            "value.",
        ),
        (
            "nodes: 2",
            "nodes: 5000",
            "1: nodes must be in 1..4096, got 5000. Mend the value.",
        ),
        (
            "nodes: 2",
            "nodes: [",
            "4: is no YAML: expected ',' or ']', but got ':'. See the example in "
            "models/soap/machine_file.py.",
        ),
        (TEXT, "- 1", " must be a mapping. See the example in models/soap/machine_file.py."),
        (
            TEXT,
            "#" * 70_000,
            " is larger than 65536 bytes. See the example in models/soap/machine_file.py.",
        ),
    ],
)
def test_mistakes_in_a_file(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    path = tmp_path / "lab.yaml"
    path.write_text(TEXT.replace(old, new))
    with pytest.raises(ConfigurationError) as caught:
        find_machine(str(path))
    assert str(caught.value) == f"1 fault in the configuration:\n  {path}:{complaint}"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read: .*No such file"):
        find_machine(str(tmp_path / "none.yaml"))
