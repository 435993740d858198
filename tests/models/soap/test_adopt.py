"""Trials in turns: what is chosen from times, and real trials on real ranks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.soap.adopt import AdoptSettings, adopt, chosen
from models.soap.plan import data_parallel, single_device
from models.soap.planned import PlanChoice, open_training, read_plan
from models.soap.ranks import Ranks, RankSettings
from models.soap.search import SearchSettings
from models.soap.training_settings import OptimiserSettings
from records import RecordError, SightflowError
from tests.support.soap import distance, random_plan
from tests.support.soap_training import die, examples, loss_of, network

if TYPE_CHECKING:
    from pathlib import Path

QUICK = AdoptSettings(steps=1, least_turns=3, most_turns=3)
NAME = "perceptron"


def test_the_fastest_is_chosen_and_ties_go_to_the_first() -> None:
    times = {
        "single": [1.0, 1.2, 1.1],
        "data_parallel": [0.505, 0.605, 0.555],
        "found 1": [0.5, 0.6, 0.55],
    }
    settings = AdoptSettings(tie=0.02)
    name, measured = chosen(times, settings)
    assert name == "data_parallel"
    assert measured["single"].seconds == 1.1
    assert measured["single"].ratio == pytest.approx(2)
    assert measured["found 1"].ratio == 1
    assert measured["found 1"].error == 0
    assert [each.turns for each in measured.values()] == [3, 3, 3]
    assert chosen(times, AdoptSettings(tie=0.0))[0] == "found 1"


@given(st.integers(0, 2**32 - 1), st.floats(1.03, 3.0))
def test_load_that_all_meet_does_not_change_the_choice(seed: int, slower: float) -> None:
    random = np.random.default_rng(seed)
    load = random.uniform(1, 10, 9)
    own = {name: random.normal(1, 0.002, 9) for name in ("single", "found 1")}
    times = {"single": slower * load * own["single"], "found 1": load * own["found 1"]}
    measured = chosen({name: list(each) for name, each in times.items()}, AdoptSettings())
    assert measured[0] == "found 1"


def test_plans_are_tried_in_real_steps_until_time_is_up() -> None:
    model, batch = network(NAME), examples(NAME, 1)[0]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    graph = loss_of(NAME).graph(model, batch.inputs)
    plans = {
        "single": single_device(graph),
        "data_parallel": data_parallel(graph, 2),
        "found 1": random_plan(graph, 2, 1),
    }
    turns: list[tuple[int, int]] = []
    given_ = (model, batch, loss_of(NAME), OptimiserSettings(), plans)
    with Ranks(RankSettings(2)) as ranks:
        found = adopt(*given_, ranks, QUICK, lambda done, most: turns.append((done, most)))
        assert found.plan is plans[found.name]
        assert [each.turns for each in found.measured.values()] == [3, 3, 3]
        assert min(each.seconds for each in found.measured.values()) > 0
        assert turns == [(1, 3), (2, 3), (3, 3)]
        assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
        ticks = iter(range(0, 10**15, 10**9))  # each look at the clock takes a second
        short = AdoptSettings(steps=1, least_turns=3, most_turns=40, seconds=5.0)
        found = adopt(*given_, ranks, short, clock=lambda: next(ticks))
        assert [each.turns for each in found.measured.values()] == [3, 3, 3]
        with pytest.raises(RecordError, match="^there must be at least one plan to try, got none$"):
            adopt(model, batch, loss_of(NAME), OptimiserSettings(), {}, ranks)
        with pytest.raises(SightflowError, match="^rank 0 must run until it has answered"):
            ranks.run(die, 0)
        with pytest.raises(SightflowError, match="^the ranks must be running"):
            adopt(*given_, ranks, QUICK)


def test_a_trainer_opens_a_training_by_a_word(tmp_path: Path) -> None:
    model, batch, optimiser = network(NAME), examples(NAME, 1)[0], OptimiserSettings()
    graph = loss_of(NAME).graph(model, batch.inputs)
    path = tmp_path / "plan.json"
    path.write_text(random_plan(graph, 2, 1).to_json(), encoding="utf-8")
    search = SearchSettings(seconds=1e9, evaluations=3)
    given_ = (model, batch, loss_of(NAME), optimiser)
    names = {"single": {"single"}, "dp": {"data_parallel"}, str(path): {str(path)}}
    names["auto"] = {"single", "data_parallel", "found 1", "found 2", "found 3"}
    states = []
    with Ranks(RankSettings(2)) as ranks:
        for how, expected in names.items():
            choice = PlanChoice(how, 2, search, QUICK)
            with open_training(*given_, choice, ranks=ranks) as opened:
                assert opened.name in expected
                assert (opened.adoption is not None) == (how == "auto")
                opened.training.step(batch.inputs, batch.targets)
                states.append(opened.training.state())
    with open_training(*given_, PlanChoice("dp", 2)) as opened:
        opened.training.step(batch.inputs, batch.targets)
        states.append(opened.training.state())
    assert max(distance(state, states[0]) for state in states) <= 1e-5


def test_with_fewer_devices_a_choice_comes_to_one() -> None:
    choice = PlanChoice("plan.json", 3)
    told = []
    for _ in range(3):
        choice = choice.fewer()
        told.append((choice.how, choice.devices))
    assert told == [("auto", 2), ("single", 1), ("single", 1)]
    assert PlanChoice("dp", 3).fewer().how == "dp"


def test_files_that_are_no_plans(tmp_path: Path) -> None:
    with pytest.raises(RecordError) as caught:
        read_plan(tmp_path / "gone.json")
    assert str(caught.value).startswith(
        "a plan must be single, dp, auto or a file that 'sightflow plan --save' wrote; '"
    )
    (tmp_path / "list.json").write_text("[]", encoding="utf-8")
    with pytest.raises(RecordError, match="^a plan must be JSON that to_json wrote: "):
        read_plan(tmp_path / "list.json")


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"least_turns": 2}, "least_turns must be in 3..40 (most_turns), got 2"),
        ({"seconds": 0.0}, "seconds must be above 0, got 0.0"),
        ({"tie": 1.0}, "tie must be in 0..1, got 1.0"),
        ({"hopeless": 1.0}, "hopeless must be above 1, got 1.0"),
    ],
)
def test_settings_out_of_range(fields: dict[str, float], complaint: str) -> None:
    with pytest.raises(RecordError) as caught:
        AdoptSettings(**fields)  # type: ignore[arg-type]  # the point of the test
    assert str(caught.value) == complaint
