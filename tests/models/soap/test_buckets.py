"""Buckets of gradients that are added up, and what a ring sends."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from torch import nn, zeros

from models.soap.buckets import BUCKET_ELEMENTS, Bucket, buckets, ring, sharers
from models.soap.plan import data_parallel, single_device
from models.soap.regions import Box
from models.soap.tape import Tape
from models.soap.trace import trace
from tests.support.soap import graph_of, random_plan

NAMES = ("0.bias", "0.weight", "2.bias", "2.weight", "4.bias", "4.weight")


@given(st.integers(0, 10_000), st.integers(2, 9))
def test_a_ring_sends_each_element_twice_to_all_but_one(elements: int, devices: int) -> None:
    messages = ring(elements, tuple(range(devices)), 4)
    assert sum(size for _, _, size in messages) == 4 * 2 * elements * (devices - 1)
    assert [(src, dst) for src, dst, _ in messages] == [
        (i, (i + 1) % devices) for i in range(devices)
    ]
    share = 4 * 2 * elements * (devices - 1) / devices
    assert all(abs(size - share) <= 4 * 2 for _, _, size in messages)


def test_shared_is_what_several_devices_use_whole() -> None:
    whole, half = Box(((0, 4), (0, 2))), Box(((0, 2), (0, 2)))
    assert sharers((4, 2), [(whole, 2), (whole, 0), (whole, 2)]) == (0, 2)
    assert sharers((4, 2), [(whole, 0), (half, 1)]) == ()
    assert sharers((4, 2), []) == ()


def test_buckets_fill_in_the_order_of_the_backward_pass() -> None:
    graph = graph_of("perceptron")
    everyone, some = (0, 1, 2), (0, 2)
    shared = dict.fromkeys(NAMES[:4], everyone) | dict.fromkeys(NAMES[4:], some)
    stage = {node.parameters: place for place, node in enumerate(graph.nodes) if node.parameters}
    first, last = min(stage.values()), max(stage.values())
    assert buckets(graph, shared, 3) == (
        Bucket(("4.bias", "4.weight"), some, 3 + 21, last),
        # The loss is one element more.
        Bucket(
            ("2.bias", "2.weight", "0.bias", "0.weight"),
            everyone,
            7 + 49 + 7 + 35 + 1,
            first,
            loss=True,
        ),
    )
    assert buckets(graph, dict.fromkeys(NAMES, ()), 3) == ()


def test_a_full_bucket_takes_no_more() -> None:

    side = int(BUCKET_ELEMENTS**0.5)
    layers = [nn.Linear(side, side, bias=False) for _ in range(3)]
    graph = trace(nn.Sequential(*layers), [zeros(2, side)]).with_squared_error()
    found = Tape(graph, data_parallel(graph, 2), 1).buckets
    assert [bucket.parameters for bucket in found] == [("2.weight",), ("1.weight",), ("0.weight",)]
    assert [bucket.loss for bucket in found] == [False, False, True]


@given(st.integers(0, 2**32 - 1))
def test_segments_exchange_nothing_within(seed: int) -> None:
    graph = graph_of("alexnet")
    for rank in range(3):
        tape = Tape(graph, random_plan(graph, 3, seed), rank)
        assert [i for first, stop in tape.segments for i in range(first, stop)] == list(
            range(len(tape.stages))
        )
        for first, stop in tape.segments:
            inner = [d for stage in tape.stages[first + 1 : stop] for d in stage.deliveries]
            assert all(delivery.exchange.given is not None for delivery in inner)
    assert Tape(graph, single_device(graph), 0).segments == ((0, len(graph.nodes)),)
