"""WFDB records: a header and the files of its signals, read in pieces."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from connectors.wfdb_formats import FORMATS, decode_samples, samples_in
from connectors.wfdb_header import LARGEST_HEADER, WfdbHeader, WfdbSignal, parse_header
from records.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

HEADER_SUFFIX = ".hea"
"""How the name of a header ends."""

MOST_SAMPLES = 2**24
"""The most samples, over all signals, that one call of `read` may ask for."""


class WfdbRecord:
    """One record on disk. Nothing is kept open; every read is a read of its own.

    Args:
        path: The header, or the record's name: its path without ``.hea``.

    Raises:
        SourceError: a file is missing, is no header, or its signals cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path if path.suffix == HEADER_SUFFIX else path.with_name(path.name + ".hea")
        self.header: WfdbHeader = _read_header(self.path)
        self._files = _by_file(self.path, self.header)
        declared = self.header.samples
        there = min(_frames_there(self.path, group) for group in self._files)
        self.samples = there if declared is None else min(there, declared)
        self.missing_samples = 0 if declared is None else declared - self.samples

    @property
    def channels(self) -> tuple[str, ...]:
        """The name of each signal; repeated names get their place behind."""
        names = [signal.description for signal in self.header.signals]
        return tuple(
            name if names.count(name) == 1 else f"{name} ({place})"
            for place, name in enumerate(names)
        )

    @property
    def units(self) -> tuple[str, ...]:
        """The physical unit of each signal."""
        return tuple(signal.units for signal in self.header.signals)

    def read(self, start: int, count: int) -> NDArray[np.float32]:
        """Read samples in physical units.

        Args:
            start: The first sample, at least 0.
            count: How many; fewer come where the record ends. At most 2^24 over all signals.

        Returns:
            float32 (n, signals); NaN where a sample is missing.

        Raises:
            SourceError: too many are asked for, or a file cannot be read any more.
        """
        channels = len(self.header.signals)
        if start < 0 or count < 0 or count * channels > MOST_SAMPLES:
            raise SourceError(
                f"a read must begin at 0 or later and have at most {MOST_SAMPLES // channels} "
                f"samples of {channels} signals, got {count} from {start}"
            )
        count = max(min(count, self.samples - start), 0)
        found = np.full((count, channels), np.nan, dtype=np.float32)
        for group in self._files:
            for place, values in _read_group(self.path, group, start, count):
                found[: len(values), place] = values
        return found


Group = list[tuple[int, WfdbSignal]]
"""The signals of one file, with their places in the record."""


def _read_header(path: Path) -> WfdbHeader:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_HEADER + 1)
    except (OSError, ValueError) as error:
        raise SourceError(f"the WFDB header {path} cannot be read: {_reason(error)}") from error
    if len(data) > LARGEST_HEADER:
        raise SourceError(f"the WFDB header {path} must have at most {LARGEST_HEADER} bytes")
    try:
        return parse_header(data.decode("utf-8", errors="replace"))
    except SourceError as error:
        raise SourceError(f"{path}: {error}") from error


def _by_file(path: Path, header: WfdbHeader) -> list[Group]:
    files: dict[str, Group] = {}
    for place, signal in enumerate(header.signals):
        files.setdefault(signal.file, []).append((place, signal))
    for name, group in files.items():
        if len({(signal.format, signal.offset) for _, signal in group}) > 1:
            raise SourceError(f"{path}: the signals in {name} must have one format and one offset")
    return list(files.values())


def _frames_there(path: Path, group: Group) -> int:
    """How many samples of each signal the group's file holds."""
    signal = group[0][1]
    file = path.with_name(signal.file)
    try:
        size = file.stat().st_size
    except OSError as error:
        raise SourceError(f"{path} needs the file {file}: {_reason(error)}") from error
    return samples_in(max(size - signal.offset, 0), FORMATS[signal.format]) // len(group)


def _read_group(
    path: Path, group: Group, start: int, count: int
) -> list[tuple[int, NDArray[np.float32]]]:
    """The samples of each signal of one file, by its place; they lie in turns in the file."""
    signal, turns = group[0][1], len(group)
    form = FORMATS[signal.format]
    first, skip = divmod(start * turns, form.samples)
    groups = -(-(skip + count * turns) // form.samples)
    file = path.with_name(signal.file)
    try:
        with file.open("rb") as opened:
            opened.seek(signal.offset + first * form.size, os.SEEK_SET)
            data = opened.read(groups * form.size)
    except OSError as error:
        raise SourceError(f"{file} cannot be read: {_reason(error)}") from error
    raw = decode_samples(data, form, skip, count * turns)
    frames = raw[: len(raw) // turns * turns].reshape(-1, turns)
    return [
        (place, _physical(frames[:, turn], one, form.missing))
        for turn, (place, one) in enumerate(group)
    ]


def _physical(raw: NDArray[np.int32], signal: WfdbSignal, missing: int) -> NDArray[np.float32]:
    """Samples in physical units: (raw - baseline) / gain."""
    with np.errstate(over="ignore"):
        values = (raw.astype(np.float64) - signal.baseline) / signal.gain
        found = np.where(raw == missing, np.nan, values).astype(np.float32)
    found[np.isinf(found)] = np.nan
    return found


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
