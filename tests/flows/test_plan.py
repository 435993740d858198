"""The command `plan`: what it prints, draws and writes, and what it refuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import torch

from flows.cli import main
from flows.plan_models import plan_model
from flows.plan_picture import gantt
from models.architecture import Architecture, build_network
from models.ecg import EcgModel
from models.soap.machines_published import find_machine
from models.soap.plan import Plan, data_parallel
from models.soap.simulate_timeline import Task, Timeline
from models.specialised import MEAN, Specialisation, SpecialisedModel
from records import DetectorError, RecordError
from tests.support.ecg import random_model

if TYPE_CHECKING:
    from pathlib import Path

PNG = b"\x89PNG\r\n\x1a\n"


def call(*words: str | Path) -> int:
    with pytest.raises(SystemExit) as caught:
        main([str(word) for word in words])
    code = caught.value.code
    return code if isinstance(code, int) else 0


def told(capsys: pytest.CaptureFixture[str], *words: str | Path) -> Any:
    assert call("plan", *words, "--json") == 0
    return json.loads(capsys.readouterr().out)


def test_a_plan_for_a_published_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    machine = ("perceptron", "--machine", "p100", "--devices", "4", "--batch", "64")
    budget = ("--seconds", "600", "--evaluations", "200")
    files = ("--save", tmp_path / "plan.json", "--picture", tmp_path / "step.png")
    value = told(capsys, *machine, *budget, "--explain", *files)
    plan = Plan.from_json((tmp_path / "plan.json").read_text(encoding="utf-8"))
    model = plan_model("perceptron")
    plan.check(model.loss.graph(model.layout(), model.inputs(64)))
    assert value["plan"] == json.loads(plan.to_json())
    assert (tmp_path / "step.png").read_bytes().startswith(PNG)
    assert value["predicted_seconds"] <= min(value["baselines"].values())
    assert value.keys() == {
        "ok", "model", "batch", "machine", "devices", "plan", "predicted_seconds", "baselines",
        "measured", "communication_bytes", "memory_bytes", "search_seconds", "evaluated",
        "complete", "operators", "utilisation",
    }  # fmt: skip
    assert value["measured"] == {}
    assert value["evaluated"] == 200
    names = ["linear", "relu", "linear_1", "relu_1", "linear_2", "loss"]
    assert [row["name"] for row in value["operators"]][:6] == names
    moved = sum(row["communication_bytes"] for row in value["operators"])
    assert moved == value["communication_bytes"]
    assert told(capsys, *machine, *budget)["plan"] == value["plan"]
    assert call("plan", *machine, *budget, "--explain") == 0
    out, err = capsys.readouterr()
    assert "A plan for perceptron, batch 64, on 4 devices of p100" in out
    assert "linear_1" in out
    assert "of the step" in err


def test_a_plan_for_processes_here_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    value = told(
        capsys, "2x16-32-50px", "--batch", "4", "--evaluations", "20", "--measure",
        "--calibration", tmp_path / "here.json",
    )  # fmt: skip
    measured = value["measured"]
    assert {"single", "data_parallel"} <= measured["steps"].keys()
    assert measured["adopted"] in measured["steps"]
    assert all(step["seconds"] > 0 for step in measured["steps"].values())
    assert len(value["memory_bytes"]) == value["plan"]["devices"] <= 2
    assert (value["machine"], value["devices"]) == ("this machine", 2)
    assert json.loads((tmp_path / "here.json").read_text(encoding="utf-8"))["ranks"] == 2


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("nonsense",), "a model must be one of ['alexnet', 'ecg', 'inception', 'perceptron', "),
        (("perceptron", "--machine", "cray"), "a machine must be one of ['k80', 'p100'] or"),
        (("perceptron", "--machine", "p100", "--devices", "17"), "machine 'p100' has 16 devices"),
        (("perceptron", "--machine", "p100", "--measure"), "steps can be measured on this machine"),
        (("gone.safetensors",), "gone.json must describe a model: "),
        (("perceptron", "--batch", "65537"), "batch must be in 1..65536, got 65537"),
        (
            ("perceptron", "--machine", "p100", "--seconds", "1", "--save", "gone/plan.json"),
            "plan gone/plan.json cannot be written: No such file or directory",
        ),
    ],
)
def test_what_cannot_be_planned(
    words: tuple[str, ...], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("plan", *words) == 1
    assert complaint in capsys.readouterr().err.replace("\n", " ")


@pytest.mark.parametrize(
    "name", ["alexnet", "inception", "ecg", "translator", "4x32dw-64-50px", "resnet18"]
)
def test_every_kind_of_model_can_be_split(name: str) -> None:
    model = plan_model(name)
    graph = model.loss.graph(model.layout(), model.inputs(2))
    data_parallel(graph, 2).check(graph)


def test_a_network_starts_as_torch_starts_it() -> None:
    model = plan_model("inception")
    one, two = model.network(3), model.network(3)
    state = one.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in two.state_dict().items())
    example = model.example(one, 2)
    assert [value.shape for value in example.inputs] == [(2, 3, 64, 64)]
    assert example.targets[0].shape == (2,)
    assert all(torch.equal(value, state[name]) for name, value in one.state_dict().items())


def test_models_from_files(tmp_path: Path) -> None:
    architecture = Architecture(2, 16, 32, 50)
    network = build_network(architecture, 3)
    tensors = {
        name: torch.zeros(value.shape).numpy() for name, value in network.state_dict().items()
    }
    tensors[MEAN] = torch.zeros(3, 50, 50).numpy()
    SpecialisedModel(Specialisation(architecture, 3, 1, 1.0), tensors, "cpu").save(
        tmp_path / "gate.safetensors"
    )
    random_model().save(tmp_path / "ecg.safetensors")
    gate = plan_model(str(tmp_path / "gate.safetensors"))
    assert (gate.name, gate.shapes) == ("gate.safetensors", ((3, 50, 50),))
    assert gate.layout().get_parameter("9.weight").shape[0] == 4
    ecg = plan_model(str(tmp_path / "ecg.safetensors"))
    assert isinstance(EcgModel.load(tmp_path / "ecg.safetensors"), EcgModel)
    assert ecg.shapes == ((1, 7680),)
    (tmp_path / "other.json").write_text('{"kind": "packets"}', encoding="utf-8")
    with pytest.raises(DetectorError, match=r"other.safetensors must hold a specialised or an ECG"):
        plan_model(str(tmp_path / "other.safetensors"))
    with pytest.raises(DetectorError, match=r"^size must be at most 65 pixels, got 66$"):
        plan_model("2x16-32-66px")
    with pytest.raises(RecordError, match="^batch must be in 1..65536, got 0$"):
        plan_model("ecg").inputs(0)


def test_a_picture_shows_devices_above_links() -> None:
    tasks = (
        Task("forward", "a", 0, 1, 0.0, 0.5),
        Task("transfer", "b", 0, ("switch", 1, 0), 0.5, 0.75, 8),
        Task("transfer", "b", 4, ("network", 0, 0), 0.5, 0.75, 8),
        Task("backward", "b", 0, 0, 0.75, 1.0),
    )
    figure = gantt(Timeline(1.0, tasks, 16, (0, 0)), find_machine("p100"), "one step")
    (axes,) = figure.axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["P100 0.0.0", "P100 0.0.1", "network of node 0", "switch 1 → 0"]
    assert axes.get_title() == "one step"
    shown = [text.get_text() for text in figure.legends[0].get_texts()]
    assert shown == ["forward", "backward", "transfer"]
