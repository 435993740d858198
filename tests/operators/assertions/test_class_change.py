from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.assertions.api import Moment
from operators.assertions.class_change import ClassChange
from records import Classification, Correction, CorrectionKind, Finding, Place, RecordError
from tests.support.moments import labelled, run

SECOND = 10**9


def corrected(labels: str, seconds: float = 1.0) -> str:
    """The labels, one a letter, after all corrections."""
    after = list(labels)
    for finding in run(ClassChange(), labelled(labels, seconds)):
        assert finding.correction is not None
        for place in finding.correction.places:
            after[place.sequence] = finding.correction.class_name
    return "".join(after)


def test_a_class_that_comes_back_was_there_all_the_time() -> None:
    found = run(ClassChange(), labelled(["N", "N", "A", "A", "N"]))
    places = (Place(2, 2 * SECOND), Place(3, 3 * SECOND))
    assert found == [
        Finding(
            stream="bed",
            assertion="class_change",
            sequence=4,
            time_ns=4 * SECOND,
            start_sequence=2,
            start_ns=2 * SECOND,
            severity=1 - 2 / 30,
            message="N became A for 2.0 s and N again",
            correction=Correction(CorrectionKind.MODIFY, places, "N", output="classification"),
        )
    ]


@pytest.mark.parametrize(
    ("labels", "after"),
    [
        ("NNNN", "NNNN"),
        ("NNAA", "NNAA"),
        ("NNAAOO", "NNAAOO"),
        ("NNANN", "NNNNN"),
        ("NANANANN", "NNNNNNNN"),
        ("OAAAAOAAAA", "AAAAAAAAAA"),
        ("OONNANNOO", "NNNNNNNNO"),
        ("OOOOOONANOO", "OOOOOOOOOOO"),
    ],
)
def test_the_majority_is_right(labels: str, after: str) -> None:
    assert corrected(labels) == after


def test_what_lasts_is_a_change() -> None:
    assert run(ClassChange(), labelled("N" * 40 + "A" * 30 + "N")) == []
    assert len(run(ClassChange(), labelled("N" * 40 + "A" * 29 + "N"))) == 1


def test_a_clock_that_is_set_back_begins_anew() -> None:
    back = [Moment("bed", 3, 0, outputs={"classification": "N"})]
    assert run(ClassChange(), labelled("NA")[:2] + back) == []


def test_windows_without_output_are_passed_over() -> None:
    moments = labelled(["N", None, "A", "N"])
    assert [each.sequence for each in run(ClassChange(), moments)] == [3]


def test_classifications_keep_their_probability() -> None:
    probabilities = [(0.75, 0.25), (0.375, 0.625), (0.75, 0.25)]
    moments = [
        Moment.of_classification(Classification("bed", k, k * SECOND, SECOND, ("N", "A"), each))
        for k, each in enumerate(probabilities)
    ]
    (found,) = run(ClassChange(), moments)
    assert found.correction is not None
    assert found.correction.places == (Place(1, SECOND, score=0.625),)


@given(st.text("NAO", min_size=1, max_size=60))
def test_after_correction_nothing_changes_back_soon(labels: str) -> None:
    # Corrections join runs, so what is left may itself change back: until it settles.
    after = labels
    for _ in range(len(labels)):
        again = corrected(after)
        if again == after:
            break
        after = again
    assert run(ClassChange(), labelled(after)) == []


def test_other_outputs_are_refused() -> None:
    check = ClassChange().start()
    with pytest.raises(RecordError) as caught:
        check.observe(Moment("bed", 0, 0, outputs={"classification": 5}))
    assert str(caught.value) == (
        "the output classification must be a Classification or text, got int"
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"window_seconds": 0.0}, "window_seconds must be above 0, got 0.0"),
        ({"name": "a:b"}, "name must be 1 to 200 printable characters without ':', got 'a:b'"),
    ],
)
def test_settings_say_what_must_be(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError) as caught:
        ClassChange(**settings)
    assert str(caught.value) == message
