"""Weights for a torchvision detector that nobody trained, whose answers depend on the image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torchvision.models.detection import ssdlite320_mobilenet_v3_large

if TYPE_CHECKING:
    from pathlib import Path

BUILDER = "ssdlite320_mobilenet_v3_large"
"""The builder whose weights these are: torchvision's smallest."""

SPREAD = 10.0
"""How much the last layers are amplified, so that scores and classes differ over the image."""


def save_random_weights(path: Path) -> None:
    """Write a state dictionary for `BUILDER`, the same each time."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(3)
        model = ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None)
        norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
        for norm in norms:
            norm.momentum = None  # the plain average of what it sees
        images = torch.randn(2, 3, 320, 320)
        model.head(list(model.backbone(images).values()))  # in training: sets the norms' statistics
        for layers in model.head.classification_head.module_list:
            layers[-1].weight.mul_(SPREAD)
        torch.save(model.state_dict(), path)
