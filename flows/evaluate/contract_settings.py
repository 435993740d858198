"""The settings of the repeated study of the accuracy contract."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.certification import Contract
from operators.audit import AuditSettings
from records import RecordError

if TYPE_CHECKING:
    from pathlib import Path

SHARES_TOLERANCE = 1e-9
"""How far the shares of the parts may miss a sum of 1 by rounding."""

POSITIVE = (
    "frames_per_second",
    "stretch_seconds",
    "noise_seconds",
    "drift_noise",
    "block_seconds",
    "cell_seconds",
)
"""The settings that must be above 0."""


@dataclass(frozen=True, slots=True)
class ContractStudySettings:
    """How the study is made.

    Attributes:
        trace: A file of object counts, one integer a line and frame; may end in .gz.
        frames_per_second: Frames a second of the trace, Hz.
        target_recall: Least share of the positives that must be reported, 0..1 exclusive.
        target_precision: Least share of the reported that must be positive, 0..1 exclusive.
        confidence: Least share of repetitions that must keep both, 0..1 exclusive.
        at_least: How many objects make a frame positive.
        repeats: How many times the study is repeated.
        seed: Of all that is random.
        stretch_seconds: Length of the stretch of one repetition, seconds.
        parts: Shares of train, tune, certify and live in the stretch; above 0, sum to 1.
        signal: The score's logit is plus or minus this, in standard deviations of the noise.
        noise_seconds: Time over which the noise's correlation falls to 1/e, seconds.
        drift: Whether the scores get worse at a random time in the live part.
        drift_noise: Factor on the noise after that.
        drift_shift: Added to the logit after that.
        block_seconds: Shortest length of a block of certification, seconds.
        cell_seconds: One frame is audited in each cell of this length, seconds.
        false_alarm: The most that the probability of a false alarm may be.

    Raises:
        RecordError: a setting is out of its range.
    """

    trace: Path
    frames_per_second: float = 30.0
    target_recall: float = 0.9
    target_precision: float = 0.9
    confidence: float = 0.95
    at_least: int = 1
    repeats: int = 200
    seed: int = 0
    stretch_seconds: float = 4 * 3600.0
    parts: tuple[float, float, float, float] = (0.1, 0.2, 0.4, 0.3)
    signal: float = 1.0
    noise_seconds: float = 0.5
    drift: bool = False
    drift_noise: float = 2.0
    drift_shift: float = -1.0
    block_seconds: float = 10.0
    cell_seconds: float = 5.0
    false_alarm: float = 0.05

    def __post_init__(self) -> None:
        for name in POSITIVE:
            if not 0 < getattr(self, name) < np.inf:
                raise RecordError(f"{name} must be finite and above 0, got {getattr(self, name)}")
        for name in ("signal", "drift_shift"):
            if not np.isfinite(getattr(self, name)):
                raise RecordError(f"{name} must be finite, got {getattr(self, name)}")
        if min(self.repeats, self.at_least) < 1 or self.seed < 0:
            raise RecordError(
                "repeats and at_least must be at least 1 and seed at least 0, got "
                f"{self.repeats}, {self.at_least} and {self.seed}"
            )
        if (
            len(self.parts) != 4
            or min(self.parts) < 0
            or abs(sum(self.parts) - 1) > SHARES_TOLERANCE
        ):
            raise RecordError(f"parts must be 4 shares above 0 that sum to 1, got {self.parts}")
        if min(self.parts) * self.stretch_seconds * self.frames_per_second < 1:
            raise RecordError(
                "every part must hold a frame; give a larger stretch_seconds than "
                f"{self.stretch_seconds}"
            )
        if self.cell_seconds * self.frames_per_second < 1:
            raise RecordError(f"cell_seconds must last a frame, got {self.cell_seconds}")
        self.audit()  # checks the targets, the confidence and false_alarm

    @property
    def contract(self) -> Contract:
        """What is promised."""
        return Contract(self.target_recall, self.target_precision, self.confidence)

    def audit(self, seed: int = 0) -> AuditSettings:
        """The settings of one repetition's audit."""
        return AuditSettings(
            self.target_recall,
            self.target_precision,
            self.cell_seconds,
            self.false_alarm,
            self.confidence,
            seed=seed,
        )
