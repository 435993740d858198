"""What every stateful operator must keep merely by existing.

A new subclass of `KeyedLogic` that is not registered here fails the first test.
"""

from __future__ import annotations

import copy
import importlib
import pickle
import pkgutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import operators
from operators.alerting import AlertOrigin, CountRule, Episodes
from operators.assertions.api import Moment, MomentBatch
from operators.assertions.appear import Appear
from operators.assertions.class_change import ClassChange
from operators.assertions.correction import Corrector, CorrectorSettings
from operators.assertions.count_jump import CountJump
from operators.assertions.flicker import Flicker
from operators.assertions.health.frozen import Frozen
from operators.assertions.health.gap import Gap
from operators.assertions.health.watch import InputWatch
from operators.assertions.monitor import Monitor, Monitored, MonitorSettings
from operators.assertions.multibox import Multibox
from operators.assertions.velocity import Velocity
from operators.audit import AuditSettings
from operators.budget import BudgetSettings
from operators.cascade import (
    Cascade,
    CascadeSettings,
    CascadeVersion,
    Models,
    TrialSettings,
)
from operators.cascade_settings import ShadowSettings
from operators.difference import DifferenceSettings
from operators.ecg_stream import EcgStream, EcgStreamSettings
from operators.false_alarms import FalseAlarmSettings
from operators.finding_episode_settings import EpisodeSettings
from operators.finding_episodes import FindingEpisodes
from operators.join import Join
from operators.join_settings import JoinSettings, SensorBatch
from operators.keyed import KeyedLogic
from operators.live_limit import LiveLimit, LiveLimitSettings, LiveModels
from operators.live_selection import SelectionSettings
from operators.observations import Observations, PredicateGroup
from operators.observe import Observer, ObserveSettings
from operators.observe_verdicts import VerdictObserver, VerdictSettings
from operators.plan import Band, Plan
from operators.predicate import Predicate
from operators.retraining import Admission
from operators.retraining_nomination import Nomination
from operators.retraining_pictures import RetrainingPictures
from operators.retraining_settings import (
    AdmissionSettings,
    Candidate,
    Candidates,
    Nominations,
    NominationSettings,
)
from operators.retraining_signals import CutSettings, RetrainingSignals
from operators.track import Track, TrackSettings
from operators.window import Windows
from operators.window_settings import Aggregate, WindowSettings
from records import (
    Detections,
    EventKind,
    Finding,
    FrameBatch,
    Reading,
    Stage,
    StreamEvent,
    Verdict,
    VerdictBatch,
)
from records.finding import DETECTIONS
from tests.support import queues
from tests.support.ecg import Loudness, readings
from tests.support.pictures import (
    TENTH_NS,
    Brightness,
    BrightnessScorer,
    SizeScorer,
    coded,
    person_at,
)
from tests.support.sensors import scan

if TYPE_CHECKING:
    from collections.abc import Callable

    from records import Pixels, RetrainingItem

LEVELS = [10, 10, 11, 40, 41, 41, 90, 90, 12, 12, 12, 60]


def _frames() -> list[Any]:
    sizes = [level * 10 for level in LEVELS]
    return [coded(sizes[k : k + 3], LEVELS[k : k + 3], start=k) for k in range(0, len(LEVELS), 3)]


AUDIT = AuditSettings(0.9, 0.9, cell_seconds=0.2, false_alarm=0.9)


def _never(answers: Any, truth: Any, times_ns: Any) -> None:
    """A certifier that certifies nothing."""
    assert all(len(one) == len(truth) == len(times_ns) for one in answers)


PLAN = Plan(
    packets=Band(0.0, 0.85),
    stride=2,
    difference=DifferenceSettings(4.0),
    specialised=Band(0.1, 0.4),
)


def _cascade(resume: Any) -> Cascade:
    models = Models(Brightness(), BrightnessScorer(), SizeScorer())
    return Cascade(CascadeSettings(PLAN, Predicate("person")), models, resume)


