"""The specialised model: decides the frames it is sure of, in batches over all streams.

NoScope (Kang et al., VLDB 2017), section 4: a small model that knows one question on one camera.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from operators.route import chunks, pixels_of
from records import Stage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from operators.route import Route
    from records import Scorer


def score(routes: Sequence[Route], model: Scorer, batch: int) -> None:
    """Let the specialised model decide what it is sure of; the rest stays open.

    Args:
        routes: Frames of any streams; those that are open and have a band are scored, in order.
        model: The specialised model.
        batch: The most frames in one call, each at the model's size.
    """
    asked = [route for route in routes if route.open and route.band is not None]
    for chunk in chunks(asked, batch):
        ready, images = pixels_of(chunk, model.size)
        if not ready:
            continue
        for route, one in zip(ready, model.score(np.stack(images)).tolist(), strict=True):
            assert route.band is not None
            positive = route.band.decide(one)
            if positive is not None:
                route.close(Stage.SPECIALISED, one, positive)
