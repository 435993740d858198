from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from records import Crop, Detections, Flag, Label, Origin, RecordError
from records.retraining import PICTURE, SIGNAL
from tests.support.queues import item

FLAG = Flag("flicker", 1.5, "gate:flicker:7", 0.5)
LABEL = Label("flicker+appear", boxes=Detections.empty(), probability=0.25)
CROP = Crop(PICTURE, "0" * 64, 100, 64, 48, (0.0, 0.0, 128.0, 96.0))
ITEM = item()
PROBLEM_OF_CROP = "width, height and region must be given for a picture, and only then"


def test_identities_tell_runs_apart_and_names_suit_files() -> None:
    one = item(7, "gate/1 äö")
    assert one.id == f"gate/1 äö:7:{one.time_ns}"
    later = replace(one, time_ns=one.time_ns + 1)
    assert one.id != later.id
    assert one.name != later.name
    assert one.name.isascii()
    assert one.name.startswith("gate_1_-7-")
    assert set(item(0, "x" * 200).name) <= set("x-0123456789abcdef")


@pytest.mark.parametrize(
    ("record", "change", "message"),
    [
        (FLAG, {"severity": 0}, "severity must be above 0, got 0"),
        (FLAG, {"episode": ""}, "episode must be text, got ''"),
        (FLAG, {"model_wrong": 2}, "model_wrong must be in 0..1, got 2"),
        (LABEL, {"boxes": None}, "a label must have either boxes or class_name"),
        (LABEL, {"class_name": "A"}, "a label must have either boxes or class_name"),
        (LABEL, {"boxes": [1]}, "boxes must be Detections or None, got [1]"),
        (
            LABEL,
            {"boxes": None, "class_name": "a:b"},
            "class_name must be 1 to 200 printable characters without ':', got 'a:b'",
        ),
        (CROP, {"content_type": "x"}, "content_type must be image/jpeg or application/msgpack, "
         "got 'x'"),
        (CROP, {"sha256": "A"}, "sha256 must be 64 hexadecimal digits, got 'A'"),
        (CROP, {"length": 0}, "length must be 1 to 8388608 bytes, got 0"),
        (CROP, {"content_type": SIGNAL}, PROBLEM_OF_CROP),
        (CROP, {"region": None}, PROBLEM_OF_CROP),
        (CROP, {"width": 0}, PROBLEM_OF_CROP),
        (CROP, {"region": (0, 0, 1)}, "region must be x1, y1, x2, y2, got (0, 0, 1)"),
        (
            CROP,
            {"region": (0, 0, 0, 1)},
            "region must have x1 < x2 and y1 < y2, got (0, 0, 0, 1)",
        ),
        (
            CROP,
            {"region": (0, 0, float("inf"), 1)},
            "region must be a finite number, got inf",
        ),
        (ITEM, {"origins": ()}, "origins must be different Origins, got ()"),
        (ITEM, {"origins": ("audit",)}, "origins must be different Origins, got ('audit',)"),
        (ITEM, {"priority": None}, "priority must be a finite number, got None"),
        (ITEM, {"priority": 1.5}, "priority must be in 0..1, got 1.5"),
        (ITEM, {"propensity": 0}, "propensity must be above 0, got 0"),
        (ITEM, {"uncertainty": -1}, "uncertainty must be in 0..1, got -1"),
        (ITEM, {"flags": (FLAG,) * 65}, "flags must be at most 64, got 65"),
        (ITEM, {"flags": ()}, "flags must be there for the origin assertion, and only then"),
        (
            ITEM,
            {"origins": (Origin.AUDIT,)},
            "flags must be there for the origin assertion, and only then",
        ),
        (ITEM, {"fingerprint": 2**64}, "fingerprint must have 64 bits, got 18446744073709551616"),
        (ITEM, {"fingerprint": -1}, "fingerprint must have 64 bits, got -1"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(record: Any, change: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError) as caught:
        replace(record, **change)
    assert str(caught.value) == message


def test_a_signal_has_no_size() -> None:
    assert Crop(SIGNAL, "0" * 64, 100).region is None
