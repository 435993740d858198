"""Where the class of a stream's windows changes and changes back: findings, and their stretches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from flows.evaluate.ecg_correction import Stretch
from operators.assertions.api import CLASSIFICATION, Moment
from operators.assertions.class_change import ClassChange

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from records import Classification, Finding


LEAST_PROBABILITY = 1e-6
"""No window rules a class out alone: less is taken as this."""


def find_changes(windows: Sequence[Classification], seconds: float) -> list[Finding]:
    """What the assertion "class_change" says of a stream.

    Args:
        windows: All windows of the stream.
        seconds: A class that lasts less than this between two runs of another is wrong.
    """
    check = ClassChange(window_seconds=seconds).start()
    return [
        finding
        for one in windows
        for finding in check.observe(
            Moment(one.stream, one.sequence, one.time_ns, outputs={CLASSIFICATION: one})
        )
    ]


def find_stretches(
    probabilities: NDArray[np.float64], findings: Sequence[Finding], most_windows: int
) -> list[Stretch]:
    """The findings with the runs around them; those that share windows are one stretch.

    Args:
        probabilities: Of each class in each window of the stream, float64 (windows, classes).
        findings: Of the same stream, in order.
        most_windows: A stretch takes no more windows on either side of a finding, and does not
            grow beyond twice as many: in long recordings what is normal changes too. So many
            windows on either side of a stretch vote for its class too.
    """
    answer = probabilities.argmax(axis=1)
    merged: list[tuple[int, int]] = []
    for finding in findings:
        # The class came back at `sequence`; what it left is the window before the first, or that.
        start, last = finding.start_sequence, finding.sequence
        first = start if answer[start] == answer[last] else max(start - 1, 0)
        first = _extended(answer, first, max(first - most_windows, 0), -1)
        stop = _extended(answer, last, min(last + most_windows, len(answer) - 1), 1) + 1
        while merged and first < merged[-1][1]:
            before, end = merged[-1]
            if max(stop, end) - min(first, before) > 2 * most_windows:
                first = end
                break
            first, stop = min(first, before), max(stop, end)
            merged.pop()
        if first < stop:
            merged.append((first, stop))
    votes = np.log(np.maximum(probabilities, LEAST_PROBABILITY))
    around = [(max(first - most_windows, 0), stop + most_windows) for first, stop in merged]
    return [
        Stretch(first, stop, int(votes[low:high].sum(axis=0).argmax()))
        for (first, stop), (low, high) in zip(merged, around, strict=True)
    ]


def _extended(answer: NDArray[np.int64], place: int, limit: int, step: int) -> int:
    """The last window of the run at `place` in one direction, no further than `limit`."""
    while place != limit and answer[place + step] == answer[place]:
        place += step
    return place
