"""Headers of messages: CloudEvents in binary mode.

Kafka protocol binding of CloudEvents 1.0.2, section 3.2: the attributes are headers with the
prefix ``ce_``, the content type is the header ``content-type``, all of them UTF-8.
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote

from connectors.codec import event_time_ns, iso_time, kind_of
from records import RecordError
from records.checks import LATEST_TIME_NS
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from records import Record

Header = tuple[str, bytes]
"""One header of a message: its name and its value."""

SPECIFICATION = "1.0"
"""The version of CloudEvents."""

TYPE_PREFIX = "io.sightflow."
"""What the type of each event begins with; the kind of the record follows."""

MSGPACK = "application/msgpack"
"""The content type of records in msgpack, and of raw frames."""

JSON = "application/json"
"""The content type of records in JSON."""

JPEG = "image/jpeg"
"""The content type of frames in JPEG."""

PNG = "image/png"
"""The content type of frames in PNG."""

CONTENT_TYPE = "content-type"
"""The header that names the content type."""

_TIME = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?([Zz]|[+-]\d{2}:\d{2})"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NANOSECOND_DIGITS = 9


def event_source(flow: str, kind: str) -> str:
    """The source of the events of one kind of record: source and id together are unique.

    >>> event_source("shop north", "verdict")
    '/sightflow/shop%20north/verdict'
    """
    return f"/sightflow/{quote(flow, safe='')}/{kind}"


def record_headers(record: Record, flow: str, content_type: str) -> list[Header]:
    """The headers of a record's message; equal records have equal headers.

    Args:
        record: The record. Its own id is that of the event.
        flow: The name of the flow that sends it.
        content_type: How its value is written.
    """
    kind = kind_of(record)
    values = {
        "ce_specversion": SPECIFICATION,
        "ce_id": record.id,
        "ce_source": event_source(flow, kind),
        "ce_type": TYPE_PREFIX + kind,
        "ce_time": iso_time(event_time_ns(record)),
        CONTENT_TYPE: content_type,
    }
    return [(name, value.encode()) for name, value in values.items()]


def read_headers(headers: Iterable[tuple[str, bytes | None]]) -> dict[str, str]:
    """The headers as text by name in lower case; of one that is there twice, the last.

    Raises:
        RecordError: a header that CloudEvents defines is no UTF-8.
    """
    found: dict[str, str] = {}
    for name, value in headers:
        lower = name.lower()
        try:
            found[lower] = (value or b"").decode()
        except UnicodeDecodeError as error:
            if lower.startswith("ce_") or lower == CONTENT_TYPE:
                raise RecordError(f"header {name} must be UTF-8") from error
    return found


def parse_time(text: str) -> int:
    """Read a time of RFC 3339 as nanoseconds since 1970 UTC; all nine digits count.

    Raises:
        RecordError: it is none, or before 1970 or after 2262.

    >>> parse_time("2023-11-14T23:13:20.000000007+01:00")
    1700000000000000007
    """
    match = _TIME.fullmatch(text)
    wrong = f"a time must be RFC 3339 between 1970 and 2262, got {text[:60]!r}"
    if match is None:
        raise RecordError(wrong)
    day, clock, fraction, zone = match.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}{zone.upper()}")
    except ValueError as error:
        raise RecordError(wrong) from error
    seconds = (moment - _EPOCH) // timedelta(seconds=1)
    time_ns = seconds * NANOSECONDS + int((fraction or "").ljust(_NANOSECOND_DIGITS, "0"))
    if not 0 <= time_ns <= LATEST_TIME_NS:
        raise RecordError(wrong)
    return time_ns
