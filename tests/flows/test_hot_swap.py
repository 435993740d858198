"""Following one model of the registry, and acting on what flows tell of it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry

from connectors.model_metrics import ModelMetrics
from flows.hot_swap import ModelReports, ModelWatch
from flows.hot_swap_outcomes import Outcome, Outcomes, parse_id
from flows.hot_swap_supervisor import Supervisor
from models.registry import ChangeKind, ModelKind, Registry
from records import DetectorError, EventKind, StreamEvent
from tests.support.live import Ticks, new_version

if TYPE_CHECKING:
    from pathlib import Path


class Shelf:
    """A registry of models that are words, with what reads them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "registry"
        self.registry = Registry(self.folder, Ticks())
        self.samples = CollectorRegistry()
        self.reports = ModelReports(ModelMetrics(self.samples))
        self.go = threading.Event()
        self.go.set()

    def add(self, *words: str, kind: ModelKind = ModelKind.ECG) -> None:
        for word in words:
            source = self.folder.parent / f"new-{word}"
            source.mkdir()
            (source / "word.txt").write_text(word, encoding="utf-8")
            self.registry.add("gate", source, new_version(kind))

    def load(self, folder: Path) -> str:
        self.go.wait(60)
        word = (folder / "word.txt").read_text(encoding="utf-8")
        if word == "bad":
            raise DetectorError("it is bad")
        return word

    def watch(self) -> ModelWatch[str]:
        return ModelWatch(
            self.registry, "gate", ModelKind.ECG, self.load, self.reports,
            poll_seconds=0.5, clock=Ticks(),
        )  # fmt: skip

    def supervisor(self, *, quorum: float = 1.0, rollback: bool = True) -> Supervisor:
        streams = {"gate": frozenset({"a", "b", "c"})}
        return Supervisor(
            self.registry, self.folder, self.reports, streams, quorum=quorum, rollback=rollback
        )

    def sample(self, name: str, **labels: str) -> float | None:
        return self.samples.get_sample_value(name, {"name": "gate", **labels})

    def changes(self) -> list[tuple[str, int]]:
        return [
            (str(one.what), one.number)
            for one in self.registry.history("gate")
            if one.what is not ChangeKind.ADDED
        ]


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def settled(watch: ModelWatch[str]) -> tuple[str | None, str | None]:
    """What is held once all is loaded."""
    watch.poll()
    watch.close()
    held = watch.held
    return (
        held.current.model if held.current else None,
        held.candidate.model if held.candidate else None,
    )


def test_a_watch_follows_the_pointers(shelf: Shelf) -> None:
    shelf.add("one", "two")
    watch = shelf.watch()
    assert settled(watch) == (None, None)
    shelf.registry.propose("gate", 1)
    assert settled(watch) == (None, "one")
    shelf.registry.promote("gate", 1)
    assert settled(watch) == ("one", None)
    shelf.registry.propose("gate", 2)
    candidate = settled(watch) and watch.held.candidate
    shelf.registry.promote("gate", 2)
    assert settled(watch) == ("two", None)
    assert watch.held.current is candidate, "what is in memory is not read again"
    shelf.registry.rollback("gate")
    assert settled(watch) == ("one", None)
    assert shelf.sample("sightflow_model_info", version="1") == 1
    assert shelf.sample("sightflow_model_info", version="2") is None
    swaps = [
        shelf.sample("sightflow_model_swaps_total", reason=r) for r in ("promoted", "rolled_back")
    ]
    assert swaps == [2, 1]


def test_loading_holds_nobody_up(shelf: Shelf) -> None:
    shelf.add("one", "two")
    shelf.registry.promote("gate", 1)
    watch = shelf.watch()
    shelf.go.clear()
    shelf.registry.promote("gate", 2)
    for _ in range(3):
        held = watch.poll()
        assert held.current is not None
        assert held.current.id == "gate@1"
    shelf.go.set()
    assert settled(watch) == ("two", None)


def test_what_cannot_be_loaded_is_told_and_the_one_before_goes_on(shelf: Shelf) -> None:
    shelf.add("one", "bad")
    shelf.add("other", kind=ModelKind.DETECTOR)
    shelf.add("changed", "last")
    shelf.registry.promote("gate", 1)
    watch = shelf.watch()
    for number in (2, 3, 4):
        shelf.registry.promote("gate", number)
        if number == 4:
            (shelf.folder / "gate/versions/4/word.txt").write_text("damaged", encoding="utf-8")
        assert settled(watch) == ("one", None)
        assert shelf.sample("sightflow_model_faults_total") == number - 1
    shelf.registry.promote("gate", 5)
    assert settled(watch) == ("last", None)


def test_a_history_that_is_damaged_is_told_once(shelf: Shelf) -> None:
    shelf.add("one")
    shelf.registry.promote("gate", 1)
    watch = shelf.watch()
    with (shelf.folder / "gate/history.jsonl").open("a", encoding="utf-8") as file:
        file.write("no change\n")
    assert [settled(watch) for _ in range(3)] == [("one", None)] * 3
    assert shelf.sample("sightflow_model_faults_total") == 1


def test_the_first_version_must_be_usable(shelf: Shelf) -> None:
    shelf.add("bad")
    shelf.registry.promote("gate", 1)
    with pytest.raises(DetectorError, match="it is bad"):
        shelf.watch()


def judged(reason: str, candidate: str = "gate@2", beside: str = "gate@1") -> StreamEvent:
    word = "after" if reason == "worsened" else "beside"
    return StreamEvent("a", 0, EventKind.MODEL, 0, reason, f"{candidate} {word} {beside}: why")


