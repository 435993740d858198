"""The cost model of a cascade: what a plan's counts cost on this machine.

NoScope (Kang et al., VLDB 2017), section 6.2, writes the time of a frame as
f_s T_diff + f_s f_d T_spec + f_s f_d f_c T_ref, where the f are pass rates and the T the times of
the stages. Here the counts are simulated, the times are measured in place, and reading, decoding
and resizing are in it: at the speeds in question they are most of it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Costs:
    """What each thing costs on this machine, seconds.

    Attributes:
        frame: Reading a frame's packet and writing its verdict.
        packets: Scoring a frame by its packets.
        keyframe: Decoding a frame that is coded by itself.
        other: Decoding any other frame.
        luma: Making the small grey image of a frame and comparing it.
        specialised: Making the small colour image of a frame and scoring it.
        reference: Making the full colour image of a frame and detecting in it.
    """

    frame: float
    packets: float
    keyframe: float
    other: float
    luma: float
    specialised: float
    reference: float

    def to_json(self) -> dict[str, float]:
        """The costs in microseconds, as plain JSON values."""
        return {name: round(seconds * 1e6, 2) for name, seconds in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Counts:
    """How often a plan does each thing.

    Attributes:
        frames: Frames in all.
        packets: Frames scored by their packets.
        keyframes: Keyframes decoded.
        others: Other frames decoded, those on the way to a wanted one among them.
        lumas: Frames compared by the difference detector.
        specialised: Frames scored by the specialised model.
        reference: Frames seen by the reference detector.
    """

    frames: int
    packets: int = 0
    keyframes: int = 0
    others: int = 0
    lumas: int = 0
    specialised: int = 0
    reference: int = 0


def predicted_seconds(costs: Costs, counts: Counts) -> float:
    """The time that a plan takes, seconds.

    The stages of one stream follow each other in one worker, so their times add up.

    >>> costs = Costs(1e-5, 1e-6, 2e-3, 1e-3, 1e-4, 2e-4, 1e-2)
    >>> round(predicted_seconds(costs, Counts(100, packets=100, keyframes=1, reference=1)), 6)
    0.0131
    """
    return (
        costs.frame * counts.frames
        + costs.packets * counts.packets
        + costs.keyframe * counts.keyframes
        + costs.other * counts.others
        + costs.luma * counts.lumas
        + costs.specialised * counts.specialised
        + costs.reference * counts.reference
    )
