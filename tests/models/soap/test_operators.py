"""Every operator: its parts, computed from the regions that they need, are parts of the whole."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.soap.dense import Embedding, Linear, MatrixProduct
from models.soap.losses import CrossEntropy, SquaredError
from models.soap.means import (
    AveragePool,
    Mean,
    Normalise,
    Variance,
    adaptive_windows,
    sliding_windows,
)
from models.soap.plan import Partition
from models.soap.pointwise import Call, Linewise, Operand, ParameterValue, Pointwise
from models.soap.recurrent import LstmStep, StackedSteps
from models.soap.regions import Box
from models.soap.shapes import Concatenation, Crop, Expansion, Permutation, Reshape
from models.soap.space import Kind, Operator
from models.soap.windows import Convolution, MaxPool, Windows
from tests.support.soap import random_partition

ADD = Call("add.Tensor", (Operand(0), Operand(1)))
SOFTMAX = Call("softmax.int", (Operand(0), -1))
NORM = Call("linalg_vector_norm.default", (Operand(0), 2, [1], True))
PYRAMID = Windows((3, 5), (2, 1), (1, 3), (1, 2))
SLIDING = tuple(sliding_windows(n, o, 3, 2, 1, count_padding=False) for n, o in ((7, 4), (6, 3)))

OPERATORS: dict[str, Operator] = {
    "convolution": Convolution((3, 4, 9, 8), 6, PYRAMID, 1, bias=True),
    "depthwise": Convolution((2, 6, 7), 6, Windows((3,), (1,), (1,), (1,)), 6, bias=False),
    "grouped": Convolution((2, 6, 7), 8, Windows((4,), (3,), (2,), (1,)), 2, bias=True),
    "volume": Convolution((2, 2, 4, 5, 3), 2, Windows(*[(2, 2, 2)] * 2, *[(1, 1, 1)] * 2), 1, True),  # noqa: FBT003
    "max_pool": MaxPool((2, 3, 9, 8), Windows((3, 2), (2, 2), (1, 0), (1, 1)), ceil=False),
    "max_pool_ceil": MaxPool((2, 3, 7), Windows((2,), (2,), (0,), (1,)), ceil=True),
    "average_pool": AveragePool((2, 3, 7, 6), SLIDING),
    "adaptive_pool": AveragePool((2, 3, 7, 6), (adaptive_windows(7, 3), adaptive_windows(6, 1))),
    "mean": Mean((3, 4, 5), (1, 2), keep=True),
    "variance": Variance((3, 4, 5, 2)),
    "normalise": Normalise((3, 4, 5), 1e-5, affine=True),
    "linear": Linear((3, 4, 5), 6, bias=True),
    "matrix_product": MatrixProduct((3,), 4, 5, 6),
    "embedding": Embedding((3, 4), 2, 5),
    "add": Pointwise(ADD, ((3, 4, 5), (4, 1)), (3, 4, 5)),
    "softmax": Linewise(SOFTMAX, (3, 4, 5), (2,), collapse=False),
    "norm": Linewise(NORM, (3, 4, 5), (1,), collapse=True),
    "parameter": ParameterValue((4, 5)),
    "concatenation": Concatenation(((3, 2, 4), (3, 3, 4), (3, 1, 4)), 1),
    "permutation": Permutation((3, 4, 5), (1, 2, 0)),
    "crop": Crop(Box(((0, 3), (1, 5), (2, 4)))),
    "expansion": Expansion((3, 1), (2, 3, 4)),
    "flatten": Reshape((2, 3, 4, 5), (2, 60)),
    "unflatten": Reshape((2, 60), (2, 3, 4, 5)),
    "regroup": Reshape((2, 6, 1, 4), (2, 3, 8)),
    "lstm_first": LstmStep((3, 4, 5), 0, 2, 6, follows=False, bias=True),
    "lstm": LstmStep((2, 3, 4), None, 0, 6, follows=True, bias=False),
    "steps": StackedSteps(3, 4, 5, 0),
    "cross_entropy": CrossEntropy((4, 3, 5), 1, (0.2, 1.0, 2.0), 1, 0.1),
    "squared_error": SquaredError((4, 3)),
}


def tensors(operator: Operator, seed: int) -> list[torch.Tensor]:
    """Whole inputs and parameters; whole numbers where the operator wants them."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for place, need in enumerate(operator.needs(operator.space)):
        shape = [stop for _, stop in need.ranges]
        if isinstance(operator, Embedding) and place == 0:
            found.append(torch.randint(operator.rows, shape, generator=generator))
        elif isinstance(operator, CrossEntropy) and place > 0:
            found.append(torch.zeros(shape, dtype=torch.int64))
            found[-1].view(-1)[::2] = 2
        else:
            # No variance may be negative.
            found.append(torch.rand(shape, generator=generator, dtype=torch.float64))
    return found


