"""The reference detector: answers what the cheaper stages left, in batches over all streams."""

from __future__ import annotations

from typing import TYPE_CHECKING

from operators.routing import open_chunks, pixels_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from operators.routing import Route
    from records import Detector


def detect(routes: Sequence[Route], detector: Detector, batch: int) -> None:
    """Let the reference detector answer the open routes.

    Args:
        routes: Frames of any streams; those that are open are answered, in order.
        detector: The reference detector.
        batch: The most frames in one call, each at full size.
    """
    for chunk in open_chunks(routes, batch):
        ready, images = pixels_of(chunk, None)
        for route, found in zip(ready, detector.detect(images), strict=True):
            route.answer(found)
