"""Moved: the camera points elsewhere than it did.

Edges stay where they are when the light changes, and objects that pass cover few of them. The edges
of a look are compared with those learned over minutes by phase correlation (Kuglin & Hines, 1975):
where the camera was nudged the correlation peaks at the shift, and where it shows another view
altogether nothing is left of the peak at no shift. A while after a move the new view becomes the
usual one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.fft import irfft2, rfft2
from typing_extensions import override

from operators.assertions.health.lasting import check_settings, resumed
from operators.assertions.health.planes import (
    LOOKS_PER_SECOND,
    PLANE_HEIGHT,
    PLANE_WIDTH,
    Looks,
    PlaneCheck,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

EVERY = LOOKS_PER_SECOND
"""It looks once a second: a camera that was moved stays moved."""

LEARN_RATE = 1 / 120.0
"""The share of a new look in what is usual: it is learned over about two minutes, and only from
looks that fit, so that another view does not creep in."""

FIRST_LOOKS = 10
"""Looks that are learned from, evenly, before the first judgement: ten seconds."""

WHITENING_FLOOR = 0.1
"""Frequencies far weaker than this share of the mean count less: they hold noise alone."""

LEAST_CONTRAST = 0.4
"""Edges weaker than this share of the usual are no view to compare: it is dark or blocked."""

LEAST_PEAK = 0.4
"""A peak at a shift below this share of the usual one at none may be chance."""

MOST_SEVERITY = 100.0
"""The highest severity: nothing left at no shift would make it infinite."""

TINY = 1e-6
"""Keeps a plane without any edge from dividing by zero."""

_WINDOW = np.outer(np.hanning(PLANE_HEIGHT), np.hanning(PLANE_WIDTH)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Moved:
    """The assertion that the camera stays where it is.

    Attributes:
        name: The assertion's name.
        least_ratio: It was nudged when the correlation at a shift is so many times that at none.
        lost_share: It shows another view when the correlation at no shift is below this share of
            the usual, 0..1.
        hold_seconds: A shift must hold for so long, seconds.
        lost_seconds: Another view must be shown for so long, seconds: something large that passes
            close to the camera hides the usual one for a while.
        relearn_seconds: So long after a move the new view becomes the usual one, seconds.

    Raises:
        RecordError: a setting is out of its range.
    """

    name: str = "moved"
    least_ratio: float = 1.25
    lost_share: float = 0.35
    hold_seconds: float = 3.0
    lost_seconds: float = 8.0
    relearn_seconds: float = 60.0

    def __post_init__(self) -> None:
        positive = ("least_ratio", "hold_seconds", "lost_seconds", "relearn_seconds")
        check_settings(self, *positive, shares=("lost_share",))

    @property
    def window_seconds(self) -> float:
        """How long a move is told."""
        return self.relearn_seconds

    def start(self, state: object = None) -> MovedCheck:
        """Begin on a stream, or go on."""
        return MovedCheck(self, resumed(state, MovedState))


@dataclass(frozen=True, slots=True)
class View:
    """What was learned of a view, as the spectrum of its windowed edges.

    Attributes:
        edges: Their mean, complex64 (36, 33).
        contrast: The usual deviation of the edges, grey levels.
        match: The usual correlation of a look with them at no shift.
        learned: Looks that were learned from.
        unusual: Looks that were not, less those after them that were.
    """

    edges: NDArray[np.complex64]
    contrast: float
    match: float = 1.0
    learned: int = 1
    unusual: int = 0


@dataclass(frozen=True, slots=True)
class MovedState:
    """What survives a restart.

    Attributes:
        looks: What all checks of planes remember.
        view: What was learned; None before the first look.
    """

    looks: Looks = field(default_factory=Looks)
    view: View | None = None


class MovedCheck(PlaneCheck):
    """The check of one stream."""

    def __init__(self, settings: Moved, state: MovedState | None) -> None:
        state = state or MovedState()
        super().__init__(settings.name, state.looks, EVERY)
        self._settings = settings
        self._view = state.view
        self._lost = False

    @property
    @override
    def hold_seconds(self) -> float:
        return self._settings.lost_seconds if self._lost else self._settings.hold_seconds

    @override
    def judge(self, plane: NDArray[np.uint8]) -> tuple[float, str] | None:
        spectrum, contrast = edge_spectrum(plane)
        view = self._view
        if view is None or view.unusual * EVERY / LOOKS_PER_SECOND > self._settings.relearn_seconds:
            self._view = View(spectrum, contrast)
            return None
        first = view.learned < FIRST_LOOKS
        if not first and contrast < LEAST_CONTRAST * view.contrast:
            # What is left of the edges says nothing about where they are.
            return None
        surface = phase_correlation(spectrum, view.edges)
        here, (shift, peak) = float(surface[0, 0]), highest(surface)
        judged = None if first else self._judged(here, shift, peak, view.match)
        if judged is not None:
            self._view = replace(view, unusual=view.unusual + 1)
        elif first or shift == (0, 0):
            rate = max(1 / (view.learned + 1), LEARN_RATE)
            self._view = View(
                view.edges + np.complex64(rate) * (spectrum - view.edges),
                view.contrast + rate * (contrast - view.contrast),
                view.match + rate * (here - view.match),
                view.learned + 1,
                max(view.unusual - 1, 0),
            )
        return judged

    def _judged(
        self, here: float, shift: tuple[int, int], peak: float, match: float
    ) -> tuple[float, str] | None:
        settings, (right, down) = self._settings, shift
        ratio = peak / max(here, TINY)
        self._lost = False
        if shift != (0, 0) and ratio >= settings.least_ratio and peak >= LEAST_PEAK * match:
            x, y = 100 * right / PLANE_WIDTH, 100 * down / PLANE_HEIGHT
            return (
                min(ratio / settings.least_ratio, MOST_SEVERITY),
                f"the view has shifted by {x:+.0f} % of the width, {y:+.0f} % of the height",
            )
        if here < settings.lost_share * match:
            self._lost = True
            severity = settings.lost_share * match / max(here, TINY)
            return min(severity, MOST_SEVERITY), "the camera shows another view"
        return None

    def snapshot(self) -> MovedState:
        """What survives a restart; it is never changed afterwards."""
        return MovedState(self._looks, self._view)


def edge_spectrum(plane: NDArray[np.uint8]) -> tuple[NDArray[np.complex64], float]:
    """The spectrum of a plane's edges, and their deviation in grey levels.

    Edges have mean 0 and deviation 1 and fade to the borders, which are none.

    Args:
        plane: uint8 (36, 64).

    Returns:
        complex64 (36, 33), and the deviation.
    """
    grey = plane.astype(np.float32)
    edges = np.zeros_like(grey)
    edges[:, 1:-1] = np.abs(grey[:, 2:] - grey[:, :-2])
    edges[1:-1] += np.abs(grey[2:] - grey[:-2])
    edges -= edges.mean()
    deviation = math.sqrt(float(np.dot(edges.ravel(), edges.ravel())) / edges.size)
    edges *= _WINDOW
    edges /= np.float32(deviation + TINY)
    return np.asarray(rfft2(edges), np.complex64), deviation


def phase_correlation(
    spectrum: NDArray[np.complex64], reference: NDArray[np.complex64]
) -> NDArray[np.float32]:
    """The phase correlation of two spectra, float32 (36, 64), at each cyclic shift."""
    cross = spectrum * reference.conj()
    size = np.abs(cross)
    floor = np.float32(WHITENING_FLOOR) * size.mean() + np.float32(TINY)
    size += floor
    cross /= size
    surface = irfft2(cross, s=(PLANE_HEIGHT, PLANE_WIDTH), overwrite_x=True)
    return np.asarray(surface, np.float32)


def highest(surface: NDArray[np.float32]) -> tuple[tuple[int, int], float]:
    """The shift at which a correlation is highest, right and down in pixels, and its value.

    >>> surface = np.zeros((36, 64), np.float32)
    >>> surface[34, 3] = 0.5
    >>> highest(surface)
    ((3, -2), 0.5)
    """
    down, right = divmod(int(surface.argmax()), PLANE_WIDTH)
    half_down, half_right = PLANE_HEIGHT // 2, PLANE_WIDTH // 2
    right_signed = (right + half_right) % PLANE_WIDTH - half_right
    down_signed = (down + half_down) % PLANE_HEIGHT - half_down
    return (right_signed, down_signed), float(surface[down, right])
