"""How models are trained: settings, checked when they are made."""

from __future__ import annotations

from dataclasses import dataclass, field

from models.architecture import MOST_COUNTED, Architecture
from models.packet_features import LEAST_REACH, MOST_REACH
from records import RecordError

Ranges = dict[str, tuple[int, int] | tuple[float, float]]
"""The least and most of each field; where both are whole numbers, so must be the field."""


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """How a specialised model is trained.

    Attributes:
        architecture: The network's shape.
        most_counted: K, the highest count told apart, 1..64; more counts as K.
        at_least: k, the predicate is "at least k objects", 1..K.
        epochs: Most passes over the training part, 1..10,000.
        patience: Epochs without a lower validation loss after which training stops, at least 1.
        batch_size: Images in a step, 1..4096.
        learning_rate: The highest learning rate (AdamW, one cycle: Smith 2018).
        weight_decay: AdamW's decoupled weight decay.
        dropout: Share of the dense layer's inputs left out in a step, 0..0.9.
        brightness: Standard deviation of the change of brightness, grey levels.
        contrast: Standard deviation of the change of contrast, as a share.
        validation_share: Share of the frames kept for validation, 0.05..0.5, in blocks of time.
        seconds: Most seconds of training.
        threads: Threads of torch while training, 1..64. More than one pays only where cores are
            idle: beside other work, threads that wait for one another are many times slower.
        seed: What is random follows from it.

    Raises:
        RecordError: a value is out of range; the message names the field.
    """

    architecture: Architecture = field(default_factory=Architecture)
    most_counted: int = 1
    at_least: int = 1
    epochs: int = 40
    patience: int = 12
    batch_size: int = 32
    learning_rate: float = 0.003
    weight_decay: float = 0.05
    dropout: float = 0.3
    brightness: float = 12.0
    contrast: float = 0.1
    validation_share: float = 0.2
    seconds: float = 60.0
    threads: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        ranges: Ranges = {
            "most_counted": (1, MOST_COUNTED),
            "at_least": (1, self.most_counted),
            "epochs": (1, 10_000),
            "patience": (1, 10_000),
            "batch_size": (1, 4096),
            "learning_rate": (1e-6, 1.0),
            "weight_decay": (0.0, 10.0),
            "dropout": (0.0, 0.9),
            "brightness": (0.0, 255.0),
            "contrast": (0.0, 1.0),
            "validation_share": (0.05, 0.5),
            "seconds": (0.01, 30 * 86_400.0),
            "threads": (1, 64),
            "seed": (0, 2**63 - 1),
        }
        check_ranges(self, ranges)


@dataclass(frozen=True, slots=True)
class PacketSettings:
    """How a packet model is trained.

    Attributes:
        reach: Frames before and after a frame that its score depends on, 2..10,000; the latency
            of live use, in frames.
        hidden: Hidden units of each network, 1..256.
        folds: Contiguous blocks in time, 2..16; each network leaves one out (and `reach` frames
            on either side of it) and is judged on it. Their mean is the model.
        steps: Most steps of training, each over all frames.
        learning_rate: The first step's learning rate (AdamW, falling as a cosine).
        weight_decay: AdamW's decoupled weight decay.
        dropout: Share of hidden units left out in a step, 0..0.9.
        noise: Standard deviation of noise on the features, in standard deviations.
        seed: What is random follows from it.
        seconds: Most seconds of training.

    Raises:
        RecordError: a value is out of range; the message names the field.
    """

    reach: int = 40
    hidden: int = 16
    folds: int = 8
    steps: int = 300
    learning_rate: float = 0.01
    weight_decay: float = 0.05
    dropout: float = 0.2
    noise: float = 0.5
    seed: int = 0
    seconds: float = 20.0

    def __post_init__(self) -> None:
        ranges: Ranges = {
            "reach": (LEAST_REACH, MOST_REACH),
            "hidden": (1, 256),
            "folds": (2, 16),
            "steps": (1, 100_000),
            "learning_rate": (1e-6, 1.0),
            "weight_decay": (0.0, 10.0),
            "dropout": (0.0, 0.9),
            "noise": (0.0, 10.0),
            "seed": (0, 2**63 - 1),
            "seconds": (0.01, 86_400.0),
        }
        check_ranges(self, ranges)


def check_ranges(settings: object, ranges: Ranges) -> None:
    """Raise RecordError unless each field of the settings lies in its range."""
    for name, (low, high) in ranges.items():
        value = getattr(settings, name)
        whole = isinstance(low, int) and isinstance(high, int)
        right = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
        if not right or not low <= value <= high:
            kind = "a whole number " if whole else ""
            raise RecordError(f"{name} must be {kind}in {low}..{high}, got {value!r}")