def _audited(resume: Any) -> Cascade:
    # The detector sees no person below 60 and the plan sees one above 10: the alarm comes soon.
    models = Models(Brightness(60), BrightnessScorer(), SizeScorer(), _never)
    settings = CascadeSettings(
        Plan(packets=Band(0.05, 0.05)),
        Predicate("person"),
        safer=(PLAN,),
        audit=AUDIT,
        trial=TrialSettings(0.4),
    )
    return Cascade(settings, models, resume)


def _shadowed(resume: Any) -> Cascade:
    # The candidate looks at packets, and at more of them than the version that decides.
    models = Models(Brightness(), BrightnessScorer(), SizeScorer())
    judged = ShadowSettings(least_audited=2, confidence=0.5, worse_by=0.5)
    settings = CascadeSettings(
        Plan(packets=Band(0.05, 0.05)), Predicate("person"), audit=AUDIT, shadow=judged,
        probation_seconds=60,
    )  # fmt: skip
    candidate = CascadeVersion(replace(settings, plan=PLAN), models, "gate@2")
    version = CascadeVersion(settings, models, "gate@1", candidate)
    return Cascade(settings, models, resume, versions=lambda _: version)


def _verdicts() -> list[Any]:
    every = [
        Verdict("gate", k, k * TENTH_NS, Stage.REFERENCE, 0.75, person_at(level))
        for k, level in enumerate(LEVELS)
    ]
    return [VerdictBatch("gate", tuple(every[k : k + 3])) for k in range(0, len(every), 3)]


@dataclass(frozen=True)
class Case:
    """How to make a logic, what to feed it, and what an empty item is."""

    make: Callable[[Any], KeyedLogic[Any, Any, Any]]
    items: Callable[[], list[Any]]
    empty: Any


PERSON = PredicateGroup("person", (Predicate("person"),))


def _observer(resume: Any) -> Observer:
    budget = BudgetSettings(18_000, pane_seconds=0.4)
    settings = ObserveSettings((PERSON,), pane_seconds=0.4, budget=budget)
    return Observer(settings, Brightness(), {"person": BrightnessScorer()}, resume)


def _windows(resume: Any) -> Windows:
    asked = (Aggregate.AVERAGE, Aggregate.PRESENCE)
    settings = WindowSettings("q", ("person",), asked, 0.6, 0.2, most=9.0, lateness_seconds=0.4)
    return Windows(settings, resume)


def _observations() -> list[Any]:
    observer = _observer(None)
    return [observer.on_item(item) for item in _frames()]


SIGNAL = np.linspace(0, 1, 90, dtype=np.float32)


def _signal() -> list[Any]:
    """Two runs with a gap between them, and an end."""
    late = [replace(one, time_ns=one.time_ns + TENTH_NS) for one in readings(SIGNAL, 9)[5:]]
    return [*readings(SIGNAL, 9)[:5], *late, StreamEvent("bed", 10**11, EventKind.ENDED)]


def _live_limit(resume: Any) -> LiveLimit:
    settings = LiveLimitSettings(9, SelectionSettings(18_000, apart_seconds=0.1))
    models = LiveModels(Predicate("person").holds, Brightness(), BrightnessScorer())
    return LiveLimit(settings, models, resume)


def _join(resume: Any) -> Join:
    return Join(JoinSettings({"gate": ("roof",)}, 0.05, wait_seconds=0.3), resume)


def _verdicts_and_scans() -> list[Any]:
    scans = [SensorBatch("gate", "roof", (scan(70 + 120 * k),)) for k in range(4)]
    return [item for pair in zip(_verdicts(), scans, strict=True) for item in pair]


def _finding_episodes(resume: Any) -> FindingEpisodes:
    control = FalseAlarmSettings(per_day=10, randomised=True)
    settings = EpisodeSettings(0.2, 0.3, 0.1, inhibited_by=("dark",), false_alarms=control)
    return FindingEpisodes(settings, AlertOrigin(), lambda one: one.severity, resume)


def _findings() -> list[Any]:
    names = ["flicker", "appear", "flicker", "dark", "appear"]
    return [
        Monitored("gate", (k, k * TENTH_NS), tuple(
            Finding("gate", names[(k + j) % 5], k, k * TENTH_NS, k, k * TENTH_NS, float(level), "")
            for j, level in enumerate(LEVELS[: k % 3])
        ))
        for k in range(12)
    ]  # fmt: skip


