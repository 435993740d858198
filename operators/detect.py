"""The reference detector: answers what the cheaper stages left, in batches over all streams."""

from __future__ import annotations

from typing import TYPE_CHECKING

from operators.route import chunks, pixels_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from operators.route import Route
    from records import Detector


def detect(routes: Sequence[Route], detector: Detector, batch: int) -> None:
    """Let the reference detector answer the open and the audited routes.

    Args:
        routes: Frames of any streams, in order.
        detector: The reference detector.
        batch: The most frames in one call, each at full size.
    """
    asked = [route for route in routes if route.open or route.audited]
    for chunk in chunks(asked, batch):
        ready, images = pixels_of(chunk, None)
        for route, found in zip(ready, detector.detect(images), strict=True):
            route.answer(found)
