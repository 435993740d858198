from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.codec import encode
from connectors.queue_codec import (
    decode_item,
    decode_label,
    encode_item,
    encode_label,
    item_to_json,
    label_to_json,
)
from records import CodecError, RecordError
from tests.support.queues import item, items, labels, pictured
from tests.support.records import reading, repeatable

if TYPE_CHECKING:
    from records import Label, RetrainingItem


@repeatable
@given(items())
def test_items_round_trip_and_equal_items_have_equal_bytes(one: RetrainingItem) -> None:
    data = encode_item(one)
    assert decode_item(data) == one
    assert encode_item(decode_item(data)) == data
    json.dumps(item_to_json(one), allow_nan=False)


@repeatable
@given(labels)
def test_labels_round_trip(one: Label) -> None:
    assert decode_label(encode_label(one)) == one
    json.dumps(label_to_json(one), allow_nan=False)


@repeatable
@given(st.binary(max_size=200), st.integers(0, 2000))
def test_bytes_of_unknown_origin_are_items_or_refused(noise: bytes, place: int) -> None:
    good = encode_item(pictured()[0])
    place = min(place, len(good))
    for data in (noise, good[:place] + noise + good[place + len(noise) :], good[:place]):
        try:
            decode_item(data)
        except CodecError as error:
            assert isinstance(error, RecordError)


def changed(**changes: Any) -> bytes:
    version, kind, fields = msgpack.unpackb(encode_item(item()))
    data: bytes = msgpack.packb([version, kind, fields | changes])
    return data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "item must be whole msgpack: Unpack failed: incomplete input"),
        (msgpack.packb([1, 2]), "item must be an array of version, kind and fields"),
        (
            encode(reading()),
            "must be an encoded item of version 1, got 'reading' of version ",
        ),
        (
            encode_label(pictured()[0].label),  # type: ignore[arg-type]  # it has one
            "must be an encoded item of version 1, got 'label' of version 1; another release of "
            "Sightflow may have written it",
        ),
        (changed(sequence=1.0), "item must have a valid sequence, which must be a whole number, "
         "got float"),
        (changed(origins=["x"]), "item must have a valid origins, which must be one of assertion, "
         "audit, random, got 'x'"),
        (changed(flags=[{}]), "item must have a valid flags, which must have exactly its fields; "
         "missing: assertion, episode, model_wrong, severity; unknown: none"),
        (changed(flags=7), "item must have a valid flags, which must be a list of at most 64, "
         "got 7"),
        (changed(priority=2.0), "item priority must be in 0..1, got 2.0"),
        (changed(more=1), "item must have exactly its fields; missing: none; unknown: 'more'"),
    ],
)  # fmt: skip
def test_what_is_no_item_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(CodecError) as caught:
        decode_item(data)
    assert str(caught.value).startswith(message)


def test_the_json_of_an_item() -> None:
    one = item(3, fingerprint=255)
    assert item_to_json(one) == {
        "id": "gate:3:1700000000300000000",
        "name": one.name,
        "time": "2023-11-14T22:13:20.300000000Z",
        "stream": "gate",
        "sequence": 3,
        "time_ns": 1700000000300000000,
        "origins": ["assertion"],
        "priority": 0.5,
        "propensity": 1.0,
        "flags": [
            {
                "assertion": "flicker",
                "severity": 1.5,
                "episode": "gate:flicker:3",
                "model_wrong": None,
            }
        ],
        "uncertainty": 0.0,
        "label": None,
        "crop": None,
        "fingerprint": "00000000000000ff",
        "uri": "",
        "model": "",
        "configuration": "",
    }