WATCHED = (
    Flicker(sure_score=0.0), Appear(absent_seconds=0.2), Multibox(), Velocity(), CountJump(),
    ClassChange(),
)  # fmt: skip


def _monitor(resume: Any) -> Monitor:
    return Monitor(WATCHED, MonitorSettings(frozenset({"appear"}), hold_seconds=1.0), resume)


def _moments() -> list[Any]:
    """Two people, one of whom flickers while the other is seen for a moment."""
    tracks = [[1], [1], [], [1, 2], [1], [], [], [1], [1], [1], [], [1]]
    every = [
        Moment("gate", k, k * TENTH_NS, outputs={DETECTIONS: Detections.of(
            [[10, 1, 30, 41], [60, 1, 80, 41]][: len(each)], [0.9, 0.3][: len(each)],
            ["person"] * len(each), tracks=each,
        )})
        for k, each in enumerate(tracks)
    ]  # fmt: skip
    return [MomentBatch("gate", tuple(every[k : k + 2])) for k in range(0, len(every), 2)]


def _answer(one: Moment) -> Detections:
    found = one.outputs[DETECTIONS]
    assert isinstance(found, Detections)
    return found


def _corrector(resume: Any) -> Corrector:
    return Corrector(CorrectorSettings({"flicker": 0.0}, hold_seconds=0.4), resume)


def _verdicts_and_findings() -> list[Any]:
    logic = Monitor(WATCHED)
    return [
        item
        for batch in _moments()
        for item in (
            VerdictBatch("gate", tuple(
                Verdict("gate", one.sequence, one.time_ns, Stage.REFERENCE, 0.5, _answer(one))
                for one in batch.moments
            )),
            logic.on_item(batch),
        )
    ]  # fmt: skip


def _nomination(resume: Any) -> Nomination:
    return Nomination(NominationSettings(random_seconds=0.4, hold_seconds=0.2), resume)


def _candidates() -> list[Any]:
    """What is nominated, each with a fingerprint."""
    logic = _nomination(None)
    outs = [out for one in _verdicts_and_findings() if (out := logic.on_item(one)) is not None]
    return [
        Candidates("gate", tuple(
            Candidate(replace(one, fingerprint=one.sequence % 3 << 10)) for one in out.items
        ), out.dropped)
        for out in outs
    ]  # fmt: skip


class _NoPictures:
    """Gives no picture: frames do not survive a restart, so no picture may depend on one."""

    bytes_at_most = 1000

    def keep(self, pixels: Pixels) -> tuple[Pixels, int]:
        return pixels, 100

    def picture(self, pixels: Pixels, item: RetrainingItem, box: object) -> None:
        del pixels, item, box


def _frames_and_nominations() -> list[Any]:
    logic = _nomination(None)
    outs = [out for one in _verdicts_and_findings() if (out := logic.on_item(one)) is not None]
    return [item for pair in zip(_frames(), outs, strict=False) for item in pair]


def _signals_and_nominations() -> list[Any]:
    """Blocks of a signal, and what is nominated of the seconds before."""
    blocks = readings(SIGNAL, 9)
    return [
        each
        for one in blocks
        for each in (
            one,
            Nominations(one.stream, (queues.item(one.sequence, one.stream, time_ns=one.time_ns),)),
        )
    ]


def _keep_window(item: RetrainingItem, window: Reading) -> Candidate:
    return Candidate(item, window.samples.tobytes())


