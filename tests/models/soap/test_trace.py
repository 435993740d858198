"""Models as graphs: what they become, and that one device computes what torch computes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional

from models.soap import nets
from models.soap.execute import Execution
from models.soap.graph import Graph, Node
from models.soap.plan import single_device
from models.soap.pointwise import ParameterValue
from models.soap.trace import trace
from records import RecordError
from tests.support.soap import optimiser

if TYPE_CHECKING:
    from collections.abc import Callable


class Gated(nn.Module):
    """Parameters among the operands, views, and what else the networks of the plans lack."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor([0.5, 1.5, 2.5]))
        self.shift = nn.Parameter(torch.zeros(()))
        self.norm = nn.BatchNorm1d(3, affine=False)

    def forward(self, signals: Tensor) -> Tensor:
        scaled = functional.normalize(signals, dim=1) * self.scale.view(1, -1, 1) + self.shift
        first, rest = scaled[..., 0], scaled[..., 1:]
        mixed = torch.relu_(self.norm(rest + 2 * first.unsqueeze(-1)).squeeze())
        pooled = functional.adaptive_avg_pool1d(mixed, 2) + rest.mean((1, 2), keepdim=True)
        result: Tensor = pooled.permute(0, 2, 1).reshape(len(signals), -1)
        return result


@pytest.mark.parametrize(
    ("build", "shape"),
    [
        (lambda: torchvision.models.resnet18(num_classes=5), (2, 3, 64, 64)),
        (lambda: torchvision.models.mobilenet_v3_small(num_classes=5), (8, 3, 48, 48)),
        (Gated, (4, 3, 9)),
    ],
    ids=["resnet", "mobilenet", "gated"],
)
def test_one_device_computes_what_torch_computes(
    build: Callable[[], nn.Module], shape: tuple[int, ...]
) -> None:
    torch.manual_seed(2)
    model = build().double().train()
    images = torch.randn(shape, dtype=torch.float64)
    graph = trace(model, [images]).with_squared_error()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    execution = Execution(graph, single_device(graph), 0, state, optimiser)
    batch = {graph.sources[0].name: images}
    targets = [source for source in graph.sources if source.name.startswith("target")]
    batch |= {s.name: torch.randn(s.shape, dtype=torch.float64) for s in targets}
    got = execution.step(batch, seed=3)
    torch.manual_seed(3)
    outputs = model(images)
    outputs = list(outputs.values()) if isinstance(outputs, dict) else [outputs]
    wanted = zip(outputs, targets, strict=True)
    loss = sum(functional.mse_loss(output, batch[t.name]) for output, t in wanted)
    assert isinstance(loss, Tensor)
    loss.backward()
    optimiser(model.parameters()).step()
    assert got == pytest.approx(loss.item(), rel=1e-10)
    after = execution.state()
    assert after.keys() == state.keys()
    for name, value in model.state_dict().items():
        torch.testing.assert_close(after[name], value, rtol=1e-10, atol=1e-10)


def test_backbones_of_ssd_can_be_split() -> None:
    detection = torchvision.models.detection
    model = detection.ssd300_vgg16(weights=None, weights_backbone=None).backbone
    graph = trace(model.train(), [torch.zeros(1, 3, 300, 300)])
    shapes = [graph.by_name[name].operator.shape for name in graph.outputs]
    assert shapes == [
        (1, 512, 38, 38), (1, 1024, 19, 19), (1, 512, 10, 10),
        (1, 256, 5, 5), (1, 256, 3, 3), (1, 256, 1, 1),
    ]  # fmt: skip
    model = detection.ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None).backbone
    graph = trace(model.train(), [torch.zeros(2, 3, 320, 320)])
    shapes = [graph.by_name[name].operator.shape for name in graph.outputs]
    assert shapes == [
        (2, 672, 20, 20), (2, 480, 10, 10), (2, 512, 5, 5),
        (2, 256, 3, 3), (2, 256, 2, 2), (2, 128, 1, 1),
    ]  # fmt: skip


