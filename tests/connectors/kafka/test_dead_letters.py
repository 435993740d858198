from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.kafka.dead_letters import OVERHEAD_BYTES, StoredLetter, from_message, to_message
from connectors.kafka.messages import DeadLetter, Message, Reason
from records import RecordError
from tests.support.records import repeatable

ORIGINAL = Message(
    "sightflow.frames", 3, 41, 1_700_000_000_123, b"gate", (("x", b"\xff"), ("y", b"")), b"junk"
)
LETTER = DeadLetter(ORIGINAL, Reason.UNDECODABLE, "not a picture … at all")


def stored(letter: DeadLetter, most_bytes: int = 100_000) -> StoredLetter:
    key, headers, value = to_message(letter, most_bytes)
    return from_message(Message("sightflow.deadletters", 1, 5, 0, key, tuple(headers), value))


def test_headers() -> None:
    assert to_message(LETTER, 100_000) == (
        b"gate",
        [
            ("x", b"\xff"),
            ("y", b""),
            ("sightflow.error.class", b"undecodable"),
            ("sightflow.error.reason", "not a picture … at all".encode()),
            ("sightflow.error.id", b"sightflow.frames:3:41"),
            ("sightflow.error.topic", b"sightflow.frames"),
            ("sightflow.error.partition", b"3"),
            ("sightflow.error.offset", b"41"),
            ("sightflow.error.time", b"2023-11-14T22:13:20.123000000Z"),
        ],
        b"junk",
    )
    assert stored(LETTER) == StoredLetter(LETTER, 1, 5, truncated=False)
    assert stored(LETTER).id == "1:5"


def test_what_was_never_sent() -> None:
    message = Message("sightflow.alerts", -1, -1, -1, b"gate", (("ce_id", b"gate:a:1"),), b"v")
    letter = DeadLetter(message, Reason.OVERSIZED, "large")
    assert dict(to_message(letter, 100_000)[1]) == {
        "ce_id": b"gate:a:1",
        "sightflow.error.class": b"oversized",
        "sightflow.error.reason": b"large",
        "sightflow.error.id": b"sightflow.alerts:gate:a:1",
        "sightflow.error.topic": b"sightflow.alerts",
    }
    assert stored(letter) == StoredLetter(letter, 1, 5, truncated=False)


def test_a_large_value_is_cut() -> None:
    value = bytes(range(256)) * 100
    letter = DeadLetter(Message("t", 0, 0, 0, b"k", (), value), Reason.OVERSIZED, "large")
    key, headers, kept = to_message(letter, 10_000)
    assert key == b"k"
    assert 7_000 < len(kept) <= 10_000 - OVERHEAD_BYTES
    assert kept == value[: len(kept)]
    assert dict(headers)["sightflow.error.truncated"] == b"true"
    assert dict(headers)["sightflow.error.size"] == b"25600"
    assert dict(headers)["sightflow.error.sha256"] == hashlib.sha256(value).hexdigest().encode()
    assert stored(letter, 10_000).truncated


def test_large_headers_are_left_out() -> None:
    message = Message("t", 0, 0, 0, b"k", (("a", b"x" * 9_000),), b"v")
    letter = DeadLetter(message, Reason.HEADERS, "large")
    key, headers, kept = to_message(letter, 10_000)
    assert (key, kept) == (None, b"v")
    assert "a" not in dict(headers)
    assert dict(headers)["sightflow.error.truncated"] == b"true"


def test_forged_headers_do_not_count() -> None:
    forged = (("sightflow.error.topic", b"elsewhere"), ("sightflow.error.deletion", b"false"))
    letter = DeadLetter(Message("t", 0, 0, 0, b"k", forged, b"v"), Reason.KEY, "wrong")
    assert stored(letter).letter.message.topic == "t"


@given(
    st.none() | st.binary(max_size=20),
    st.lists(st.tuples(st.text(max_size=5), st.binary(max_size=20))),
    st.none() | st.binary(max_size=50),
    st.sampled_from(Reason),
    st.text(max_size=50),
)
@repeatable
def test_letters_come_back(
    key: bytes | None,
    headers: list[tuple[str, bytes]],
    value: bytes | None,
    reason: Reason,
    detail: str,
) -> None:
    letter = DeadLetter(Message("t", 7, 8, 9, key, tuple(headers), value), reason, detail)
    assert stored(letter) == StoredLetter(letter, 1, 5, truncated=False)


@pytest.mark.parametrize(
    ("headers", "problem"),
    [
        ((), "'topic'"),
        ((("sightflow.error.topic", b"t"),), "'class'"),
        (
            (("sightflow.error.topic", b"t"), ("sightflow.error.class", b"odd")),
            "'odd' is not a valid Reason",
        ),
        (
            (("sightflow.error.topic", b"t"), ("sightflow.error.partition", b"x")),
            "invalid literal for int() with base 10: 'x'",
        ),
    ],
)
def test_other_messages(headers: tuple[tuple[str, bytes], ...], problem: str) -> None:
    with pytest.raises(RecordError) as error:
        from_message(Message("d", 0, 3, 0, None, headers, b""))
    assert str(error.value) == (
        f"message d:0:3 must have the headers sightflow.error.* of a dead letter: {problem}"
    )
