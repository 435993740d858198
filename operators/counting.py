"""Counting: the numbers that models have for chosen frames, in batches over all streams."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from operators.pixels import decoded

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from operators.observations import Group
    from records import Detector, Frame, Scorer


def reference_counts(
    frames: Sequence[Frame],
    reference: Detector,
    groups_of: Callable[[str], Sequence[Group]],
    batch: int,
) -> NDArray[np.float64]:
    """What the reference counts.

    Args:
        frames: Frames of any streams.
        reference: The reference detector.
        groups_of: The groups of a stream, as many for each.
        batch: The most frames in one call, each at full size.

    Returns:
        float64 (n, groups); NaN for frames that cannot be decoded.
    """
    values = np.full((len(frames), len(groups_of(frames[0].stream)) if frames else 0), np.nan)
    for start in range(0, len(frames), batch):
        chunk = frames[start : start + batch]
        ready, images = decoded(chunk, None)
        answers = reference.detect(images) if images else []
        for place, answer in zip(ready, answers, strict=True):
            groups = groups_of(chunk[place].stream)
            values[start + place] = [group.count(answer) for group in groups]
    return values


def proxy_counts(
    frames: Sequence[Frame], proxies: Mapping[int, Scorer], groups: int, batch: int
) -> NDArray[np.float64]:
    """What the proxies say.

    Args:
        frames: Frames of any streams.
        proxies: The specialised models that count, by the group's place.
        groups: How many groups there are.
        batch: The most frames in one call, each at the model's size.

    Returns:
        float64 (n, groups); NaN for groups without a proxy, frames that cannot be decoded, and
        where a model says no finite number.
    """
    numbers = np.full((len(frames), groups), np.nan)
    for column, model in proxies.items():
        for start in range(0, len(frames), batch):
            ready, images = decoded(frames[start : start + batch], model.size)
            if images:
                numbers[start + np.array(ready), column] = model.score(np.stack(images))
    return np.where(np.isfinite(numbers), numbers, np.nan)
