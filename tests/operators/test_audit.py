from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, chisquare

from operators.audit import (
    Audit,
    AuditSettings,
    AuditState,
    LiveShare,
    Side,
    draw_probability,
    instant_ns,
)
from operators.audit_statistics import SideState, confidence_sequence, learn
from records import RecordError
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Iterable

SETTINGS = AuditSettings(0.9, 0.8, cell_seconds=1.0)
RUNS = 300
HORIZON = 1500
STEP = NANOSECONDS // 10


def run(audit: Audit, pairs: Iterable[tuple[bool, bool]]) -> int | None:
    """Feed audited frames; how many it took until the alarm."""
    for number, (decided, truth) in enumerate(pairs, 1):
        audit.observe(decided=bool(decided), truth=bool(truth), time_ns=number)
        if audit.broken is not None:
            return number
    return None


def positives(recall: float, count: int, seed: int) -> list[tuple[bool, bool]]:
    found = np.random.default_rng(seed).random(count) < recall
    return [(bool(one), True) for one in found]


def test_false_alarms_at_exactly_the_targets_are_as_rare_as_stated() -> None:
    alarms = 0
    settings = AuditSettings(0.9, 0.9, false_alarm=0.1)
    for seed in range(RUNS):
        # Of the kinds right, missed and false, each 9 : 1 : 1, recall and precision are 0.9.
        kinds = np.random.default_rng(seed).choice(3, HORIZON, p=np.array([9, 1, 1]) / 11)
        pairs = [[(True, True), (False, True), (True, False)][kind] for kind in kinds]
        alarms += run(Audit(settings, "gate"), pairs) is not None
    assert alarms <= binom.ppf(1 - 1e-4, RUNS, 0.1)


@pytest.mark.parametrize(("healthy", "median", "most"), [(0, 40, 120), (5000, 100, 260)])
def test_a_drop_of_recall_to_0_7_is_found_soon_even_after_long_good_work(
    healthy: int, median: int, most: int
) -> None:
    history = SideState()
    for number in range(healthy):
        history = learn(history, 0.9, 200, hit=number % 20 > 0)
    delays = []
    for seed in range(40):
        audit = Audit(SETTINGS, "gate", AuditState(recall=history))
        delay = run(audit, positives(0.7, most, seed))
        assert delay is not None
        assert audit.broken is Side.RECALL
        assert audit.snapshot().broken_ns == delay
        delays.append(delay)
    assert np.median(delays) <= median


def test_a_drop_of_precision_is_blamed_on_precision() -> None:
    audit = Audit(SETTINGS, "gate")
    assert run(audit, [(True, number % 2 == 0) for number in range(200)]) is not None
    assert audit.broken is Side.PRECISION


def test_estimates() -> None:
    settings = AuditSettings(0.9, 0.8, recent=3)
    audit = Audit(settings, "gate")
    assert audit.share(Side.RECALL) == LiveShare(1.0, 0.0, 1.0, 0, 1.0, 1.0)
    run(audit, [(False, True), *[(True, True)] * 4, (False, False), (True, False)])
    low, high = confidence_sequence(4, 5, 0.95)
    evidence = audit.snapshot().recall.evidence
    assert audit.share(Side.RECALL) == LiveShare(0.8, low, high, 5, 1.0, evidence)
    precision = audit.share(Side.PRECISION)
    assert (precision.value, precision.seen, precision.recent) == (0.8, 5, 2 / 3)
    assert audit.broken is None


def test_confidence_sequences_cover_at_every_moment() -> None:
    covered = 0
    for seed in range(RUNS):
        hits = np.cumsum(np.random.default_rng(seed).random(400) < 0.9)
        ends = [confidence_sequence(int(hits[n - 1]), n, 0.9) for n in range(1, 401, 3)]
        covered += all(low <= 0.9 <= high for low, high in ends)
    assert covered >= binom.ppf(1e-4, RUNS, 0.9)


@given(st.integers(0, 500), st.integers(0, 500))
def test_a_confidence_sequence_holds_the_share_and_narrows_with_less_confidence(
    hits: int, misses: int
) -> None:
    low, high = confidence_sequence(hits, hits + misses, 0.95)
    closer_low, closer_high = confidence_sequence(hits, hits + misses, 0.8)
    share = hits / (hits + misses) if hits + misses else 0.5
    assert 0 <= low <= closer_low <= share <= closer_high <= high <= 1


def test_every_frame_of_a_cell_is_drawn_equally_often() -> None:
    audit = Audit(SETTINGS, "gate")
    drawn = [number for number in range(50_001) if audit.wants(number * STEP, number)]
    counts = np.bincount(np.array(drawn) % 10, minlength=10)
    assert len(drawn) == pytest.approx(5000, abs=60)
    assert chisquare(counts).pvalue > 1e-3


