"""An ECG network that learns in rounds, from a target for every window.

Training from scratch (`models.ecg_training`) takes one label a record. Rounds of active learning go
on from the present weights, and weak labels are probabilities of single windows; both need many
short trainings on the same signals, so signals come normalised once.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from models.ecg_network import WINDOW, EcgArchitecture, EcgNetwork
from models.specialised import torch_threads
from models.training_settings import Ranges, check_ranges
from records import RecordError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

MOST_TOGETHER = 32
"""Signals of one length that are classified in one pass."""

TORCH_SEEDS = 2**63
"""The seeds that torch's generator takes."""


@dataclass(frozen=True, slots=True)
class LearnSettings:
    """How a network goes on learning.

    Attributes:
        steps: Steps of training, 1..1,000,000.
        batch_size: Signals in a step, 2..4096.
        crop_windows: Length of the piece that is drawn from a signal, windows, 1..4096.
        learning_rate: The highest learning rate (AdamW, one cycle: Smith 2018).
        weight_decay: AdamW's decoupled weight decay.
        smoothing: Share of each target that is spread over all classes, 0..0.5.

    Raises:
        RecordError: a value is out of range; the message names the field.
    """

    steps: int = 60
    batch_size: int = 32
    crop_windows: int = 16
    learning_rate: float = 0.003
    weight_decay: float = 0.02
    smoothing: float = 0.05

    def __post_init__(self) -> None:
        ranges: Ranges = {
            "steps": (1, 1_000_000),
            "batch_size": (2, 4096),
            "crop_windows": (1, 4096),
            "learning_rate": (1e-6, 1.0),
            "weight_decay": (0.0, 10.0),
            "smoothing": (0.0, 0.5),
        }
        check_ranges(self, ranges)


@dataclass(frozen=True, slots=True, eq=False)
class TaughtSignal:
    """A signal and what is to be learnt of it.

    Attributes:
        signal: float32 (n,), normalised; see `models.ecg_data.normalise`.
        targets: float32 (n // 256, classes): the probability of each class in each whole window.

    Raises:
        RecordError: a shape is wrong, or there is no whole window.
    """

    signal: NDArray[np.float32]
    targets: NDArray[np.float32]

    def __post_init__(self) -> None:
        windows = len(self.signal) // WINDOW
        if self.signal.ndim != 1 or self.targets.ndim != 2 or len(self.targets) != windows:
            raise RecordError(
                f"targets must have a row for each of the signal's {windows} windows, "
                f"got {self.targets.shape}"
            )
        if not windows:
            raise RecordError(f"signal must have at least {WINDOW} samples, got {len(self.signal)}")


