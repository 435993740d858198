"""Windows of signals for Label Studio: one CSV file each, and the interface that shows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import numpy as np

from connectors.codec import decode
from connectors.labels.exchange import write_file
from records import CodecError, Reading

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from connectors.queue_items import Entry
    from records import RetrainingItem

SIGNALS = "signals"
"""The folder of the signals."""

NO_CROP = "no picture and no signal"
"""Why an item is not written: nothing is kept beside it."""

OTHER_CHANNELS = "other channels than the first"
"""Why a signal is not written: one interface shows one set of channels."""


@dataclass(frozen=True, slots=True)
class WrittenSignals:
    """The signals that were written.

    Attributes:
        items: Their items.
        channels: Name and unit of each channel.
        skipped: Why others were not, by id.
    """

    items: tuple[RetrainingItem, ...]
    channels: tuple[tuple[str, str], ...]
    skipped: Mapping[str, str]

    def view(self, classes: Sequence[str]) -> ET.Element:
        """The labelling interface: the channels over time, and a choice of one class."""
        view = ET.Element("View")
        series = ET.SubElement(
            view,
            "TimeSeries",
            {
                "name": "signal",
                "value": "$csv",
                "valueType": "url",
                "timeColumn": "seconds",
                "sep": ",",
            },
        )
        for column, (name, unit) in enumerate(self.channels):
            ET.SubElement(
                series, "Channel", {"column": _column(column), "displayName": name, "units": unit}
            )
        choices = ET.SubElement(
            view, "Choices", {"name": "class", "toName": "signal", "choice": "single"}
        )
        for name in classes:
            ET.SubElement(choices, "Choice", {"value": name})
        return view


def write_signals(folder: Path, entries: Sequence[Entry]) -> WrittenSignals:
    """Write the signals of entries as CSV: seconds since the window began, then the channels.

    Missing samples are empty. All signals must have the channels of the first.

    Raises:
        SightflowError: a file cannot be written.
    """
    items: list[RetrainingItem] = []
    channels: tuple[tuple[str, str], ...] = ()
    skipped: dict[str, str] = {}
    for item, data in entries:
        reading = _reading(data)
        if reading is None:
            skipped[item.id] = NO_CROP
            continue
        found = tuple(zip(reading.channels, reading.units, strict=True))
        channels = channels or found
        if found != channels:
            skipped[item.id] = OTHER_CHANNELS
            continue
        write_file(folder / SIGNALS / f"{item.name}.csv", _csv(reading))
        items.append(item)
    return WrittenSignals(tuple(items), channels, skipped)


def _reading(data: bytes | None) -> Reading | None:
    try:
        found = None if data is None else decode(data)
    except CodecError:
        return None
    return found if isinstance(found, Reading) else None


def _column(number: int) -> str:
    return f"channel{number}"


def _csv(reading: Reading) -> bytes:
    columns = ",".join(_column(k) for k in range(len(reading.channels)))
    times = np.arange(len(reading.samples)) / reading.rate_hz
    rows = (
        f"{time:.6f},{','.join('' if np.isnan(one) else f'{one:.7g}' for one in samples)}\n"
        for time, samples in zip(times.tolist(), reading.samples.tolist(), strict=True)
    )
    return (f"seconds,{columns}\n" + "".join(rows)).encode()
