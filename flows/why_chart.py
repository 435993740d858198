"""The chart under a strip: what was measured over event time, and when the episode was open."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from flows.why import Kind
from flows.why_drawing import ALARM, FAINT, TEXT, canvas, dashed, write
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from flows.why import Why
    from flows.why_frames import Shown

HEIGHT = 170
"""Of the chart, pixels."""

OPEN_GROUND = (66, 48, 38)
"""Behind the time in which the episode was open."""

TICK_PIXELS = 110
"""About so far apart are the numbers of the time axis, pixels."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 16, 26, 26


class _Axes:
    """Where times and values lie in the picture."""

    def __init__(self, found: Why, width: int) -> None:
        times, values = found.series.times_ns, found.series.values
        self.start_ns = times[0]
        self.span_ns = max(times[-1] - times[0], 1)
        needed = 0.0 if found.rule is None else float(found.rule.at_least)
        self.top = max(*values, needed) * 1.1 or 1.0
        self.width = width

    def x(self, time_ns: int) -> int:
        share = min(max((time_ns - self.start_ns) / self.span_ns, 0.0), 1.0)
        return round(_LEFT + share * (self.width - _LEFT - _RIGHT))

    def y(self, value: float) -> int:
        return round(HEIGHT - _BOTTOM - value / self.top * (HEIGHT - _TOP - _BOTTOM))


def chart(found: Why, shown: Sequence[Shown], width: int) -> NDArray[np.uint8]:
    """Draw what was measured; the numbers are those of the frames above.

    Args:
        found: The episode; its series must not be empty.
        shown: The frames of the strip.
        width: Of the chart, pixels.

    Returns:
        uint8 (HEIGHT, width, 3), RGB.
    """
    image = canvas(width, HEIGHT)
    axes = _Axes(found, width)
    floor = axes.y(0)
    closed_ns = axes.start_ns + axes.span_ns if found.closed_ns is None else found.closed_ns
    corners = (axes.x(found.last.opened_ns), _TOP), (axes.x(closed_ns), floor)
    cv2.rectangle(image, *corners, OPEN_GROUND, cv2.FILLED)
    cv2.line(image, (_LEFT, floor), (width - _RIGHT, floor), FAINT, 1)
    _ticks(image, axes, found.last.opened_ns)
    steps: list[tuple[int, int]] = []
    for time_ns, value in zip(found.series.times_ns, found.series.values, strict=True):
        before = steps[-1][1] if steps else axes.y(value)
        steps += [(axes.x(time_ns), before), (axes.x(time_ns), axes.y(value))]
    points = [np.array(steps, np.int32)]
    cv2.polylines(image, points, isClosed=False, color=TEXT, thickness=1, lineType=cv2.LINE_AA)
    _scale(image, axes, found)
    room = 0
    for number, one in enumerate(shown, 1):
        x = axes.x(one.verdict.time_ns)
        dashed(image, (x, _TOP), (x, floor), ALARM)
        left = max(x - 4, room)
        room = left + 4 + write(image, str(number), (left, _TOP - 6), colour=ALARM, scale=0.42)
    return image


def _ticks(image: NDArray[np.uint8], axes: _Axes, zero_ns: int) -> None:
    """Write seconds since the opening along the time axis, at round steps."""
    seconds = axes.span_ns / NANOSECONDS
    room = max(image.shape[1] // TICK_PIXELS, 1)
    exact = max(seconds / room, 1e-3)
    size = 10.0 ** np.floor(np.log10(exact))
    step = float(next(size * one for one in (1, 2, 5, 10) if size * one >= exact))
    first = np.ceil((axes.start_ns - zero_ns) / NANOSECONDS / step)
    last = np.floor((axes.start_ns + axes.span_ns - zero_ns) / NANOSECONDS / step)
    for number in np.arange(first, last + 1):
        at = float(number) * step
        x = axes.x(zero_ns + round(at * NANOSECONDS))
        cv2.line(image, (x, axes.y(0)), (x, axes.y(0) + 4), FAINT, 1)
        text = f"{at:+g} s" if at else "opened"
        write(image, text, (x - 14, HEIGHT - 8), colour=FAINT, scale=0.38)


def _scale(image: NDArray[np.uint8], axes: _Axes, found: Why) -> None:
    """Write what is measured, its highest value, and the rule's threshold."""
    highest = max(found.series.values)
    measured = "severity of findings" if found.kind is Kind.ASSERTION else ""
    if found.rule is not None:
        measured = f"count of '{found.rule.class_name}'"
        y = axes.y(float(found.rule.at_least))
        dashed(image, (_LEFT, y), (image.shape[1] - _RIGHT, y), FAINT)
        write(image, f"{found.rule.at_least}", (10, y + 4), colour=FAINT, scale=0.4)
    if found.rule is None or highest != found.rule.at_least:
        write(image, f"{highest:.3g}", (10, axes.y(highest) + 4), scale=0.4)
    write(image, measured, (_LEFT, 12), colour=FAINT, scale=0.4)
