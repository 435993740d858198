from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.codec import iso_time
from connectors.kafka.headers import parse_time, read_headers, record_headers
from records import RecordError
from tests.support.records import alert, estimate, event, reading, repeatable, verdict

if TYPE_CHECKING:
    from records import Record


def test_headers_of_records() -> None:
    assert record_headers(verdict("gate", 7), "shop north", "application/msgpack") == [
        ("ce_specversion", b"1.0"),
        ("ce_id", b"gate:7"),
        ("ce_source", b"/sightflow/shop%20north/verdict"),
        ("ce_type", b"io.sightflow.verdict"),
        ("ce_time", b"2023-11-14T22:13:20.700000000Z"),
        ("content-type", b"application/msgpack"),
    ]
    others: list[Record] = [alert(), estimate(), event(), reading()]
    found = [dict(record_headers(record, "f", "x")) for record in others]
    assert [(each["ce_type"], each["ce_id"]) for each in found] == [
        (b"io.sightflow.alert", b"gate:crowd:0:opened:0"),
        (b"io.sightflow.estimate", b"gate:people:1700000000000000000:0"),
        (b"io.sightflow.event", b"gate:opened:1700000000000000000"),
        (b"io.sightflow.reading", b"ecg:0"),
    ]


def test_names_are_lower_case_and_the_last_one_counts() -> None:
    headers = [("CE_Type", b"a"), ("ce_type", b"b"), ("X", "é".encode()), ("none", None)]
    assert read_headers(headers) == {"ce_type": "b", "x": "é", "none": ""}


def test_headers_that_are_no_text() -> None:
    assert read_headers([("trace", b"\xff"), ("ce_id", b"1")]) == {"ce_id": "1"}
    with pytest.raises(RecordError) as error:
        read_headers([("ce_id", b"\xff")])
    assert str(error.value) == "header ce_id must be UTF-8"


@given(st.integers(0, 2**63 - 1))
@repeatable
def test_times_come_back(time_ns: int) -> None:
    assert parse_time(iso_time(time_ns)) == time_ns


@given(
    st.datetimes(datetime(1970, 1, 3), datetime(2262, 1, 1)),  # noqa: DTZ001 - zone comes next
    st.integers(-23 * 60, 23 * 60),
)
@repeatable
def test_times_of_other_zones(moment: datetime, minutes: int) -> None:
    here = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    since = here - datetime(1970, 1, 1, tzinfo=UTC)
    assert parse_time(here.isoformat()) == since // timedelta(microseconds=1) * 1000


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "2023-11-14", "2023-11-14T22:13:20", "1969-12-31T23:59:59Z",
     "2300-01-01T00:00:00Z", "2023-02-30T00:00:00Z", "2023-11-14T22:13:20.0000000001Z"],
)  # fmt: skip
def test_times_that_are_none(text: str) -> None:
    with pytest.raises(RecordError) as error:
        parse_time(text)
    assert str(error.value) == f"a time must be RFC 3339 between 1970 and 2262, got {text!r}"
