"""Small trainings by plan, to compare and to break."""

from __future__ import annotations

import os

import torch

from models.soap.training import Example
from models.soap.training_settings import LossSettings
from tests.support.soap import CASES


def network(name: str) -> torch.nn.Module:
    torch.manual_seed(5)
    return CASES[name].build().train()


def loss_of(name: str) -> LossSettings:
    return LossSettings(class_axis=CASES[name].class_axis)


def examples(name: str, count: int) -> list[Example]:
    """Batches that differ."""
    case = CASES[name]
    random = torch.Generator().manual_seed(7)
    with torch.no_grad():
        model = network(name)
    found = []
    for _ in range(count):
        inputs = tuple(
            torch.randint(case.classes, shape, generator=random)
            if case.classes
            else torch.randn(shape, generator=random)
            for shape in case.shapes
        )
        with torch.no_grad():
            logits = model(*inputs).movedim(case.class_axis, 1)
        shape = (logits.shape[0], *logits.shape[2:])
        found.append(Example(inputs, (torch.randint(3, shape, generator=random),)))
    return found


def die(rank: int, dying: int) -> None:
    if rank == dying:
        os._exit(9)
