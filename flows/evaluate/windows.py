"""NoScope's accuracy over windows of frames, by the paper's words and by a plain reading."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WINDOW_FRAMES = 30
"""Frames in a window (NoScope, Kang et al., VLDB 2017, section 8.1: one second at 30 Hz)."""

AGREEING_FRAMES = 28
"""Frames of a window that must agree with the reference (same place)."""


def window_accuracies(positive: NDArray[np.bool_], truth: NDArray[np.bool_]) -> tuple[float, float]:
    """Score answers against the truth over whole windows; a rest shorter than a window is left.

    Args:
        positive: bool (n,), the answers.
        truth: bool (n,), the reference detector's.

    Returns:
        The paper's: a window is right when at least 28 of its 30 frames agree with its label, which
        is what most of the reference's frames say. And the plain one: when at least 28 of its
        frames agree with the reference, frame by frame. Both 0..1, and 1 without a whole window.

    >>> import numpy as np
    >>> truth = np.array([True] * 30 + [False] * 30)
    >>> window_accuracies(np.array([True] * 27 + [False] * 33), truth)
    (0.5, 0.5)
    """
    windows = len(truth) // WINDOW_FRAMES
    if not windows:
        return 1.0, 1.0
    shape = (windows, WINDOW_FRAMES)
    said = positive[: windows * WINDOW_FRAMES].reshape(shape)
    true = truth[: windows * WINDOW_FRAMES].reshape(shape)
    label = true.mean(axis=1) >= 0.5
    paper = (said == label[:, None]).sum(axis=1) >= AGREEING_FRAMES
    plain = (said == true).sum(axis=1) >= AGREEING_FRAMES
    return float(paper.mean()), float(plain.mean())
