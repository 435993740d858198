"""A training of a head on its way: how far it is, and all that it needs to go on later."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from models.detectors.head_graph import head_shapes
from models.model_files import damaged_manifest, load_model, save_model
from records import DetectorError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

KIND = "detector-head-checkpoint"
"""What the manifest calls such a file."""

WEIGHT, MEAN, SQUARE = "weight", "mean", "square"
"""Before the name of a weight: itself, and Adam's running means of its gradient and its square."""

LOSSES = "losses"
"""The loss of each step that is done, float32 (steps,)."""

MOST_STEPS = 100_000
"""The most steps of a training."""


@dataclass(frozen=True, slots=True, eq=False)
class HeadCheckpoint:
    """Where a training is.

    Attributes:
        run: What it trains, as `run_of` says it.
        channels: The channels of the features.
        tensors: float32, by name: the weights, Adam's means, the losses.
    """

    run: str
    channels: int
    tensors: Mapping[str, NDArray[np.float32]]

    @property
    def step(self) -> int:
        """The steps that are done."""
        return len(self.tensors[LOSSES])

    def check(self, run: str) -> HeadCheckpoint:
        """This checkpoint, if it belongs to a training.

        Raises:
            DetectorError: it belongs to another.
        """
        if self.run != run:
            raise DetectorError(
                f"resume must be a checkpoint of this training, {run[:12]}, got {self.run[:12]}. "
                "The detector, pictures, settings and parent must be the same; else begin anew"
            )
        return self

    def save(self, path: Path) -> None:
        """Write it as safetensors and a manifest; see `models.model_files`.

        Raises:
            DetectorError: the name is wrong or the files cannot be written.
        """
        fields = {"run": self.run, "channels": self.channels, "steps_done": self.step}
        save_model(path, KIND, dict(self.tensors), fields)

    @classmethod
    def load(cls, path: Path) -> HeadCheckpoint:
        """Read a checkpoint that `save` wrote.

        Raises:
            DetectorError: a file is missing, damaged, or holds something else.
        """
        tensors, manifest = load_model(path, KIND, _shapes)
        run = manifest.get("run")
        if not isinstance(run, str):
            raise damaged_manifest(path, TypeError(f"run must be text, got {run!r}"))
        return cls(run, manifest["channels"], tensors)


@dataclass(frozen=True, slots=True)
class HeadProgress:
    """A training between two steps.

    Attributes:
        step: The steps that are done.
        steps: All steps.
        loss: The loss of the last.
        checkpoint: Takes a checkpoint; only before the next step begins.
    """

    step: int
    steps: int
    loss: float
    checkpoint: Callable[[], HeadCheckpoint]


def run_of(*parts: object) -> str:
    """Names a training by what goes into it, a SHA-256, hexadecimal."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _shapes(manifest: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    steps = manifest["steps_done"]
    if not isinstance(steps, int) or not 0 < steps <= MOST_STEPS:
        raise ValueError(f"steps_done must be 1 to {MOST_STEPS}, got {steps!r}")
    shapes = head_shapes(manifest["channels"])
    kept: dict[str, tuple[int, ...]] = {
        f"{kind}.{name}": shape for kind in (WEIGHT, MEAN, SQUARE) for name, shape in shapes.items()
    }
    return {**kept, LOSSES: (steps,)}
