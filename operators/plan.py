"""Plans: which stages a cascade has, and with which thresholds.

NoScope (Kang et al., VLDB 2017), sections 3 and 6. Every stage before the reference detector may be
absent, and then its setting is None: "the reference detector alone" is a plan like any other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from operators.difference import DifferenceSettings
from records import RecordError

if TYPE_CHECKING:
    from collections.abc import Mapping

LARGEST_STRIDE = 10_000
"""The largest number of frames from one that is looked at to the next."""


@dataclass(frozen=True, slots=True)
class Band:
    """Where a scoring stage is not sure.

    Attributes:
        low: A score below this means no.
        high: A score above this means yes; what lies between goes to the next stage.

    Raises:
        RecordError: a threshold is not a number, or they are in the wrong order.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if math.isnan(self.low) or math.isnan(self.high) or self.low > self.high:
            raise RecordError(
                f"low must not be above high, and both be numbers, got {self.low} and {self.high}"
            )

    def decide(self, score: float) -> bool | None:
        """Yes, no, or None when the stage is not sure.

        >>> band = Band(0.2, 0.8)
        >>> band.decide(0.1), band.decide(0.5), band.decide(0.9)
        (False, None, True)
        """
        if score < self.low:
            return False
        return True if score > self.high else None


@dataclass(frozen=True, slots=True)
class Plan:
    """The stages of a cascade, cheapest first; the reference detector decides what is left.

    Attributes:
        packets: The packet model's band, which decides without decoding.
        stride: Of the frames that are left, only every stride-th is looked at; those between take
            the last verdict. 1 looks at each.
        difference: The difference detector.
        specialised: The specialised model's band.

    Raises:
        RecordError: the stride is out of its range.
    """

    packets: Band | None = None
    stride: int = 1
    difference: DifferenceSettings | None = None
    specialised: Band | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.stride <= LARGEST_STRIDE:
            raise RecordError(f"stride must be in 1..{LARGEST_STRIDE} frames, got {self.stride}")

    @property
    def is_reference(self) -> bool:
        """Whether this is the reference detector alone."""
        return self == REFERENCE

    @property
    def stages(self) -> list[str]:
        """The names of its stages, cheapest first.

        >>> Plan(packets=Band(0.1, 0.9), stride=3).stages
        ['packets', 'stride 3', 'reference']
        """
        names = ["packets"] if self.packets else []
        names += [f"stride {self.stride}"] if self.stride > 1 else []
        names += ["difference"] if self.difference else []
        names += ["specialised"] if self.specialised else []
        return [*names, "reference"]

    def to_json(self) -> dict[str, Any]:
        """The plan as plain JSON values."""
        difference = self.difference
        return {
            "stages": self.stages,
            "packets": None if self.packets is None else [self.packets.low, self.packets.high],
            "stride": self.stride,
            "difference": None if difference is None else difference.to_json(),
            "specialised": (
                None if self.specialised is None else [self.specialised.low, self.specialised.high]
            ),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Plan:
        """The plan of `to_json`'s values.

        Raises:
            RecordError: they are no plan.
        """
        try:
            packets, specialised = value["packets"], value["specialised"]
            difference = value["difference"]
            return cls(
                packets=None if packets is None else Band(*packets),
                stride=value["stride"],
                difference=None if difference is None else DifferenceSettings.from_json(difference),
                specialised=None if specialised is None else Band(*specialised),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise RecordError(f"no plan: {error}") from error


REFERENCE = Plan()
"""The reference detector alone: always right by definition, and the slowest."""
