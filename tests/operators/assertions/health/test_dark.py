from __future__ import annotations

import numpy as np
import pytest

from operators.assertions.health.dark import Dark
from records import Finding, RecordError
from tests.support.health import found, moments
from tests.support.pictures import TENTH_NS

BLACK = np.full((36, 64), 16, np.uint8)


def test_a_covered_lens_is_told_while_it_lasts() -> None:
    light = np.full((36, 64), 100, np.uint8)
    check = Dark().start()
    assert found(check, moments([light] * 20)) == []
    got = found(check, moments([BLACK] * 50, start=20))
    assert got[0] == Finding(
        "gate", "dark", 50, 50 * TENTH_NS, 20, 20 * TENTH_NS, 1.5, "dark: mean grey level 16"
    )
    assert [finding.sequence for finding in got] == [50, 60]
    assert found(check, moments([light] * 20, start=70)) == []


def test_lamps_of_a_night_street_are_enough() -> None:
    street = BLACK.copy()
    street[:8, 4:12] = 120
    assert found(Dark().start(), moments([street] * 100)) == []


def test_faults_say_what_must_be() -> None:
    with pytest.raises(RecordError, match="^level must be above 0, got 0"):
        Dark(level=0)
    with pytest.raises(RecordError, match="^bright_share must be between 0 and 1, got 1"):
        Dark(bright_share=1)
