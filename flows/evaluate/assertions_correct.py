"""Applying corrections to recorded outputs, just as a run does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.evaluate.truth import JudgedFrame, judge
from operators.assertions.apply import apply_correction

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from records import Correction, Detections


def corrected(
    frames: Mapping[str, Sequence[JudgedFrame]],
    place_of: Mapping[int, int],
    corrections: Iterable[Correction],
) -> dict[tuple[str, int], JudgedFrame]:
    """The frames that corrections change, judged anew.

    Args:
        frames: Each output's frames.
        place_of: The place of a frame by its sequence.
        corrections: The corrections, in the order in which they were found.

    Returns:
        The changed frames by output and place.
    """
    changed: dict[tuple[str, int], Detections] = {}
    for correction in corrections:
        for place in correction.places:
            output, k = correction.output, place_of.get(place.sequence)
            if output in frames and k is not None:
                before = changed.get((output, k), frames[output][k].found)
                changed[output, k] = apply_correction(before, correction, place)
    return {
        (output, k): judge(found, frames[output][k].truth) for (output, k), found in changed.items()
    }
