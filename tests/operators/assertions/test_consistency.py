from __future__ import annotations

from typing import Any

import pytest

from operators.assertions import ConsistencyAssertion, Moment
from operators.assertions.sightings import Sighting, object_name
from records import Correction, CorrectionKind, Finding, Place, RecordError
from tests.support.moments import Object, labelled, moment, rounded, run
from tests.support.pictures import TENTH_NS

PEOPLE = ConsistencyAssertion(
    "people",
    identifier=lambda box: box.track,
    attributes=lambda box: {"class": box.label, "size": "tall" if box.box[3] > 15 else "short"},
    attribute_names=("class", "size"),
    temporal_threshold=0.4,
)
RHYTHM = ConsistencyAssertion(
    "rhythm", lambda label: label, temporal_threshold=30.0, output="classification"
)


def found_by(rule: ConsistencyAssertion, name: str, moments: list[Moment]) -> list[Finding]:
    (assertion,) = [each for each in rule.assertions() if each.name == name]
    return rounded(run(assertion, moments))


def test_every_condition_is_an_assertion() -> None:
    generated = [(each.name, each.window_seconds) for each in PEOPLE.assertions()]
    assert generated == [
        ("people.class", 10.0),
        ("people.size", 10.0),
        ("people.gap", 0.4),
        ("people.span", 0.8),
    ]


def test_a_class_that_differs_from_the_majority_is_corrected() -> None:
    labels = ["person", "person", "dog", "person"]
    moments = [moment(k, Object(7, label=label)) for k, label in enumerate(labels)]
    place = Place(2, 2 * TENTH_NS, (0.0, 0.0, 10.0, 20.0), 0.9)
    assert found_by(PEOPLE, "people.class", moments) == [
        Finding(
            stream="gate",
            assertion="people.class",
            sequence=2,
            time_ns=2 * TENTH_NS,
            start_sequence=2,
            start_ns=2 * TENTH_NS,
            severity=0.666667,
            message="class is dog, but person 67% of the time",
            object="7",
            correction=Correction(CorrectionKind.MODIFY, (place,), "person", 7),
        )
    ]


def test_other_attributes_are_told_without_correction() -> None:
    moments = [moment(k, Object(7, y=-9.0 if k == 3 else 0.0)) for k in range(5)]
    (found,) = found_by(PEOPLE, "people.size", moments)
    assert (found.sequence, found.message, found.correction) == (
        3,
        "size is short, but tall 75% of the time",
        None,
    )


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        pytest.param(["person", "dog"], [], id="too few"),
        pytest.param(["person", "dog", "person", "dog"], [], id="half is no majority"),
        pytest.param(["person"] * 3 + [""] * 120 + ["dog"] * 2, [], id="long ago"),
        pytest.param(["person", "person", "dog", "dog", "dog", "dog"], [2], id="it changed"),
    ],
)
def test_only_a_majority_is_right(labels: list[str], told: list[int]) -> None:
    moments = [moment(k, *[Object(7, label=label)] * bool(label)) for k, label in enumerate(labels)]
    assert [each.sequence for each in found_by(PEOPLE, "people.class", moments)] == told


def test_objects_without_identifier_are_not_compared() -> None:
    moments = [moment(k, Object(-1, label="ab"[k == 3])) for k in range(5)]
    assert found_by(PEOPLE, "people.class", moments) == []
    nobody = ConsistencyAssertion("nobody", lambda _: None, temporal_threshold=1.0)
    gap, span = nobody.assertions()
    shown = [moment(k, *[Object(1)] * (k != 2)) for k in range(5)]
    assert run(gap, shown) == run(span, shown) == []


def test_a_gap_is_filled_and_a_short_span_is_dropped() -> None:
    shown = [[Object(1)], [Object(1), Object(2, 50)], [], [Object(1, 2)], *[[]] * 5]
    moments = [moment(k, *objects) for k, objects in enumerate(shown)]
    (gap,) = found_by(PEOPLE, "people.gap", moments)
    box = (1.0, 0.0, 11.0, 20.0)
    assert gap.correction == Correction(
        CorrectionKind.INTERPOLATE, (Place(2, 2 * TENTH_NS, box, 0.9),), "person", 1
    )
    (span,) = found_by(PEOPLE, "people.span", moments)
    box = (50.0, 0.0, 60.0, 20.0)
    assert (span.sequence, span.object, span.severity) == (5, "2", 1.0)
    assert span.correction == Correction(
        CorrectionKind.DROP, (Place(1, TENTH_NS, box, 0.9),), "person", 2
    )


def test_signals_are_consistent_too() -> None:
    moments = labelled(["N", "N", "A", "N", "N"], seconds=10.0)
    (gap,) = found_by(RHYTHM, "rhythm.gap", moments)
    assert gap == Finding(
        stream="bed",
        assertion="rhythm.gap",
        sequence=3,
        time_ns=30 * 10**9,
        start_sequence=2,
        start_ns=20 * 10**9,
        severity=0.333333,
        message="N was gone for 20.00 s, missed 1 times",
        object="N",
        correction=Correction(
            CorrectionKind.MODIFY, (Place(2, 20 * 10**9),), "N", output="classification"
        ),
    )
    assert found_by(RHYTHM, "rhythm.span", moments) == []
    (span,) = found_by(RHYTHM, "rhythm.span", labelled(["N", "A", *["N"] * 3], seconds=10.0))
    assert (span.object, span.message) == ("A", "A was seen for 0.00 s only, 1 times")


def test_moments_without_output_are_passed_over() -> None:
    for each in PEOPLE.assertions():
        assert run(each, [Moment("gate", 0, 0)]) == []


def test_identifiers_become_names() -> None:
    assert object_name(("a:b", 5)) == "('a_b', 5)"
    assert object_name("\n") == "_"
    assert object_name("") == "_"
    assert len(object_name("x" * 500)) == 100
    assert Sighting("a", "b").track == -1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "a consistency assertion must have attributes or a temporal_threshold, got neither"),
        ({"temporal_threshold": 0.0}, "temporal_threshold must be above 0, got 0.0"),
        (
            {"attribute_names": ("class",)},
            "attributes and attribute_names must be given together",
        ),
        (
            {"attributes": lambda _: {}, "attribute_names": ("a:b",)},
            "attribute_names must be 1 to 200 printable characters without ':', got 'a:b'",
        ),
    ],
)
def test_settings_say_what_must_be(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError) as caught:
        ConsistencyAssertion("c", lambda box: box.track, **settings)
    assert str(caught.value) == message
