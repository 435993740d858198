"""Checkpoints: a training in progress on disk; one that is killed goes on where it was.

One safetensors file holds the tensors, and in its header the other values as JSON. It is replaced
at one stroke, so a process that is killed leaves the last checkpoint whole.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from records import DetectorError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import nn

LARGEST_FILE = 4 * 2**30
"""The largest checkpoint, bytes."""

_VALUES = "values"
_KEY = "key"
_NETWORK, _OPTIMISER = "network.", "optimiser."


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a training goes on from.

    Attributes:
        tensors: By name.
        values: Plain JSON values.
    """

    tensors: Mapping[str, torch.Tensor]
    values: Mapping[str, Any]

    def part(self, prefix: str) -> dict[str, torch.Tensor]:
        """The tensors whose names begin so, by the rest of their names."""
        return {
            name.removeprefix(prefix): value
            for name, value in self.tensors.items()
            if name.startswith(prefix)
        }


class CheckpointFile:
    """Where the checkpoint of one training lies.

    Args:
        path: The file; made with its folder by `save`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def save(self, key: str, checkpoint: Checkpoint) -> None:
        """Write a checkpoint in place of the one before.

        Args:
            key: What is trained from what, and how; `load` asks for the same.
            checkpoint: The checkpoint.

        Raises:
            DetectorError: it cannot be written.
        """
        tensors = {name: value.detach().contiguous() for name, value in checkpoint.tensors.items()}
        text = json.dumps(dict(checkpoint.values), allow_nan=False)
        data = save(tensors, metadata={_KEY: key, _VALUES: text})
        draft = self._path.with_name(f".{self._path.name}.draft")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with draft.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._path)
        except OSError as error:
            raise DetectorError(
                f"the checkpoint {self._path} cannot be written: {error.strerror}. "
                "Check the free space and the permissions there"
            ) from error

    def load(self, key: str) -> Checkpoint | None:
        """The last checkpoint of this training; None where there is none, or it is of another.

        Args:
            key: As it was saved with.

        Raises:
            DetectorError: the file is damaged, or too large.
        """
        if not self._path.is_file():
            return None
        if self._path.stat().st_size > LARGEST_FILE:
            raise DetectorError(f"{self._path} must be at most {LARGEST_FILE} bytes; remove it")
        try:
            with safe_open(self._path, framework="pt") as file:
                header = file.metadata() or {}
                if header.get(_KEY) != key:
                    return None
                values = json.loads(header[_VALUES])
                # Copied, since the file is replaced under its mapping.
                tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 - it is no mapping
        except (SafetensorError, OSError, KeyError, RecursionError, ValueError) as error:
            raise DetectorError(
                f"the checkpoint {self._path} is damaged ({error}). Remove it; the training "
                "then begins anew"
            ) from error
        return Checkpoint(tensors, values)

    def remove(self) -> None:
        """Remove the file, if it is there."""
        self._path.unlink(missing_ok=True)


def pack_training(
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
) -> Checkpoint:
    """A network, its optimiser and its schedule of learning rates, as a checkpoint."""
    tensors = {f"{_NETWORK}{name}": value for name, value in network.state_dict().items()}
    state = optimiser.state_dict()
    for place, values in state["state"].items():
        for name, value in values.items():
            tensors[f"{_OPTIMISER}{place}.{name}"] = torch.as_tensor(value)
    groups = [
        {name: value for name, value in group.items() if name != "params"}
        for group in state["param_groups"]
    ]
    return Checkpoint(tensors, {"groups": groups, "steps": schedule.last_epoch})


def restore_training(
    checkpoint: Checkpoint,
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
) -> None:
    """Put what `pack_training` packed back into parts that were made in the same way."""
    network.load_state_dict(checkpoint.part(_NETWORK))
    parameters = [one for group in optimiser.param_groups for one in group["params"]]
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in checkpoint.part(_OPTIMISER).items():
        place, _, inner = name.partition(".")
        state.setdefault(int(place), {})[inner] = _laid_out(value, parameters[int(place)])
    before = optimiser.state_dict()["param_groups"]
    groups = [
        {**group, **{name: _as_before(group[name], value) for name, value in kept.items()}}
        for group, kept in zip(before, checkpoint.values["groups"], strict=True)
    ]
    # The schedule first: it must not overwrite the learning rates.
    steps = checkpoint.values["steps"]
    schedule.load_state_dict({"last_epoch": steps, "_step_count": steps + 1})
    optimiser.load_state_dict({"state": state, "param_groups": groups})


def _laid_out(value: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """The value in the parameter's own order in memory, so that it is rounded as before."""
    if value.shape != like.shape:
        return value
    return torch.empty_like(like, memory_format=torch.preserve_format).copy_(value)


def _as_before(like: object, value: Any) -> Any:  # noqa: ANN401 - a value of an optimiser
    """JSON has lists where an optimiser has tuples."""
    return tuple(value) if isinstance(like, tuple) else value