RULES = [CountRule("one", "person", at_least=1, clear_seconds=0.1)]
CASES: dict[object, Case] = {
    Cascade: Case(_cascade, _frames, FrameBatch("gate", ())),
    "audited": Case(_audited, _frames, FrameBatch("gate", ())),
    "shadowed": Case(_shadowed, _frames, FrameBatch("gate", ())),
    Track: Case(lambda resume: Track(TrackSettings(), resume), _verdicts, VerdictBatch("gate", ())),
    Episodes: Case(
        lambda resume: Episodes(RULES, AlertOrigin(), resume), _verdicts, VerdictBatch("gate", ())
    ),
    Observer: Case(_observer, _frames, FrameBatch("gate", ())),
    VerdictObserver: Case(
        lambda resume: VerdictObserver(VerdictSettings((PERSON,), tracked=True), resume),
        _verdicts,
        VerdictBatch("gate", ()),
    ),
    Windows: Case(_windows, _observations, Observations.of("gate", [], [])),
    EcgStream: Case(
        lambda resume: EcgStream(EcgStreamSettings(new_windows=3), Loudness(), resume),
        _signal,
        Reading("bed", 0, 0, 8.0, np.empty((0, 1), np.float32), ("ECG",), ("mV",)),
    ),
    LiveLimit: Case(_live_limit, _frames, FrameBatch("gate", ())),
    FindingEpisodes: Case(_finding_episodes, _findings, Monitored("gate", (0, 0))),
    Monitor: Case(_monitor, _moments, MomentBatch("gate", ())),
    Corrector: Case(_corrector, _verdicts_and_findings, VerdictBatch("gate", ())),
    InputWatch: Case(
        lambda resume: InputWatch((Frozen(), Gap()), resume), _frames, FrameBatch("gate", ())
    ),
    Nomination: Case(_nomination, _verdicts_and_findings, VerdictBatch("gate", ())),
    Admission: Case(
        lambda resume: Admission(AdmissionSettings(most_per_episode=1), resume),
        _candidates,
        Candidates("gate", ()),
    ),
    RetrainingPictures: Case(
        lambda _: RetrainingPictures(_NoPictures()),
        _frames_and_nominations,
        FrameBatch("gate", ()),
    ),
    RetrainingSignals: Case(
        lambda resume: RetrainingSignals(CutSettings(4), _keep_window, resume),
        _signals_and_nominations,
        Nominations("bed", ()),
    ),
    Join: Case(_join, _verdicts_and_scans, VerdictBatch("gate", ())),
}


def concrete(kind: type[Any]) -> set[type]:
    found: set[type] = set()
    children: list[type[Any]] = kind.__subclasses__()
    for one in children:
        found |= concrete(one) | (set() if getattr(one, "__abstractmethods__", None) else {one})
    return found


def test_every_operator_is_under_contract() -> None:
    for module in pkgutil.walk_packages(operators.__path__, "operators."):
        importlib.import_module(module.name)
    # Tests that ran before in this process may have classes of their own.
    ours = {one for one in concrete(KeyedLogic) if one.__module__.startswith("operators.")}
    assert ours == {type(case.make(None)) for case in CASES.values()}


@pytest.fixture(params=CASES.values(), ids=[str(name) for name in CASES])
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


def outs(logic: KeyedLogic[Any, Any, Any], items: list[Any]) -> list[Any]:
    return [logic.on_item(item) for item in items]


def same(a: Any, b: Any) -> bool:
    """Equality through pickling's eyes, for states that hold arrays."""
    return pickle.dumps(a) == pickle.dumps(b)


def test_the_same_items_give_the_same_outs(case: Case) -> None:
    assert repr(outs(case.make(None), case.items())) == repr(outs(case.make(None), case.items()))


def test_a_restart_at_any_item_changes_nothing(case: Case) -> None:
    whole = repr(outs(case.make(None), case.items()))
    for cut in range(len(case.items()) + 1):
        first = case.make(None)
        before = outs(first, case.items()[:cut])
        # Recovery stores snapshots as pickles; what comes back must serve as well.
        resumed = case.make(pickle.loads(pickle.dumps(first.snapshot())))
        assert repr(before + outs(resumed, case.items()[cut:])) == whole


def test_a_snapshot_is_a_copy(case: Case) -> None:
    logic = case.make(None)
    outs(logic, case.items()[:2])
    saved = logic.snapshot()
    kept = copy.deepcopy(saved)
    outs(logic, case.items()[2:])
    assert same(saved, kept)


def test_an_empty_item_changes_nothing(case: Case) -> None:
    plain, with_empty = case.make(None), case.make(None)
    for item in case.items():
        want = repr(plain.on_item(item))
        with_empty.on_item(case.empty)
        assert repr(with_empty.on_item(item)) == want
