"""What every stateful operator must keep merely by existing.

A new subclass of `KeyedLogic` that is not registered here fails the first test.
"""

from __future__ import annotations

import copy
import importlib
import pickle
import pkgutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

import operators
from operators.alerting import AlertOrigin, CountRule, Episodes
from operators.audit import AuditSettings
from operators.budget import BudgetSettings
from operators.cascade import Cascade, CascadeSettings, Models, TrialSettings
from operators.difference import DifferenceSettings
from operators.keyed import KeyedLogic
from operators.live_limit import LiveLimit, LiveLimitSettings, LiveModels
from operators.live_selection import SelectionSettings
from operators.observations import Observations, PredicateGroup
from operators.observe import Observer, ObserveSettings
from operators.observe_verdicts import VerdictObserver, VerdictSettings
from operators.plan import Band, Plan
from operators.predicate import Predicate
from operators.track import Track, TrackSettings
from operators.window import Windows
from operators.window_settings import Aggregate, WindowSettings
from records import FrameBatch, Stage, Verdict, VerdictBatch
from tests.support.pictures import (
    TENTH_NS,
    Brightness,
    BrightnessScorer,
    SizeScorer,
    coded,
    person_at,
)

if TYPE_CHECKING:
    from collections.abc import Callable

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


def _live_limit(resume: Any) -> LiveLimit:
    settings = LiveLimitSettings(9, SelectionSettings(18_000, apart_seconds=0.1))
    models = LiveModels(Predicate("person").holds, Brightness(), BrightnessScorer())
    return LiveLimit(settings, models, resume)


RULES = [CountRule("one", "person", at_least=1, clear_seconds=0.1)]
CASES: dict[object, Case] = {
    Cascade: Case(_cascade, _frames, FrameBatch("gate", ())),
    "audited": Case(_audited, _frames, FrameBatch("gate", ())),
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
    LiveLimit: Case(_live_limit, _frames, FrameBatch("gate", ())),
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
    assert concrete(KeyedLogic) == {type(case.make(None)) for case in CASES.values()}


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
