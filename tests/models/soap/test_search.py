"""Searches find what an exhaustive one finds, keep to their budget, and repeat."""

from __future__ import annotations

import functools
import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch

from models.soap import nets
from models.soap.candidates import CandidateSettings
from models.soap.cost import AnalyticCosts
from models.soap.machines_published import find_machine
from models.soap.plan import data_parallel, single_device
from models.soap.search import Found, Method, SearchSettings, search
from models.soap.simulate import Simulator
from models.soap.training_settings import LossSettings
from records import RecordError

if TYPE_CHECKING:
    from models.soap.machine import Machine

ALL = 1e9
"""More seconds than any search takes."""


def cluster(devices: int, memory_bytes: int | None = None) -> Machine:
    """Some devices of the paper's cluster, perhaps with another memory."""
    machine = find_machine("p100")
    chosen = machine.devices[:devices]
    if memory_bytes is not None:
        chosen = tuple(replace(device, memory_bytes=memory_bytes) for device in chosen)
    return replace(machine, devices=chosen)


@functools.cache
def simulator(name: str, devices: int, memory_bytes: int | None = None) -> Simulator:
    with torch.device("meta"):
        if name == "perceptron":
            model: torch.nn.Module = nets.perceptron(4096, 4096, 1000, layers=1)
            inputs = [torch.zeros(64, 4096)]
        elif name == "convolutions":
            model = nets.alexnet(64, 1000, dropout=0.0)
            inputs = [torch.zeros(64, 3, 64, 64)]
        else:
            model = nets.inception(64, 1000)
            inputs = [torch.zeros(16, 3, 64, 64)]
    graph = LossSettings().graph(model, inputs)
    machine = cluster(devices, memory_bytes)
    return Simulator(graph, machine, AnalyticCosts(graph, machine))


def found(name: str, devices: int, settings: SearchSettings) -> Found:
    predictor = simulator(name, devices)
    return search(predictor.graph, predictor, devices, settings)


@pytest.mark.parametrize(("devices", "most"), [(2, 128), (4, 10), (8, 8)])
def test_the_default_finds_what_an_exhaustive_search_finds(devices: int, most: int) -> None:
    candidates = CandidateSettings(most)
    every = found(
        "perceptron",
        devices,
        SearchSettings(Method.EXHAUSTIVE, seconds=ALL, candidates=candidates),
    )
    assert every.complete
    some = found(
        "perceptron",
        devices,
        SearchSettings(seconds=ALL, evaluations=600, candidates=candidates, moves=200),
    )
    assert some.seconds <= 1.01 * every.seconds
    assert every.seconds <= some.seconds
    assert every.seconds < min(every.single, every.data_parallel)


@pytest.mark.parametrize("name", ["convolutions", "inception"])
def test_as_many_evaluations_find_at_least_what_the_published_chain_finds(name: str) -> None:
    default = found(name, 4, SearchSettings(seconds=ALL, evaluations=150))
    chain = found(name, 4, SearchSettings(Method.MCMC, seconds=ALL, evaluations=150))
    assert default.seconds <= chain.seconds
    assert default.evaluated == 150
    assert default.seconds <= min(default.single, default.data_parallel)


@pytest.mark.parametrize("method", [Method.DEFAULT, Method.MCMC])
def test_the_same_seed_finds_the_same(method: Method) -> None:
    settings = SearchSettings(method, seconds=ALL, evaluations=80, seed=3, beta=1e4)
    one, two = (found("convolutions", 4, settings) for _ in range(2))
    assert one.plan == two.plan
    assert [(i.evaluated, i.seconds) for i in one.history] == [
        (i.evaluated, i.seconds) for i in two.history
    ]


def test_a_plan_is_what_it_is_said_to_be() -> None:
    shown: list[tuple[float, float]] = []
    predictor = simulator("convolutions", 4)
    graph = predictor.graph
    settings = SearchSettings(seconds=ALL, evaluations=100)
    what = search(graph, predictor, 4, settings, lambda used, best: shown.append((used, best)))
    assert predictor.seconds(what.plan) == what.seconds == what.best[0].seconds
    assert what.single == predictor.seconds(single_device(graph))
    assert what.data_parallel == predictor.seconds(data_parallel(graph, 4))
    assert [scored.seconds for scored in what.best] == [
        predictor.seconds(scored.plan) for scored in what.best
    ]
    bests = [improvement.seconds for improvement in what.history]
    assert bests == sorted(bests, reverse=True)
    assert len(shown) == what.evaluated == 100
    assert shown[-1] == (1.0, what.seconds)
    assert not what.complete


def test_time_ends_a_search() -> None:
    ticks = iter(range(0, 10**12, 10**8))  # each look at the clock takes a tenth of a second
    predictor = simulator("convolutions", 4)
    settings = SearchSettings(seconds=20.0)
    what = search(predictor.graph, predictor, 4, settings, clock=lambda: next(ticks))
    assert not what.complete
    assert what.elapsed == pytest.approx(20, abs=1)
    assert what.seconds <= min(what.single, what.data_parallel)


def test_memory_is_respected() -> None:
    graph = simulator("perceptron", 4).graph
    whole = max(simulator("perceptron", 4).run(single_device(graph)).memory_bytes)
    tight = simulator("perceptron", 4, whole // 2)
    what = search(graph, tight, 4, SearchSettings(seconds=ALL, evaluations=200))
    assert math.isinf(what.single)
    assert max(tight.run(what.plan).memory_bytes) <= whole // 2
    tiny = simulator("perceptron", 4, 1000)
    with pytest.raises(RecordError) as caught:
        search(graph, tiny, 4, SearchSettings(Method.MCMC, seconds=ALL, evaluations=20))
    assert str(caught.value) == (
        "no plan that was tried fits into the memory of 4 devices. "
        "Take a smaller batch or more devices"
    )


def test_an_exhaustive_search_is_for_small_graphs() -> None:
    settings = SearchSettings(Method.EXHAUSTIVE, candidates=CandidateSettings(3))
    with pytest.raises(RecordError) as caught:
        found("convolutions", 4, settings)
    assert str(caught.value) == (
        "an exhaustive search must have at most 200000 plans, got 43046721 for 3 candidates of "
        "each of 16 operators. Use another method"
    )


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"seconds": 0.0}, "seconds must be above 0, got 0.0"),
        ({"seconds": math.inf}, "a search must have an end: set seconds or evaluations"),
        ({"evaluations": 0}, "evaluations must be at least 1, got 0"),
        ({"width": 0}, "width must be at least 1, got 0"),
        ({"beta": math.nan}, "beta must be above 0, got nan"),
        ({"temperature": 0.0}, "temperature must be above 0, got 0.0"),
    ],
)
def test_settings_out_of_range(fields: dict[str, float], complaint: str) -> None:
    with pytest.raises(RecordError) as caught:
        SearchSettings(**fields)  # type: ignore[arg-type]  # the point of the test
    assert str(caught.value) == complaint