def test_a_graph_tells_what_a_plan_must_split() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
    graph = trace(model, [torch.zeros(2, 3, 8, 8)]).with_squared_error()
    assert [node.name for node in graph.nodes] == [
        "conv2d", "batch_norm.mean", "batch_norm.variance", "batch_norm", "relu_", "loss",
    ]  # fmt: skip
    assert list(graph.groups) == ["conv2d", "batch_norm", "relu_", "loss"]
    assert graph.by_name["batch_norm"].inputs == (
        "conv2d", "batch_norm.mean", "batch_norm.variance",
    )  # fmt: skip
    assert graph.counters == ("1.num_batches_tracked",)
    assert [statistic.buffer for statistic in graph.running] == [
        "1.running_mean", "1.running_var",
    ]  # fmt: skip
    assert [source.name for source in graph.sources] == ["input", "target"]
    assert graph.trained == {node.name for node in graph.nodes} == graph.reaching


def test_steps_of_an_lstm_share_their_weights_and_the_decoder_follows_the_encoder() -> None:
    graph = trace(nets.Translator(9, 4), [torch.zeros(2, 3, dtype=torch.int64)] * 2)
    first = graph.by_name["lstm_1.layer0.step0"]
    assert first.inputs == ("embedding_1", "lstm.layer0.step2", "lstm.layer0.step2")
    assert first.parameters == tuple(
        f"decoder.{kind}_l0" for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    assert graph.parameter_by_name["decoder.weight_ih_l0"].view == (4, 4, 4)
    assert graph.by_name["lstm.layer1.step0"].inputs == ("lstm.layer0.step0",)


class Sorting(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return values.sort(dim=1).values


class Sharing(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        base = values.relu()
        base.flatten(1).sigmoid_()
        return base + 1


class Masking(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return torch.where(values > 0, values, 0)


class Branching(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return values if values.sum() > 0 else -values


@pytest.mark.parametrize(
    ("model", "complaint"),
    [
        (Sorting(), "'sort' must be an operator that can be split, got aten.sort.default. "),
        (Sharing(), "'sigmoid_' must not change a tensor in place of which there are views, "),
        (Masking(), "'gt' must be of floating point or int64, got torch.bool"),
        (Branching(), "the model must be one that torch.export traces: "),
        (
            nn.LSTM(4, 3, bidirectional=True),
            "'lstm' must be an LSTM in one direction, without projection, and without "
            "dropout between its layers. Use a module for each layer or direction",
        ),
        (
            nn.BatchNorm1d(3).eval(),
            "'batch_norm' must normalise by the batch: trace the model in train()",
        ),
        (
            nn.Conv1d(3, 2, 4, padding="same"),
            "'conv1d' must pad both sides alike, got kernel (4,) and 'same'",
        ),
    ],
    ids=["sort", "views", "mask", "branch", "lstm", "eval", "same"],
)
@pytest.mark.filterwarnings("ignore:The tensor attributes")
def test_what_cannot_be_split_is_refused(model: nn.Module, complaint: str) -> None:
    with pytest.raises(RecordError) as caught:
        trace(model, [torch.zeros(2, 3, 4)])
    assert str(caught.value).startswith(complaint)


def test_a_graph_must_be_in_order() -> None:
    value = Node("a", ParameterValue((2,)), (), ("w",), "a")
    with pytest.raises(RecordError) as caught:
        Graph((), (), (value,), ("a",))
    assert str(caught.value) == "node 'a' must read what is before it, got ['w']"


def test_losses_and_their_settings() -> None:
    graph = trace(nn.Linear(2, 3), [torch.zeros(4, 2)])
    with pytest.raises(RecordError) as caught:
        graph.with_cross_entropy(weights=[1.0, 2.0])
    assert str(caught.value) == "weights must be 3, one a class, got 2"
    with pytest.raises(RecordError) as caught:
        graph.with_cross_entropy(smoothing=1.5)
    assert str(caught.value) == "smoothing must be in 0..1, got 1.5"
