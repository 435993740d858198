"""Published machines, so that the settings of papers can be simulated.

The clusters are those of FlexFlow, section 8.1 ("Experimental setup"): four nodes of four Tesla
P100 joined by NVLink, with EDR InfiniBand between nodes, and sixteen nodes of four Tesla K80 of
which adjacent ones share a PCI Express switch, with a shared switch to the processors and
InfiniBand between nodes.

Figures of devices are their makers' (NVIDIA, "Tesla P100" data sheet, 2016; "Tesla K80" board
specification, 2015: half a board is one device, at its base clock); single precision. Bandwidths
are nominal: 20 GB/s one way for each NVLink 1.0 connection, 16 lanes of PCI Express 3.0 at 8 GT/s
with 128b/130b coding, 100 and 56 Gb/s InfiniBand. Latencies are typical of messages between GPUs
through CUDA and MPI of the time; the papers give none.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from models.soap.machine import Device, Link, Machine
from models.soap.machine_file import MachineFile, build, read_machine
from records import RecordError

if TYPE_CHECKING:
    from collections.abc import Mapping

GIB = 1024**3
"""Bytes of a gibibyte."""

P100 = Device(
    "P100", 16 * GIB, kind="P100", flops=10.6e12, memory_bytes_per_second=732e9, launch_seconds=5e-6
)
"""Tesla P100 SXM2 16 GB: 10.6 TFLOP/s, 732 GB/s."""

K80 = Device(
    "K80", 12 * GIB, kind="K80", flops=2.8e12, memory_bytes_per_second=240e9, launch_seconds=1e-5
)
"""One of the two GPUs of a Tesla K80: 2.8 TFLOP/s at 560 MHz, 240 GB/s."""

NVLINK = Link(20e9, 1e-5)
"""NVLink 1.0: each pair of a node's four GPUs has a connection of its own."""

PCI_EXPRESS = Link(8e9 * 16 * 128 / 130 / 8, 1e-5)
"""Sixteen lanes of PCI Express 3.0 between two GPUs at one switch."""

SHARED_PCI_EXPRESS = Link(PCI_EXPRESS.bytes_per_second, 1.5e-5, shared=True)
"""The same through the switch that all GPUs of a node share."""

EDR_INFINIBAND = Link(100e9 / 8, 2e-5, shared=True)
"""100 Gb/s from each node."""

FDR_INFINIBAND = Link(56e9 / 8, 2e-5, shared=True)
"""56 Gb/s from each node."""

PUBLISHED: Mapping[str, Machine] = {
    "p100": build(
        MachineFile(
            name="p100",
            nodes=4,
            switches=1,
            devices=4,
            device=P100,
            links={"switch": NVLINK, "node": NVLINK, "network": EDR_INFINIBAND},
        )
    ),
    "k80": build(
        MachineFile(
            name="k80",
            nodes=16,
            switches=2,
            devices=2,
            device=K80,
            links={"switch": PCI_EXPRESS, "node": SHARED_PCI_EXPRESS, "network": FDR_INFINIBAND},
        )
    ),
}
"""The machines by name: "p100" with 16 devices and "k80" with 64."""


def find_machine(name: str) -> Machine:
    """A published machine by its name, or the one that a YAML file describes.

    Args:
        name: "p100", "k80", or a path that ends in ``.yaml`` or ``.yml``.

    Raises:
        RecordError: there is no machine of this name.
        ConfigurationError: the file is wrong.

    >>> len(find_machine("k80").devices)
    64
    """
    if name in PUBLISHED:
        return PUBLISHED[name]
    if Path(name).suffix in {".yaml", ".yml"}:
        return read_machine(Path(name))
    raise RecordError(f"a machine must be one of {sorted(PUBLISHED)} or a YAML file, got '{name}'")
