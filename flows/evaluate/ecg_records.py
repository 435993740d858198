"""Labelled ECG records on disk, laid out as in the PhysioNet/CinC Challenge 2017.

A folder holds WFDB records and ``REFERENCE.csv``: one line ``name,label`` for each record.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from connectors.wfdb import WfdbRecord
from models.ecg_data import LabelledSignal
from models.ecg_network import WINDOW
from records import RecordError, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REFERENCE = "REFERENCE.csv"
"""The file of labels."""

LARGEST_REFERENCE = 2**24
"""The largest file of labels, bytes."""

MOST_RECORD_SAMPLES = 2**22
"""The longest record, samples: nearly four hours at 300 Hz."""

_NAME = re.compile(r"[\w-]{1,100}", re.ASCII)


@dataclass(frozen=True, slots=True)
class EcgRecords:
    """The records of a folder.

    Attributes:
        signals: Those that can be used, in the order of the file of labels.
        unusable: For each of the others, why.
    """

    signals: tuple[LabelledSignal, ...]
    unusable: tuple[str, ...]


def read_ecg_records(folder: Path, classes: tuple[str, ...], rate_hz: float) -> EcgRecords:
    """Read all records of a folder; the first signal of each.

    Args:
        folder: The folder.
        classes: The labels that there may be.
        rate_hz: The rate that records must have, Hz.

    Raises:
        SourceError: the file of labels cannot be read or names no record that can be used.
    """
    signals: list[LabelledSignal] = []
    unusable: list[str] = []
    for name, label in _labels(folder / REFERENCE, classes):
        try:
            signals.append(_read(folder / name, classes.index(label), rate_hz))
        except (RecordError, SourceError) as error:
            unusable.append(f"{name}: {error}")
    if not signals:
        why = f"; the first: {unusable[0]}" if unusable else ""
        raise SourceError(f"{folder / REFERENCE} must name records that can be used{why}")
    return EcgRecords(tuple(signals), tuple(unusable))


def _labels(path: Path, classes: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_REFERENCE + 1)
    except OSError as error:
        raise SourceError(f"labelled ECG records need the file {path}: {error.strerror}") from error
    if len(data) > LARGEST_REFERENCE:
        raise SourceError(f"{path} must have at most {LARGEST_REFERENCE} bytes")
    seen: set[str] = set()
    lines = data.decode("utf-8", errors="replace").splitlines()
    for number, row in enumerate(csv.reader(lines), 1):
        right = len(row) == 2 and _NAME.fullmatch(row[0]) and row[1] in classes
        if not right or row[0] in seen:
            raise SourceError(
                f"line {number} of {path} must be a new record's name and one of "
                f"{', '.join(classes)}, got {','.join(row)!r}"
            )
        seen.add(row[0])
        yield row[0], row[1]


def _read(path: Path, label: int, rate_hz: float) -> LabelledSignal:
    record = WfdbRecord(path)
    if record.header.rate_hz != rate_hz:
        raise SourceError(f"its rate must be {rate_hz:g} Hz, got {record.header.rate_hz:g}")
    if not WINDOW <= record.samples <= MOST_RECORD_SAMPLES:
        raise SourceError(
            f"it must have {WINDOW} to {MOST_RECORD_SAMPLES} samples, got {record.samples}"
        )
    return LabelledSignal(path.name, record.read(0, record.samples)[:, 0].copy(), label)
