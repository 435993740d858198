"""WFDB headers: what the signal files of a record hold.

The format is that of the WFDB Applications Guide, header(5): a record line, then one line for each
signal; ``#`` starts a comment. Times have no zone; they are taken as UTC. Not read: records of many
segments, several samples a frame, and skewed signals. A header that asks for one is refused, never
read wrongly.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from connectors.wfdb_formats import FORMATS
from records.checks import LONGEST_NAME
from records.errors import SourceError
from records.reading import MOST_CHANNELS
from records.units import NANOSECONDS

LARGEST_HEADER = 2**20
"""The largest header, bytes."""

DEFAULT_RATE_HZ = 250.0
"""The rate of a record whose header names none, Hz."""

DEFAULT_GAIN = 200.0
"""The gain of a signal whose header names none, units of the converter for one physical unit."""

LEAST_RATE_HZ, MOST_RATE_HZ = 1e-6, 1e9
"""The rates that event times in nanoseconds can hold and tell apart, Hz."""

MOST_OFFSET = 2**40
"""The most bytes before a file's first sample, and the most samples of a record."""

LATEST_START_NS = 7_258_118_400 * NANOSECONDS
"""The first day of the year 2200: later starts leave too little room before int64 ends."""

_RECORD = re.compile(
    r"(?P<name>[\w-]+)(?P<segments>/\d+)?\s+(?P<signals>\d{1,9})"
    r"(?:\s+(?P<rate>[\d.eE+-]+)(?:/\S+)?"
    r"(?:\s+(?P<samples>\d{1,18})"
    r"(?:\s+(?P<time>[\d:.]+)(?:\s+(?P<date>\d{1,2}/\d{1,2}/\d{4}))?)?)?)?",
    re.ASCII,
)
_SIGNAL = re.compile(
    r"(?P<file>\S+)\s+(?P<format>\d{1,4})(?P<frame>x\d+)?(?P<skew>:\d+)?(?:\+(?P<offset>\d{1,18}))?"
    r"(?:\s+(?P<gain>[\d.eE+-]+)(?:\((?P<baseline>[+-]?\d{1,18})\))?(?:/(?P<units>\S+))?"
    r"(?:\s+(?P<bits>\d{1,9})(?:\s+(?P<zero>[+-]?\d{1,18})"
    r"(?:\s+[+-]?\d+(?:\s+[+-]?\d+(?:\s+\d+(?:\s+(?P<description>.*))?)?)?)?)?)?)?",
    re.ASCII,
)
_FILE_NAME = re.compile(r"[\w-][\w.-]*", re.ASCII)
_TIME = re.compile(r"(?:(?:(\d{1,2}):)?(\d{1,2}):)?(\d{1,2})(?:\.(\d{1,9}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class WfdbSignal:
    """One signal of a record.

    Attributes:
        file: The name of its file, in the folder of the header.
        format: How samples are stored: one of `connectors.wfdb_formats.FORMATS`.
        offset: Bytes before the first sample.
        gain: Units of the converter for one physical unit.
        baseline: The converter's value for 0 physical units.
        units: The physical unit.
        description: The signal's name; "signal 0" … where the header says none.
    """

    file: str
    format: int
    offset: int
    gain: float
    baseline: int
    units: str
    description: str


@dataclass(frozen=True, slots=True)
class WfdbHeader:
    """What a header says of a record.

    Attributes:
        name: The record's name.
        rate_hz: Samples per second of each signal, Hz.
        samples: Samples of each signal; None where the header says nothing.
        start_ns: Event time of the first sample, nanoseconds since 1970 UTC; None without a date.
        signals: The signals, at least one, in the order of the lines.
    """

    name: str
    rate_hz: float
    samples: int | None
    start_ns: int | None
    signals: tuple[WfdbSignal, ...] = field(default_factory=tuple)


def parse_header(text: str) -> WfdbHeader:
    r"""Read a header.

    Args:
        text: The whole ``.hea`` file.

    Raises:
        SourceError: it is no header, or asks for what is not read; the message names the line.

    >>> header = parse_header("A1 1 300 9000 05:05:15 1/05/2000\nA1.mat 16+24 1000/mV")
    >>> header.rate_hz, header.samples, header.start_ns, header.signals[0].units
    (300.0, 9000, 957157515000000000, 'mV')
    """
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    lines = [(number, line) for number, line in lines if line and not line.startswith("#")]
    if not lines:
        raise SourceError("a WFDB header must have a record line, got none")
    number, first = lines[0]
    found = _RECORD.fullmatch(first)
    if found is None:
        raise _wrong(number, "'NAME SIGNALS [RATE [SAMPLES [TIME [DATE]]]]'", first)
    if found["segments"]:
        raise _wrong(number, "one segment; name the records of the segments instead", first)
    count = int(found["signals"])
    if not 1 <= count <= MOST_CHANNELS:
        raise _wrong(number, f"1 to {MOST_CHANNELS} signals", str(count))
    if len(lines) <= count:
        raise SourceError(
            f"a WFDB header of {count} signals must have a line for each, got {len(lines) - 1}"
        )
    rate_hz = _number(number, "a rate", found["rate"], DEFAULT_RATE_HZ)
    if not LEAST_RATE_HZ <= rate_hz <= MOST_RATE_HZ:
        limits = f"{LEAST_RATE_HZ:g}..{MOST_RATE_HZ:g}"
        raise _wrong(number, f"a rate in {limits} Hz", found["rate"])
    signals = tuple(
        _signal(place, number, line) for place, (number, line) in enumerate(lines[1 : count + 1])
    )
    samples = int(found["samples"] or 0)
    if samples > MOST_OFFSET:
        raise _wrong(number, f"at most {MOST_OFFSET} samples", str(samples))
    start_ns = _start_ns(number, found["time"], found["date"])
    return WfdbHeader(found["name"], rate_hz, samples or None, start_ns, signals)


def _signal(place: int, number: int, line: str) -> WfdbSignal:
    found = _SIGNAL.fullmatch(line)
    if found is None:
        raise _wrong(number, "'FILE FORMAT [GAIN [BITS [ZERO …]]]'", line)
    if not _FILE_NAME.fullmatch(found["file"]):
        raise _wrong(number, "the name of a file in the header's folder", found["file"])
    if int(found["format"]) not in FORMATS:
        raise _wrong(number, f"a format of {', '.join(map(str, FORMATS))}", found["format"])
    if found["frame"] not in (None, "x1") or found["skew"] not in (None, ":0"):
        raise _wrong(number, "one sample a frame and no skew", line)
    offset = int(found["offset"] or 0)
    if offset > MOST_OFFSET:
        raise _wrong(number, f"at most {MOST_OFFSET} bytes before the samples", str(offset))
    # A gain of 0 says that the signal was not calibrated; then, as WFDB does, the default.
    gain = _number(number, "a gain", found["gain"], DEFAULT_GAIN) or DEFAULT_GAIN
    baseline = int(found["baseline"] or found["zero"] or 0)
    description = found["description"] or f"signal {place}"
    units = found["units"] or "mV"
    for text in (description, units):
        if len(text) > LONGEST_NAME or not text.isprintable():
            raise _wrong(number, f"texts of at most {LONGEST_NAME} printable characters", text)
    return WfdbSignal(
        found["file"],
        int(found["format"]),
        offset,
        gain,
        baseline,
        units,
        description,
    )


def _start_ns(number: int, time: str | None, date: str | None) -> int | None:
    """Event time of the first sample; None without a date."""
    found = None if time is None else _TIME.fullmatch(time)
    if time is not None and found is None:
        raise _wrong(number, "a time as HH:MM:SS", time)
    if found is None or date is None:
        return None
    hours, minutes, seconds = (int(part or 0) for part in found.groups()[:3])
    day, month, year = (int(part) for part in date.split("/"))
    try:
        moment = datetime(year, month, day, hours, minutes, seconds, tzinfo=UTC)
    except ValueError as error:
        raise _wrong(number, f"a time and a date DD/MM/YYYY ({error})", f"{time} {date}") from error
    elapsed = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)
    start_ns = elapsed * NANOSECONDS + int((found[4] or "0").ljust(9, "0"))
    if not 0 <= start_ns < LATEST_START_NS:
        raise _wrong(number, "a date in 1970 to 2200", date)
    return start_ns


def _number(number: int, what: str, text: str | None, default: float) -> float:
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise _wrong(number, f"{what} that is a number", text)
    return value


def _wrong(number: int, wanted: str, got: str) -> SourceError:
    return SourceError(f"line {number} of a WFDB header must have {wanted}, got {got!r}")
