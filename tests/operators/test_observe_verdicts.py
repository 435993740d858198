from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from operators.audit import Audit, AuditSettings
from operators.observations import PredicateGroup
from operators.observe_verdicts import VerdictObserver, VerdictSettings
from operators.predicate import Predicate
from operators.window import Windows
from operators.window_settings import Aggregate, WindowSettings
from records import Detections, Estimate, RecordError, Stage, Verdict, VerdictBatch
from tests.support.observed import busy
from tests.support.pictures import TENTH_NS
from tests.support.records import people

PERSON = PredicateGroup("person", (Predicate("person"),))
NONE = Detections.empty()


def verdict(sequence: int, stage: Stage, answer: Detections = NONE, **more: Any) -> Verdict:
    return Verdict("gate", sequence, sequence * TENTH_NS, stage, 0.5, answer, **more)


def test_audited_frames_are_the_sample_and_the_cascade_is_the_proxy() -> None:
    two = people((0, 0, 1, 1), (2, 2, 3, 3))
    batch = VerdictBatch(
        "gate",
        (
            verdict(0, Stage.SPECIALISED, positive=False),
            verdict(1, Stage.REFERENCE, two, positive=True, audited=True, unaudited=False),
            verdict(2, Stage.REFERENCE, two, positive=True),
            verdict(3, Stage.SKIP),
        ),
    )
    out = VerdictObserver(VerdictSettings((PERSON,), cell_seconds=1)).on_item(batch)
    assert out is not None
    assert out.weight.tolist() == [0, 10, 0, 0]
    assert np.array_equal(out.value[:, 0], [np.nan, 2, np.nan, np.nan], equal_nan=True)
    assert out.proxy[:, 0].tolist() == [0, 0, 1, 1]
    assert out.sightings is None


def test_where_the_reference_decides_all_every_frame_counts() -> None:
    answers = [people((0, 0, 1, 1)), people((0, 0, 1, 1), (2, 2, 3, 3)), NONE]
    batch = VerdictBatch(
        "gate", tuple(verdict(k, Stage.REFERENCE, one) for k, one in enumerate(answers))
    )
    out = VerdictObserver(VerdictSettings((PERSON,), tracked=True)).on_item(batch)
    assert out is not None
    assert (out.weight.tolist(), out.value[:, 0].tolist()) == ([1, 1, 1], [1, 2, 0])
    assert np.isnan(out.proxy).all()
    assert out.sightings is not None
    assert out.sightings.tolist() == [[0, 0, 1], [1, 0, 1], [1, 0, 2]]


def test_windows_over_an_audited_cascade_are_right() -> None:
    # The cascade misses every fifth busy spell; the audit's sample knows better.
    counts, rng = busy(36_000, seed=3), np.random.default_rng(0)
    audit = Audit(AuditSettings(0.9, 0.9, cell_seconds=1.0), "gate")
    missed = np.repeat(rng.random(720) < 0.2, 50)
    some = [people(*[(0, 0, 1, 1)] * count) for count in range(int(counts.max()) + 1)]
    observer = VerdictObserver(VerdictSettings((PERSON,), cell_seconds=1))
    asked = WindowSettings("q", ("person",), (Aggregate.PRESENCE, Aggregate.AVERAGE), 600)
    windows = Windows(asked)
    told: list[Estimate] = []
    for start in range(0, 36_000, 100):
        verdicts = []
        for k in range(start, start + 100):
            said = bool(counts[k] > 0 and not missed[k])
            if audit.wants(k * TENTH_NS, k):
                truth, yes = some[int(counts[k])], bool(counts[k] > 0)
                verdicts.append(
                    verdict(k, Stage.REFERENCE, truth, positive=yes, audited=True, unaudited=said)
                )
            else:
                verdicts.append(verdict(k, Stage.SPECIALISED, positive=said))
        observations = observer.on_item(VerdictBatch("gate", tuple(verdicts)))
        assert observations is not None
        report = windows.on_item(observations)
        told += report.estimates if report else []
    assert len(told) == 10
    for one in told:
        part = counts[one.start_ns // TENTH_NS : one.end_ns // TENTH_NS]
        truth = (part > 0).mean() if "presence" in one.name else part.mean()
        assert one.low <= truth <= one.high
        assert one.reference_calls == pytest.approx(600, abs=1)


def test_settings_out_of_range_are_told() -> None:
    with pytest.raises(RecordError, match="^cell_seconds must be above 0 and finite, got 0$"):
        VerdictSettings((PERSON,), cell_seconds=0)
    with pytest.raises(RecordError, match="^groups must be one at least, got none$"):
        VerdictSettings(())
