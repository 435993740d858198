from __future__ import annotations

import numpy as np

from flows.evaluate.windows import window_accuracies


def test_both_readings_of_a_window() -> None:
    truth = np.array([True] * 20 + [False] * 10 + [True] * 30 + [False] * 5)
    right = truth.copy()
    assert window_accuracies(right, truth) == (0.5, 1.0)
    all_yes = np.ones(65, np.bool_)
    assert window_accuracies(all_yes, truth) == (1.0, 0.5)
    assert window_accuracies(right[:29], truth[:29]) == (1.0, 1.0)
