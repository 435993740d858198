from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from records import Classification, RecordError, SignalClassifier
from tests.support.ecg import Loudness

GOOD = Classification("bed", 3, 10, 5, ("N", "A"), (0.25, 0.75))


def test_a_classification_says_its_label_and_its_id() -> None:
    assert (GOOD.label, GOOD.id) == ("A", "bed:3")
    assert replace(GOOD, probabilities=(0.5, 0.5)).label == "N"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stream": "a:b"}, "stream must be 1 to 200 printable characters without ':', got 'a:b'"),
        ({"sequence": -1}, "sequence must be a whole number of at least 0, got -1"),
        ({"time_ns": 1.5}, "time_ns must be nanoseconds since 1970 UTC as an int, got 1.5"),
        ({"duration_ns": 0}, "duration_ns must be above 0, got 0"),
        ({"classes": ()}, "classes must be 1 to 1024 different names, got 0"),
        ({"classes": ("N", "N")}, "classes must be 1 to 1024 different names, got 2"),
        ({"classes": ("N", "")},
         "a class must be 1 to 200 printable characters without ':', got ''"),
        ({"probabilities": (1.0,)}, "probabilities must be 2, one for each class, got 1"),
        ({"probabilities": (-0.5, 1.5)}, "probabilities must be in 0..1, got (-0.5, 1.5)"),
        ({"probabilities": (float("nan"), 1.0)}, "probabilities must be in 0..1, got (nan, 1.0)"),
        ({"probabilities": (0.5, 0.25)}, "probabilities must add up to 1, got 0.75"),
    ],
)  # fmt: skip
def test_a_field_out_of_range_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError) as caught:
        replace(GOOD, **change)
    assert str(caught.value) == message


def test_the_protocol_can_be_asked_for() -> None:
    assert isinstance(Loudness(), SignalClassifier)
