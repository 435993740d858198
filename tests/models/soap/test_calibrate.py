"""Calibration: what was planted is found; real steps are timed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from models.soap.calibrate import Calibration, calibrate, fit
from models.soap.calibrate_steps import (
    TimingSettings,
    example_batch,
    example_state,
    time_steps,
)
from models.soap.cost import AnalyticCosts
from models.soap.execute import Execution
from models.soap.machine import Runtime, this_machine
from models.soap.plan import single_device
from models.soap.random_plans import sample_plans
from models.soap.ranks import Ranks, RankSettings
from models.soap.simulate import Simulator
from records import RecordError
from tests.support.soap import CASES, graph_of, optimiser

if TYPE_CHECKING:
    from pathlib import Path

QUICK = TimingSettings(rounds=1, round_seconds=0.001, warm_steps=1)


def simulator(name: str, runtime: Runtime | None = None) -> Simulator:
    graph, machine = graph_of(name), this_machine(2, runtime)
    return Simulator(graph, machine, AnalyticCosts(graph, machine))


def test_planted_constants_predict_another_net() -> None:
    planted = Runtime(
        message_seconds=4e-4, bytes_per_second=2e8, memory_bytes_per_second=1e9,
        stage_seconds=1e-4, part_seconds=1e-5, step_seconds=1e-3, compute_factor=1.5,
        alone_factor=0.7,
    )  # fmt: skip
    plans = sample_plans(graph_of("alexnet"), 2, 24)
    measured = np.array([simulator("alexnet", planted).seconds(plan) for plan in plans])
    found, error = fit([(simulator("alexnet"), plans)], [measured])
    assert error < 0.02
    others = sample_plans(graph_of("residual"), 2, 8)
    want = np.array([simulator("residual", planted).seconds(plan) for plan in others])
    got = np.array([simulator("residual", found).seconds(plan) for plan in others])
    assert np.mean(np.abs(got / want - 1)) < 0.06


def test_real_steps_are_timed_and_fitted(tmp_path: Path) -> None:
    graph = graph_of("perceptron")
    plans = sample_plans(graph, 2, 4)
    with Ranks(RankSettings(2)) as ranks:
        found = calibrate(ranks, [(graph, plans)], QUICK)
        with pytest.raises(RecordError) as caught:
            time_steps(ranks, graph, [single_device(graph)], QUICK)
        assert str(caught.value) == "plans must be for 2 devices, one a rank, got [1]"
    assert (found.ranks, found.plans) == (2, 4)
    assert set(found.hardware) == {"processor", "cores", "python", "torch"}
    found.save(tmp_path / "calibration.json")
    assert Calibration.load(tmp_path / "calibration.json") == found


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore:The tensor attributes")
def test_every_graph_has_an_example_to_time(name: str) -> None:
    graph = graph_of(name)
    torch.set_num_threads(1)
    execution = Execution(graph, single_device(graph), 0, example_state(graph), optimiser)
    assert 0 < execution.step(example_batch(graph)) < float("inf")


def test_nothing_to_fit() -> None:
    with pytest.raises(RecordError) as caught:
        fit([], [])
    assert str(caught.value) == "a calibration needs plans, got none"


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"rounds": 0}, "rounds must be at least 1, got 0"),
        ({"warm_steps": 0.5}, "warm_steps must be at least 1, got 0.5"),
        ({"round_seconds": 0}, "round_seconds must be above 0, got 0"),
    ],
)
def test_settings_out_of_range(fields: dict[str, object], complaint: str) -> None:
    with pytest.raises(RecordError) as caught:
        replace(QUICK, **fields)  # type: ignore[arg-type]  # the point of the test
    assert str(caught.value) == complaint


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"runtime": {"part_seconds": -1}}'])
def test_wrong_calibrations(tmp_path: Path, text: str) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(text)
    with pytest.raises(RecordError, match="^a calibration must be a file that was saved here"):
        Calibration.load(path)