class EcgLearner:
    """A network that classifies windows, and learns.

    Args:
        architecture: Its shape.
        classes: How many classes.
        seed: Of its first weights.
    """

    def __init__(self, architecture: EcgArchitecture, classes: int, seed: int) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._network = EcgNetwork(architecture, classes)

    def copy(self) -> EcgLearner:
        """One that has learnt the same and goes its own way from here."""
        return copy.deepcopy(self)

    def learn(
        self, signals: Sequence[TaughtSignal], settings: LearnSettings, random: np.random.Generator
    ) -> float:
        """Go on learning from the present weights. Deterministic for a generator on one machine.

        A class weighs by the root of its rarity in the targets, as in `models.ecg_data`.

        Args:
            signals: What to learn, with targets of all classes.
            settings: How to learn.
            random: Draws the signals of each step, the pieces of them, and dropout.

        Returns:
            The mean loss of all steps, nats.

        Raises:
            RecordError: there is no signal.
        """
        if not signals:
            raise RecordError("signals must be at least 1, got 0")
        weights = torch.from_numpy(_class_weights(signals))[:, None]
        adam = torch.optim.AdamW(
            self._network.parameters(), settings.learning_rate, weight_decay=settings.weight_decay
        )
        cycle = torch.optim.lr_scheduler.OneCycleLR(
            adam, settings.learning_rate, total_steps=settings.steps
        )
        total = 0.0
        self._network.train()
        with torch_threads(1), torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(random.integers(TORCH_SEEDS, dtype=np.uint64)))
            for chosen in _drawn(len(signals), settings, random):
                pieces, targets = _cut([signals[i] for i in chosen], settings, random)
                adam.zero_grad()
                loss = _loss(self._network(pieces), targets * weights)
                loss.backward()
                adam.step()
                cycle.step()
                total += loss.item()
        return total / settings.steps

    def probabilities(self, signals: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        """The class probabilities of each whole window of each signal.

        Args:
            signals: Normalised, float32 (n,) each, at least one window long.

        Returns:
            For each signal float32 (n // 256, classes); rows add up to 1.
        """
        by_length: dict[int, list[int]] = {}
        for place, signal in enumerate(signals):
            by_length.setdefault(len(signal) // WINDOW * WINDOW, []).append(place)
        found: dict[int, NDArray[np.float32]] = {}
        self._network.eval()
        with torch.inference_mode(), torch_threads(1):
            for length, places in by_length.items():
                for first in range(0, len(places), MOST_TOGETHER):
                    some = places[first : first + MOST_TOGETHER]
                    inputs = np.stack([signals[place][:length] for place in some])[:, None]
                    outputs = torch.softmax(self._network(torch.from_numpy(inputs)), dim=1)
                    found.update(zip(some, outputs.transpose(1, 2).numpy(), strict=True))
        return [found[place] for place in range(len(signals))]


def constant_targets(probabilities: NDArray[np.float32], windows: int) -> NDArray[np.float32]:
    """The same target for every window of a record.

    >>> constant_targets(np.array([0.25, 0.75], np.float32), 2).tolist()
    [[0.25, 0.75], [0.25, 0.75]]
    """
    return np.repeat(probabilities[None].astype(np.float32), windows, axis=0)


def _class_weights(signals: Sequence[TaughtSignal]) -> NDArray[np.float32]:
    """How much each class weighs, with mean 1 over the targets; 0 for one that is in none."""
    shares = np.mean([one.targets.mean(axis=0) for one in signals], axis=0)
    weights = np.where(shares > 0, 1 / np.sqrt(np.where(shares > 0, shares, 1)), 0)
    scaled: NDArray[np.float32] = (weights / (weights @ shares)).astype(np.float32)
    return scaled


def _drawn(count: int, settings: LearnSettings, random: np.random.Generator) -> NDArray[np.int64]:
    """The signals of each step, int64 (steps, batch_size): each once before any comes again."""
    needed = settings.steps * settings.batch_size
    passes = [random.permutation(count) for _ in range(-(-needed // count))]
    return np.concatenate(passes)[:needed].reshape(settings.steps, settings.batch_size)


def _cut(
    signals: Sequence[TaughtSignal], settings: LearnSettings, random: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """A random piece of each signal, half of them upside down, and the targets of its windows.

    Returns:
        float32 (n, 1, samples), and float32 (n, classes, windows) with zeros behind a signal.
    """
    windows = min(settings.crop_windows, max(len(one.targets) for one in signals))
    classes = signals[0].targets.shape[1]
    pieces = np.zeros((len(signals), 1, windows * WINDOW), np.float32)
    targets = np.zeros((len(signals), windows, classes), np.float32)
    for row, one in enumerate(signals):
        there = min(windows, len(one.targets))
        # Pieces begin anywhere; each window has the target of the one that it overlaps most.
        start = int(random.integers(len(one.signal) - there * WINDOW + 1))
        first = min(round(start / WINDOW), len(one.targets) - there)
        piece = one.signal[start : start + there * WINDOW]
        pieces[row, 0, : len(piece)] = piece if random.random() < 0.5 else -piece
        spread = settings.smoothing / classes
        targets[row, :there] = (
            one.targets[first : first + there] * (1 - settings.smoothing) + spread
        )
    return torch.from_numpy(pieces), torch.from_numpy(targets).transpose(1, 2)


def _loss(logits: Tensor, weighted: Tensor) -> Tensor:
    """Cross entropy with soft, weighted targets, a mean over the weights."""
    entropy = -(weighted * functional.log_softmax(logits, dim=1)).sum()
    return entropy / weighted.sum()
