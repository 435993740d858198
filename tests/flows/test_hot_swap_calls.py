"""Calls of a model that changes, and its candidates on some of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry

from connectors.model_metrics import ModelMetrics
from flows.config import ModelsSection, ShadowSection
from flows.hot_swap_calls import CallSettings, SwappableCalls
from flows.live_models import LiveModels
from models.registry import ModelKind, Registry
from records import RecordError
from tests.support.live import Ticks, new_version

if TYPE_CHECKING:
    from pathlib import Path


def live(folder: Path) -> LiveModels:
    section = ModelsSection(directory="registry", shadow=ShadowSection())
    return LiveModels(section, folder, ModelMetrics(CollectorRegistry()), Ticks())


@dataclass
class Doubler:
    """A model that doubles what it is given, unless it is broken."""

    factor: float = 2.0
    broken: type[Exception] | None = None
    calls: list[float] = field(default_factory=list)

    def __call__(self, given: float) -> float:
        self.calls.append(given)
        if self.broken is not None:
            raise self.broken("it is broken")
        return self.factor * given


class Words:
    """A registry whose versions are `Doubler`s, and calls of them."""

    def __init__(self, folder: Path, models: list[Doubler]) -> None:
        self.registry = Registry(folder / "registry", Ticks())
        self.models = {f"{k}": model for k, model in enumerate(models, 1)}
        for k in range(len(models)):
            (folder / f"{k}").mkdir()
            (folder / f"{k}" / "x").write_text("x", encoding="utf-8")
            self.registry.add("word", folder / f"{k}", new_version(ModelKind.ECG))
        self.registry.promote("word", 1)
        self.live = live(folder)
        self.told: list[tuple[object, ...]] = []

    def calls(self, settings: CallSettings | None) -> SwappableCalls[Doubler, float, float]:
        def load(folder: Path) -> Doubler:
            return self.models[folder.name]

        ticks = iter(range(10**6))
        watch = self.live.watch("word", ModelKind.ECG, load)
        return SwappableCalls(
            watch, lambda model, given: model(given), lambda a, b: [float(a == b)], settings,
            lambda *judged: self.told.append(judged),
            lambda *failed: self.told.append(failed),
            timer=lambda: float(next(ticks)),
        )  # fmt: skip

    def settle(self) -> None:
        self.live.close()


@pytest.mark.parametrize(
    ("candidate", "settings", "told"),
    [
        (Doubler(), CallSettings(2, 3), (True,
            "3 compared, agreement 1.000, which must be at least 0.8; 1.00 times the time, "
            "at most 1.5")),
        (Doubler(3.0), CallSettings(1, 2), (False,
            "2 compared, agreement 0.000, which must be at least 0.8; 1.00 times the time, "
            "at most 1.5")),
        (Doubler(), CallSettings(1, 1, at_most_slower=0.5), (False,
            "1 compared, agreement 1.000, which must be at least 0.8; 1.00 times the time, "
            "at most 0.5")),
        (Doubler(broken=RuntimeError), CallSettings(1, 1),
         (False, "it failed: RuntimeError: it is broken")),
    ],
)  # fmt: skip
def test_a_candidate_is_judged_once(
    tmp_path: Path, candidate: Doubler, settings: CallSettings, told: tuple[bool, str]
) -> None:
    words = Words(tmp_path, [Doubler(), candidate])
    words.registry.propose("word", 2)
    calls = words.calls(settings)
    assert [calls.call(float(k)) for k in range(1, 9)] == [2.0 * k for k in range(1, 9)]
    assert words.told == [("word@2", *told)]
    assert len(candidate.calls) == (1 if candidate.broken else settings.least_compared)


def test_without_settings_no_candidate_runs(tmp_path: Path) -> None:
    words = Words(tmp_path, [Doubler(), Doubler(3.0)])
    words.registry.propose("word", 2)
    calls = words.calls(None)
    assert calls.call(1.0) == 2.0
    assert (words.told, words.models["2"].calls) == ([], [])


def test_a_version_that_fails_is_left_and_no_call_is_lost(tmp_path: Path) -> None:
    words = Words(tmp_path, [Doubler(), Doubler(broken=ValueError)])
    calls = words.calls(CallSettings())
    assert calls.call(1.0) == 2.0
    words.registry.promote("word", 2)
    assert calls.call(2.0) == 4.0
    words.settle()
    assert [calls.call(float(k)) for k in (3, 4)] == [6.0, 8.0]
    assert calls.current.id == "word@1"
    assert words.told == [("word@2", "it failed in a call: ValueError: it is broken")]
    # It may have been there already when the second call came.
    assert words.models["2"].calls in ([2.0], [3.0])


def test_what_no_version_can_answer_is_an_error(tmp_path: Path) -> None:
    words = Words(tmp_path, [Doubler(), Doubler()])
    calls = words.calls(CallSettings())
    calls.call(1.0)
    words.registry.promote("word", 2)
    calls.call(1.0)
    words.settle()
    calls.call(1.0)
    assert calls.current.id == "word@2"
    for model in words.models.values():
        model.broken = RecordError
    with pytest.raises(RecordError, match="it is broken"):
        calls.call(2.0)
    assert words.told == []


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"every": 0}, "every must be at least 1, got 0"),
        ({"least_agreement": 1.5}, "least_agreement must be in 0..1, got 1.5"),
        ({"at_most_slower": 0}, "at_most_slower must be above 0, got 0"),
    ],
)
def test_settings_are_checked(values: dict[str, float], text: str) -> None:
    with pytest.raises(RecordError, match=text):
        CallSettings(**values)  # type: ignore[arg-type]  # the fault under test
