"""Simulated steps: by hand, against real tapes, and laws that hold for every plan."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.soap.cost import AnalyticCosts
from models.soap.machine import Device, Link, Machine, Runtime, this_machine
from models.soap.machines_published import find_machine
from models.soap.plan import Partition, Plan, data_parallel, single_device
from models.soap.random_plans import random_plan
from models.soap.simulate import Simulator
from models.soap.simulate_tasks import UPDATE_PASSES, TaskGraph
from models.soap.tape import Tape
from records import RecordError
from tests.support.soap import graph_of

if TYPE_CHECKING:
    from models.soap.graph import Graph, Node
    from models.soap.regions import Box
    from models.soap.simulate_timeline import Timeline

DEVICES = 3
NAMES = ["perceptron", "alexnet", "residual", "translator"]
MACHINES = {"paper": find_machine("p100"), "ours": this_machine(DEVICES)}


@dataclass(frozen=True)
class Even:
    """Every part takes as long as it has elements: 1 s each, backward 2 s."""

    def seconds(self, node: Node, part: Box, device: int) -> tuple[float, float]:
        assert device >= 0
        assert node.operator.space.holds(part)
        return float(part.elements), 2.0 * part.elements


def simulator(graph: Graph, machine: Machine) -> Simulator:
    return Simulator(graph, machine, AnalyticCosts(graph, machine))


def test_tasks_run_in_the_order_of_their_ready_times() -> None:
    tasks = TaskGraph()

    def add(name: str, seconds: float, place: int, *after: int) -> int:
        return tasks.add(seconds, place, ("forward", name, 0, 0), after)

    a = add("a", 2, 0)
    b = add("b", 1, 1)
    c = add("c", 5, 0, b)
    d = add("d", 1, 1, a)
    add("e", 1, 1, c, d)
    starts, end = tasks.starts()
    # c is ready at 1 and waits for a's device until 2; e waits for c.
    assert starts == [0, 0, 2, 2, 7]
    assert end == 8
    assert tasks.starts(stop_above=7.5)[1] == math.inf
    assert tasks.starts(stop_above=8)[1] == 8
    assert [task.node for task in tasks.tasks(starts)] == ["a", "b", "c", "d", "e"]


def test_ready_first_is_served_first() -> None:
    tasks = TaskGraph()
    for seconds, place in ((3, 1), (1, 2)):
        tasks.add(seconds, place, ("forward", "before", 0, 0))
    late = tasks.add(1, 0, ("forward", "late", 0, 0), [0])
    early = tasks.add(4, 0, ("forward", "early", 0, 0), [1])
    starts, _ = tasks.starts()
    assert (starts[early], starts[late]) == (1, 5)


@pytest.mark.parametrize("kind", MACHINES)
@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=4)
@given(seed=st.integers(0, 2**32 - 1))
@pytest.mark.filterwarnings("ignore:The tensor attributes")
def test_laws_of_every_plan(name: str, kind: str, seed: int) -> None:
    graph = graph_of(name)
    plan = random_plan(graph, DEVICES, seed)
    simulated = simulator(graph, MACHINES[kind])
    timeline = simulated.run(plan)
    tapes = [Tape(graph, plan, rank) for rank in range(DEVICES)]
    assert timeline.communication_bytes == 4 * sum(tape.elements_sent() for tape in tapes)
    check_places(timeline)
    assert timeline.seconds == pytest.approx(max(task.end for task in timeline.tasks), rel=1e-12)
    assert simulated.seconds(plan) == timeline.seconds
    assert simulated.seconds(plan, stop_above=timeline.seconds / 2) == math.inf
    assert simulated.seconds(plan, stop_above=timeline.seconds) == timeline.seconds
    # What was remembered of other plans changes nothing.
    assert simulator(graph, MACHINES[kind]).run(plan) == timeline


def check_places(timeline: Timeline) -> None:
    """No device and no link does two things at once, but transfers that block both ends."""
    by_place: dict[object, list[tuple[float, float]]] = {}
    for task in timeline.tasks:
        assert 0 <= task.start <= task.end
        by_place.setdefault(task.place, []).append((task.start, task.end))
    for spans in by_place.values():
        for (_, end), (start, _) in itertools.pairwise(sorted(spans)):
            assert end <= start + 1e-12


def chain() -> tuple[Graph, Plan]:
    """A perceptron whose second half is on another device."""
    graph = graph_of("perceptron")
    names = list(graph.groups)
    partitions = dict(single_device(graph, devices=2).partitions)
    for name in names[len(names) // 2 :]:
        partitions[name] = replace(partitions[name], devices=(1,))
    return graph, Plan(2, partitions)


def test_a_chain_over_two_devices_by_hand() -> None:
    graph, plan = chain()
    device = Device("a", 10**9, memory_bytes_per_second=1e30)
    link = Link(bytes_per_second=1.0, latency_seconds=10.0)
    levels = ("switch", "node", "network")
    machine = Machine("two", (device, device), dict.fromkeys(levels, link))
    timeline = Simulator(graph, machine, Even()).run(plan)
    total = sum(node.operator.space.elements for node in graph.nodes)
    # Nothing overlaps: forward, a message of 5x7 elements, backward and its gradient; behind the
    # loss, which is on device 1, its value goes to device 0 meanwhile.
    message = 10 + 5 * 7 * 4
    assert timeline.seconds == pytest.approx(3 * total + 2 * message)
    assert timeline.communication_bytes == 2 * 5 * 7 * 4 + 4


def test_the_same_chain_where_transfers_block() -> None:
    graph, plan = chain()
    runtime = Runtime(
        message_seconds=10.0, bytes_per_second=1.0, memory_bytes_per_second=1e30,
        stage_seconds=1e-9, part_seconds=1e-9, step_seconds=1e-9, alone_factor=0.5,
    )  # fmt: skip
    timeline = Simulator(graph, this_machine(2, runtime), Even()).run(plan)
    total = sum(node.operator.space.elements for node in graph.nodes)
    # One device computes at a time, twice as fast as when both do. Both take part in all three
    # messages.
    assert timeline.seconds == pytest.approx(1.5 * total + 2 * (10 + 5 * 7 * 4) + 10 + 4)


def test_devices_that_compute_together_slow_each_other() -> None:
    graph = graph_of("perceptron")
    slow = Runtime(alone_factor=0.5)
    plan = data_parallel(graph, 2)
    machine = this_machine(2, slow)
    shared = Simulator(graph, machine, Even()).seconds(plan)
    alone = Simulator(graph, machine, Even()).on(this_machine(2, Runtime(alone_factor=1.0)))
    larger, smaller = 3 / 5, 2 / 5
    total = 3 * sum(node.operator.space.elements for node in graph.nodes)
    # Until the smaller share is done both compute; then the larger one is alone.
    assert shared == pytest.approx(total * (smaller + (larger - smaller) / 2), rel=1e-2)
    assert alone.seconds(plan) == pytest.approx(total * larger, rel=1e-2)


def test_plans_that_need_too_much_memory_take_for_ever() -> None:
    graph = graph_of("alexnet")
    large = find_machine("p100")
    needed = simulator(graph, large).run(single_device(graph)).memory_bytes[0]
    for memory, fits in ((needed, True), (needed - 1, False)):
        devices = tuple(replace(device, memory_bytes=memory) for device in large.devices)
        machine = replace(large, devices=devices)
        seconds = simulator(graph, machine).seconds(single_device(graph))
        assert (seconds < math.inf) is fits


@pytest.mark.parametrize("kind", MACHINES)
def test_what_nodes_and_edges_take_alone(kind: str) -> None:
    graph = graph_of("perceptron")
    machine = MACHINES[kind]
    simulated = Simulator(graph, machine, Even())
    whole, even = single_device(graph, devices=2), data_parallel(graph, 2)
    names = list(graph.groups)
    first, second = names[:2]
    alone = simulated.node_seconds(first, whole.partitions[first])
    elements = graph.by_name[first].operator.space.elements
    update = UPDATE_PASSES * 4 * (35 + 7) / machine.devices[0].memory_bytes_per_second
    runtime = machine.runtime
    overhead = 0.0 if runtime is None else 2 * runtime.part_seconds
    assert alone == pytest.approx(3 * elements + update + overhead)
    parts = [whole.partitions[second], even.partitions[second]]
    assert simulated.edge_seconds(first, whole.partitions[first], second, parts[0]) == 0
    assert simulated.edge_seconds(first, even.partitions[first], second, parts[1]) == 0
    moved = simulated.edge_seconds(first, whole.partitions[first], second, parts[1])
    message = machine.transfer_seconds(0, 1, 2 * 7 * 4)
    # There and back: over one link each, or both over the same two blocked devices.
    assert moved == pytest.approx(message * (1 if machine.overlap else 2))
    assert simulated.edge_seconds(first, parts[0], names[-1], parts[0]) == 0


def test_the_groups_of_a_batch_normalisation_are_one() -> None:
    graph = graph_of("residual")
    simulated = simulator(graph, find_machine("p100"))
    name = next(name for name in graph.groups if name.startswith("batch_norm"))
    dimensions = graph.groups[name]
    split = Partition(((1,), *[()] * (len(dimensions) - 1)), (0, 1))
    whole = single_device(graph).partitions[name]
    # Mean and variance of the samples are put together over the link.
    assert simulated.node_seconds(name, split) > simulated.node_seconds(name, whole)


def test_plans_that_do_not_fit() -> None:
    graph = graph_of("perceptron")
    simulated = simulator(graph, this_machine(2))
    with pytest.raises(RecordError) as caught:
        simulated.seconds(data_parallel(graph, 3))
    assert str(caught.value) == "a plan must have at most the machine's 2 devices, got 3"
    with pytest.raises(RecordError, match="^a plan must have a partition for each operator"):
        simulated.run(single_device(graph_of("alexnet")))
    with pytest.raises(RecordError) as caught:
        simulator(replace(graph, losses=()), this_machine(2))
    assert str(caught.value) == "the graph must have a loss. Use with_cross_entropy or another"


def test_more_devices_of_the_papers_cluster_help() -> None:
    graph = graph_of("inception")
    large = find_machine("p100")
    costs = Even()
    seconds = [Simulator(graph, large, costs).seconds(data_parallel(graph, n)) for n in (1, 2, 3)]
    assert seconds == sorted(seconds, reverse=True)
