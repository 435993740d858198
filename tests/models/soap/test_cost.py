"""Costs: measured once and kept, or bounded by peaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from models.soap.cost import AnalyticCosts, MeasuredCosts, Work, example_inputs, flops, work_of
from models.soap.dense import Embedding, Linear
from models.soap.machines_published import P100, find_machine
from models.soap.means import AveragePool, adaptive_windows
from models.soap.plan import data_parallel
from models.soap.ranks import Ranks, RankSettings
from models.soap.recurrent import LstmStep
from models.soap.regions import Box
from models.soap.windows import Convolution, Windows
from records import RecordError
from tests.support.soap import graph_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def test_operations_of_parts() -> None:
    images = Convolution((2, 3, 8, 8), 4, Windows(*[(3, 3)], *[(1, 1)] * 3), 1, bias=True)
    half = images.space.replace(0, (0, 1))
    assert flops(images, half) == 2 * 4 * 64 * 3 * 9
    step = LstmStep((5, 4, 7), 0, 2, 6, follows=True, bias=True)
    assert flops(step, step.space.replace(1, (0, 2))) == 2 * 2 * 6 * 4 * (7 + 6)
    pool = AveragePool((2, 3, 6), (adaptive_windows(6, 2),))
    assert flops(pool, pool.space) == 2 * 2 * 3 * 6
    assert flops(Embedding((8,), 5, 4), Box(((0, 0), (0, 4)))) == 0


def test_peaks_bound_a_part_from_below() -> None:
    graph = graph_of("perceptron")
    machine = find_machine("p100")
    costs = AnalyticCosts(graph, machine)
    first = graph.nodes[0]
    small = costs.seconds(first, first.operator.space, 0)
    # Nothing is told of the batch's gradient, so that there is one pass for the weight's and the
    # bias's share of another.
    assert small == (P100.launch_seconds, 2 * P100.launch_seconds)
    large = Linear((4096, 4096), 4096, bias=False)
    assert flops(large, large.space) / P100.flops == pytest.approx(0.012965, rel=1e-4)


def test_what_takes_gradients() -> None:
    graph = graph_of("translator")
    embedding = graph.by_name["embedding"]
    work = work_of(graph, embedding, embedding.operator.space)
    assert work.gradients == (False, True)
    numbers, table = example_inputs(work)
    assert (numbers.dtype, numbers.requires_grad) == (torch.int64, False)
    assert table.requires_grad
    first = graph_of("perceptron").nodes[0]
    assert work_of(graph_of("perceptron"), first, first.operator.space).gradients[0] is False


def test_parts_that_take_the_same_time_have_one_signature() -> None:
    linear = Linear((8, 4), 6, bias=False)
    left, right = linear.space.replace(0, (0, 4)), linear.space.replace(0, (4, 8))
    both = [Work(linear, part, (True, True)) for part in (left, right)]
    assert both[0].signature == both[1].signature
    assert both[0].signature != Work(linear, left, (False, True)).signature
    steps = [LstmStep((5, 4, 7), 0, place, 6, follows=True, bias=True) for place in (1, 2)]
    works = [Work(step, step.space, (True,) * 7) for step in steps]
    assert works[0].signature == works[1].signature
    embedding = Embedding((8,), 5, 4)
    assert Work(embedding, embedding.space, (False, True)).signature.startswith("Embedding 8x4 ")


@pytest.fixture(scope="module")
def ranks() -> Iterator[Ranks]:
    with Ranks(RankSettings(2)) as group:
        yield group


def test_a_part_is_measured_once_and_kept(tmp_path: Path, ranks: Ranks) -> None:
    graph, path = graph_of("alexnet"), tmp_path / "costs.json"
    parts = [
        (node, box)
        for node in graph.nodes
        for box in data_parallel(graph, 2).partitions[node.group].boxes(node.operator.dimensions)
    ]
    costs = MeasuredCosts(graph, ranks, path)
    costs.prepare(parts)
    found = [costs.seconds(node, box, 1) for node, box in parts]
    with pytest.raises(RecordError) as caught:
        costs.seconds(*parts[0], 2)
    assert str(caught.value) == "device must be in 0..1, got 2"
    costs.save()
    again = MeasuredCosts(graph, ranks, path)
    assert [again.seconds(node, box, 0) for node, box in parts] == found
    assert all(forward > 0 and backward > 0 for forward, backward in found)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[]", "a file of costs must be one that was saved here, got '"),
        ('{"Linear": [1]}', "a file of costs must be one that was saved here, got '"),
        ('{"Linear": [1, -1]}', "costs must be at least 0 and finite, those of ['Linear'] are not"),
        ('{"Linear": [1, NaN]}', "costs must be at least 0 and finite, those of ['Linear'] are"),
    ],
)
def test_wrong_files_of_costs(tmp_path: Path, ranks: Ranks, text: str, complaint: str) -> None:
    path = tmp_path / "costs.json"
    path.write_text(text)
    with pytest.raises(RecordError) as caught:
        MeasuredCosts(graph_of("perceptron"), ranks, path)
    assert str(caught.value).startswith(complaint)