def read(operator: Operator, part: Box, whole: list[torch.Tensor]) -> list[torch.Tensor]:
    return [
        value[tuple(slice(*r) for r in need.ranges)]
        for value, need in zip(whole, operator.needs(part), strict=True)
    ]


@pytest.mark.parametrize("name", OPERATORS)
@settings(max_examples=10)
@given(seed=st.integers(0, 2**32 - 1))
def test_parts_add_up_to_the_whole(name: str, seed: int) -> None:
    operator = OPERATORS[name]
    given_ = tensors(operator, seed % 3)
    want = operator.forward(operator.space, read(operator, operator.space, given_))
    assert tuple(want.shape) == operator.shape
    got = torch.zeros_like(want)
    partition = random_partition(operator.dimensions, 1, seed)
    for part in partition.boxes(operator.dimensions):
        output = operator.output(part)
        result = operator.forward(part, read(operator, part, given_))
        assert tuple(result.shape) == output.shape
        got[output.within(Box.whole(operator.shape))] += result
    torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-12)


KINDS = {
    "convolution": ("sample", "parameter", "attribute", "attribute", "reduction"),
    "depthwise": ("sample", "parameter", "attribute", "whole"),
    "max_pool": ("sample", "attribute", "attribute", "attribute"),
    "linear": ("sample", "attribute", "parameter", "reduction"),
    "lstm": ("whole", "sample", "parameter"),
}


@pytest.mark.parametrize("name", KINDS)
def test_what_can_be_split_is_that_of_flexflow_table_1_and_sums(name: str) -> None:
    assert tuple(d.kind for d in OPERATORS[name].dimensions) == tuple(map(Kind, KINDS[name]))


def test_a_part_of_a_convolution_reads_its_halo_and_its_own_weights() -> None:
    part = Box(((1, 3), (2, 4), (1, 3), (0, 2), (1, 2)))
    assert OPERATORS["convolution"].needs(part) == (
        Box(((1, 3), (1, 2), (1, 6), (0, 7))),
        Box(((2, 4), (1, 2), (0, 3), (0, 5))),
        Box(((2, 4),)),
    )


def test_a_part_that_reads_only_padding_needs_nothing() -> None:
    conv = Convolution((1, 1, 2), 1, Windows((1,), (1,), (2,), (1,)), 1, bias=False)
    need, _ = conv.needs(Box(((0, 1), (0, 1), (0, 2), (0, 1))))
    assert need.elements == 0
    assert torch.equal(
        conv.forward(
            Box(((0, 1), (0, 1), (0, 2), (0, 1))), [torch.ones(1, 1, 0), torch.ones(1, 1, 1)]
        ),
        torch.zeros(1, 1, 2),
    )


def test_boxes_of_a_partition_run_fastest_along_the_last_dimension() -> None:
    dimensions = OPERATORS["matrix_product"].dimensions
    partition = Partition(((1,), (), (2,), ()), (0, 1, 2, 3))
    first, second = ((0, 1), (1, 3)), ((0, 2), (2, 5))
    assert partition.boxes(dimensions) == tuple(
        Box((a, (0, 4), b, (0, 6))) for a, b in itertools.product(first, second)
    )
