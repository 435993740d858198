from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from operators.retraining import Admission, AdmissionState
from operators.retraining_settings import AdmissionSettings, Candidate, Candidates, Dropped
from records import Flag, Origin, RecordError, RetrainingItem
from tests.support.queues import item

ASSERTION, AUDIT, RANDOM = Origin.ASSERTION, Origin.AUDIT, Origin.RANDOM


def found(number: int, *episodes: str, bits: int | None = None, **changes: Any) -> RetrainingItem:
    """An item with a flag of severity 1 in each episode, whose fingerprint has so many ones."""
    values: dict[str, Any] = {
        "flags": tuple(Flag("flicker", 1.0, episode) for episode in episodes),
        "fingerprint": None if bits is None else (1 << bits) - 1,
    }
    return item(number, **(values | changes))


def drawn(number: int, chance: float = 0.01, bits: int | None = None) -> RetrainingItem:
    return found(number, origins=(RANDOM,), propensity=chance, bits=bits)


def admit(
    *items: RetrainingItem, **settings: Any
) -> tuple[list[tuple[int, float]], dict[str, int], list[RetrainingItem]]:
    """Sequences with priorities, what was dropped, and the items."""
    logic = Admission(AdmissionSettings(**settings))
    out = logic.on_item(Candidates("gate", tuple(Candidate(one) for one in items)))
    if out is None:
        return [], {}, []
    kept = [candidate.item for candidate in out.candidates]
    shown = [(one.sequence, one.priority) for one in kept]
    return shown, {str(name): count for name, count in out.dropped.items()}, kept


def test_few_items_of_each_episode() -> None:
    items = [found(k, "a" if k < 4 else "b") for k in range(6)]
    shown, dropped, _ = admit(*items, most_per_episode=2)
    assert shown == [(0, 0.5), (1, 0.5), (4, 0.5), (5, 0.5)]
    assert dropped == {"episode_full": 2}


def test_an_item_of_two_episodes_counts_for_both_and_keeps_the_flags_that_are_not_full() -> None:
    items = [found(0, "a"), found(1, "a", "b"), found(2, "a", "b"), found(3, "a", "b")]
    shown, dropped, kept = admit(*items, most_per_episode=2)
    assert [number for number, _ in shown] == [0, 1, 2]
    assert [[flag.episode for flag in one.flags] for one in kept] == [["a"], ["a", "b"], ["b"]]
    assert dropped == {"episode_full": 1}


def test_near_duplicates_are_dropped_and_do_not_use_up_an_episode() -> None:
    items = [found(k, "a", bits=bits) for k, bits in enumerate((0, 4, 2, 5, 40, 37, 16))]
    shown, dropped, _ = admit(*items)
    # Half wrong, times how new: 5 of 32 bits from the first, then 35 from the second.
    assert shown == [(0, 0.5), (3, 0.5 * 5 / 32), (4, 0.5)]
    assert dropped == {"near_duplicate": 3, "episode_full": 1}


def test_only_the_last_fingerprints_and_episodes_are_remembered() -> None:
    items = [found(0, "a", bits=0), found(1, "b", bits=40), found(2, "a", bits=0)]
    assert admit(*items, remembered=1, most_per_episode=1)[1] == {}
    assert admit(*items, most_per_episode=1)[1] == {"near_duplicate": 1}


def test_the_random_share_is_always_admitted_with_its_propensity() -> None:
    items = [found(0, "a", bits=0), drawn(1, bits=0), drawn(2, 0.5)]
    shown, dropped, kept = admit(*items)
    assert shown == [(0, 0.5), (1, 1.0), (2, 1.0)]
    assert [one.propensity for one in kept] == [1.0, 0.01, 0.5]
    assert dropped == {}


def test_what_the_rules_admit_does_not_depend_on_the_draw() -> None:
    items = [drawn(0, bits=0), found(1, "a", bits=0), drawn(2, bits=40), found(3, "a", bits=40)]
    ruled = [one for one in items if ASSERTION in one.origins]
    with_draw = [one for one in admit(*items)[2] if ASSERTION in one.origins]
    assert with_draw == admit(*ruled)[2]
    assert len(with_draw) == 2


def test_a_drawn_frame_that_a_rule_admits_is_there_for_sure() -> None:
    both = found(0, "a", origins=(ASSERTION, RANDOM), propensity=0.01)
    _, dropped, kept = admit(both, replace(both, sequence=1), most_per_episode=1)
    assert [(one.origins, one.propensity, len(one.flags), one.priority) for one in kept] == [
        ((ASSERTION, RANDOM), 1.0, 1, 1.0),
        ((RANDOM,), 0.01, 0, 1.0),
    ]
    assert dropped == {"episode_full": 1}


def test_a_mistake_that_the_audit_saw_is_not_lost_with_a_full_episode() -> None:
    both = found(1, "a", origins=(ASSERTION, AUDIT))
    shown, dropped, kept = admit(found(0, "a"), both, most_per_episode=1)
    assert shown == [(0, 0.5), (1, 1.0)]
    assert kept[1].origins == (AUDIT,)
    assert kept[1].flags == ()
    assert dropped == {}


def test_bytes_pass_and_what_was_dropped_before_is_told() -> None:
    logic = Admission(AdmissionSettings())
    batch = Candidates("gate", (Candidate(found(0, "a"), b"x"),), {Dropped.LATE: 2})
    out = logic.on_item(batch)
    assert out is not None
    assert (out.candidates[0].data, out.dropped) == (b"x", {Dropped.LATE: 2})
    assert logic.snapshot() == AdmissionState({"a": 1}, ())
    assert logic.on_item(Candidates("gate", ())) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"most_per_episode": 0}, "most_per_episode must be at least 1, got 0"),
        ({"remembered": 0}, "remembered must be at least 1, got 0"),
        ({"near_bits": 65}, "near_bits must be -1 to 64, got 65"),
    ],
)
def test_settings_that_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError) as caught:
        AdmissionSettings(**changes)
    assert str(caught.value) == message