def test_a_candidate_is_promoted_when_it_passed_on_all_streams(shelf: Shelf) -> None:
    shelf.add("one", "two")
    shelf.registry.promote("gate", 1)
    shelf.registry.propose("gate", 2)
    # Each stream belongs to a process of its own here.
    for stream in ("a", "b", "a"):
        shelf.supervisor().observe(stream, [judged("shadow_passed")])
    assert shelf.registry.pointers("gate").current == 1
    shelf.supervisor().observe("c", [judged("shadow_passed", beside="reference")])
    assert shelf.registry.pointers("gate").current == 1, "beside another, that is no vote"
    shelf.supervisor().observe("c", [judged("shadow_passed")])
    shelf.supervisor().observe("c", [judged("shadow_passed")])
    assert shelf.changes()[-1] == ("promoted", 2)
    assert shelf.registry.history("gate")[-1].reason == (
        "the shadow passed on 3 and failed on 0 of 3 streams"
    )
    assert shelf.sample("sightflow_model_shadows_total", outcome="passed") == 6


def test_a_quorum_may_be_enough_and_what_cannot_reach_it_is_rejected(shelf: Shelf) -> None:
    shelf.add("one", "two", "three")
    shelf.registry.promote("gate", 1)
    shelf.registry.propose("gate", 2)
    supervisor = shelf.supervisor(quorum=0.6)
    supervisor.observe("a", [judged("shadow_failed")])
    assert shelf.registry.pointers("gate").candidate == 2
    supervisor.observe("b", [judged("shadow_passed")])
    supervisor.observe("c", [judged("shadow_passed")])
    assert shelf.changes()[-1] == ("promoted", 2)
    shelf.registry.propose("gate", 3)
    for stream in ("a", "b"):
        supervisor.observe(stream, [judged("shadow_failed", "gate@3", "gate@2")])
    assert shelf.changes()[-1] == ("rejected", 3)
    assert shelf.registry.pointers("gate").candidate is None


def test_what_worsened_is_rolled_back_once_and_never_promoted_again(shelf: Shelf) -> None:
    shelf.add("one", "two")
    for number in (1, 2):
        shelf.registry.promote("gate", number)
    shelf.supervisor(rollback=False).observe("a", [judged("worsened")])
    assert shelf.registry.pointers("gate").current == 2
    for stream in ("a", "b"):
        shelf.supervisor().observe(stream, [judged("worsened")])
    assert shelf.changes()[-1] == ("rolled_back", 1)
    shelf.supervisor().observe("a", [judged("worsened", "gate@1", "gate@2")])
    assert shelf.changes()[-1] == ("rolled_back", 1), "a rollback is not rolled back"
    shelf.registry.propose("gate", 2)
    for stream in ("a", "b", "c"):
        shelf.supervisor().observe(stream, [judged("shadow_passed")])
    assert shelf.registry.pointers("gate").candidate == 2
    assert shelf.sample("sightflow_model_faults_total") == 1, "a person must promote it"


def test_where_there_is_no_way_back_that_is_told(shelf: Shelf) -> None:
    shelf.add("one")
    shelf.registry.promote("gate", 1)
    supervisor = shelf.supervisor()
    supervisor.observe("a", [judged("worsened", "gate@1", "reference")])
    supervisor.observe("a", [judged("worsened", "gate@one", "reference")])
    (shelf.folder / ".live").rename(shelf.folder / "away")
    (shelf.folder / ".live").touch()  # no lock can be made
    supervisor.observe("a", [judged("worsened", "gate@1", "reference")])
    assert shelf.changes() == [("promoted", 1)]
    assert shelf.sample("sightflow_model_faults_total") == 3


def test_who_sees_the_same_fault_at_once_rolls_back_once(shelf: Shelf) -> None:
    shelf.add("one", "two", "three", "four")
    for number in (1, 2, 3, 4):
        shelf.registry.promote("gate", number)
    barrier = threading.Barrier(4)

    def roll_back() -> None:
        supervisor = shelf.supervisor()
        barrier.wait(60)
        supervisor.observe("a", [judged("worsened", "gate@4", "gate@3")])

    threads = [threading.Thread(target=roll_back) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shelf.changes()[4:] == [("rolled_back", 3)]


def test_events_of_other_programs_change_nothing(shelf: Shelf) -> None:
    shelf.add("one", "two")
    for number in (1, 2):
        shelf.registry.promote("gate", number)
    shelf.supervisor().observe("elsewhere", [judged("worsened")])
    shelf.supervisor().observe("a", [judged("worsened", "till@2", "till@1")])
    shelf.supervisor().observe("a", [StreamEvent("a", 0, EventKind.MODEL, reason="worsened")])
    assert shelf.changes() == [("promoted", 1), ("promoted", 2)]


def test_judgements_are_kept_through_a_crash_and_make_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = Outcomes(tmp_path, "gate")
    with outcomes.locked():
        outcomes.add(Outcome(2, "gate@1", "a", passed=True))
        (file,) = tmp_path.rglob("outcomes.jsonl")
        with file.open("a", encoding="utf-8") as opened:
            opened.write('{"candidate": 2, "incum')
        assert outcomes.of(2, "gate@1") == {"a": True}
        outcomes.add(Outcome(2, "gate@1", "b", passed=False))
        assert outcomes.of(2, "gate@1") == {"a": True, "b": False}
        monkeypatch.setattr("flows.hot_swap_outcomes.LARGEST_FILE", 200)
        outcomes.add(Outcome(3, "gate@1", "a", passed=True))
        assert outcomes.of(2, "gate@1") == {}
        assert outcomes.of(3, "gate@1") == {"a": True}


@pytest.mark.parametrize("text", ["gate", "gate@", "@4", "gate@four", "gate@-1"])
def test_a_version_has_a_name_and_a_number(text: str) -> None:
    with pytest.raises(DetectorError, match="a version must be name@number, got "):
        parse_id(text)
