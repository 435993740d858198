"""Every reader of strangers' input gets damaged input, and answers with a result or our errors."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.mutation import Form, mutated
from tests.fuzz.target import Target, fuzz
from tests.fuzz.targets import TARGETS

if TYPE_CHECKING:
    from pathlib import Path

INPUTS = 60
"""Inputs for each target from each of the two tests; ``make fuzz`` tries 10 000."""

MOST_SECONDS = 60.0
"""What an input may take on a machine that is busy with other things; a hang takes for ever."""


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_samples_are_read_or_refused(name: str, tmp_path: Path) -> None:
    outcome = fuzz(TARGETS[name], tmp_path, INPUTS, Random(7), MOST_SECONDS)
    assert (outcome.inputs, outcome.crashes) == (INPUTS, [])


@pytest.mark.parametrize("name", TARGETS)
def test_what_hypothesis_thinks_of_is_read_or_refused(name: str, tmp_path: Path) -> None:
    target = TARGETS[name]
    damaged = st.builds(
        mutated, st.randoms(use_true_random=False), st.just(target.samples), st.just(target.form),
        st.just(target.words),
    )  # fmt: skip

    with target.open(tmp_path) as read:

        @settings(max_examples=INPUTS, suppress_health_check=list(HealthCheck), database=None)
        @given(damaged | st.binary(max_size=200) | st.text(max_size=60).map(_encoded))
        def refused_or_read(data: bytes) -> None:
            try:
                read(data)
            except target.errors:
                return

        refused_or_read()


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def test_crashes_are_found_and_told_with_their_input(tmp_path: Path) -> None:
    def read(data: bytes, _: Path) -> None:
        if data != b"[1]":
            raise ZeroDivisionError("no")

    outcome = fuzz(Target.of("toy", [b"[1]"], read, Form.JSON), tmp_path, 50, Random(0), 60.0)
    assert len(outcome.crashes) == 20
    assert outcome.crashes[0].startswith("ZeroDivisionError: no at ")


def test_a_reader_that_hangs_is_a_crash(tmp_path: Path) -> None:
    def read(data: bytes, _: Path) -> None:
        while data != b"[1]":
            continue

    outcome = fuzz(Target.of("toy", [b"[1]"], read, Form.JSON), tmp_path, 1, Random(1), 0.01)
    assert "TooLongError: took more than 0.01 s at " in outcome.crashes[0]


@pytest.mark.parametrize("form", Form)
def test_the_same_chance_gives_the_same_input(form: Form) -> None:
    samples = [b"\x93\x01\x02\xa3abc"] if form is Form.MSGPACK else [b'{"a": [1, "x"]}', b"[2]"]
    made = [mutated(Random(seed), samples, form, (b"w",)) for seed in range(200)]
    assert made == [mutated(Random(seed), samples, form, (b"w",)) for seed in range(200)]
    assert len(set(made)) > 100