def test_uneven_frames_are_drawn_as_often_as_told() -> None:
    # Weighting by the inverse of the probability gives back the number of frames.
    steps = np.random.default_rng(5).integers(STEP // 2, 8 * STEP, 20_000)
    times = np.cumsum(steps).tolist()
    audit = Audit(SETTINGS, "gate")
    wanted = [audit.wants(time_ns, number) for number, time_ns in enumerate(times)][1:]
    odds = np.array([draw_probability(a, b, NANOSECONDS) for a, b in pairwise(times)])
    spread = np.sqrt(np.sum((1 - odds) / odds))
    assert np.sum(np.array(wanted) / odds) == pytest.approx(odds.size, abs=4 * spread)


@given(st.integers(0, 40), st.integers(1, 60))
def test_the_probability_is_the_share_of_instants(previous: int, gap: int) -> None:
    cell_ns, until = 20, previous + gap
    first, last = previous // cell_ns, until // cell_ns
    missed = 1.0
    for cell in range(first, last + 1):
        instants = range(cell * cell_ns, (cell + 1) * cell_ns)
        missed *= sum(not previous < instant <= until for instant in instants) / cell_ns
    assert draw_probability(previous, until, cell_ns) == pytest.approx(1 - missed)


def test_a_gap_of_the_stream_is_audited_when_it_ends() -> None:
    audit = Audit(SETTINGS, "gate")
    assert [audit.wants(0, 0), audit.wants(10 * NANOSECONDS, 1)] == [False, True]


def test_frames_that_come_again_or_late_are_counted_and_not_drawn() -> None:
    audit = Audit(SETTINGS, "gate")
    audit.wants(0, 0)
    audit.wants(10 * NANOSECONDS, 1)
    before = audit.snapshot()
    assert not audit.wants(10 * NANOSECONDS, 1)
    assert not audit.wants(5 * NANOSECONDS, 2)
    assert audit.snapshot() == AuditState(last_ns=before.last_ns, last_sequence=1, out_of_order=2)


def test_streams_and_seeds_draw_independently() -> None:
    draws = {instant_ns(seed, stream, 7, NANOSECONDS) for seed in range(3) for stream in ("a", "b")}
    assert len(draws) == 6


@given(
    st.lists(st.tuples(st.integers(0, 3 * NANOSECONDS), st.booleans(), st.booleans()), max_size=60),
    st.integers(0, 60),
)
def test_a_restart_from_a_snapshot_gives_what_no_restart_gives(
    steps: list[tuple[int, bool, bool]], cut: int
) -> None:
    settings = AuditSettings(0.9, 0.8, cell_seconds=1.0, recent=5)

    def feed(audit: Audit, first: int, end: int | None) -> list[bool]:
        wanted = []
        for number, (step, decided, truth) in list(enumerate(steps))[first:end]:
            time_ns = number * NANOSECONDS + step
            wanted.append(audit.wants(time_ns, number))
            if wanted[-1]:
                audit.observe(decided=decided, truth=truth, time_ns=time_ns)
        return wanted

    whole = Audit(settings, "gate")
    expected = feed(whole, 0, None)
    before = Audit(settings, "gate")
    drawn = feed(before, 0, cut)
    after = Audit(settings, "gate", before.snapshot())
    assert drawn + feed(after, cut, None) == expected
    assert after.snapshot() == whole.snapshot()


def test_an_alarm_stays_until_a_new_epoch() -> None:
    audit = Audit(SETTINGS, "gate")
    audit.wants(5, 3)
    run(audit, positives(0.2, 100, seed=0))
    alarm_ns = audit.snapshot().broken_ns
    for number in range(1000):
        audit.observe(decided=True, truth=True, time_ns=number)
    assert (audit.broken, audit.snapshot().broken_ns) == (Side.RECALL, alarm_ns)
    with pytest.raises(RecordError, match="^epoch must be above 0, got 0$"):
        audit.reset(0)
    audit.reset(1)
    assert audit.snapshot() == AuditState(epoch=1, last_ns=5, last_sequence=3)
    assert audit.broken is None


def test_settings_out_of_range_are_told() -> None:
    with pytest.raises(RecordError, match="^target_recall must be between 0 and 1, got 1.0$"):
        AuditSettings(1.0, 0.9)
    with pytest.raises(RecordError, match="^cell_seconds must be finite and at least 1e-09, got 0"):
        AuditSettings(0.9, 0.9, cell_seconds=0)
    with pytest.raises(RecordError, match=r"^recent must be in 1..100000, got 0$"):
        AuditSettings(0.9, 0.9, recent=0)
    with pytest.raises(RecordError, match="^seed must be a whole number of at least 0, got -1$"):
        AuditSettings(0.9, 0.9, seed=-1)
    with pytest.raises(RecordError, match="^stream must be 1 to 200 printable"):
        Audit(SETTINGS, "a:b")
