"""ECG records streamed as they would be live, and what that costs."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from connectors.wfdb import WfdbSettings, WfdbSource
from operators.ecg_stream import EcgStream, EcgStreamSettings
from records import EventKind, SourceError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from records import Classification, SignalClassifier

SECONDS_PER_HOUR = 3600
"""Seconds in an hour."""

_LOSSES = (EventKind.CORRUPT, EventKind.DROPPED, EventKind.TRUNCATED)


class Metered:
    """A classifier that counts what it is asked, and what was lost on the way to it.

    Attributes:
        windows: The windows that it classified, those of the overlap included.
        given: The windows that came out of streams.
        seconds: How long it took.
        lost: Samples that were lost, by reason.

    Args:
        model: The classifier.
    """

    def __init__(self, model: SignalClassifier) -> None:
        self._model = model
        self.classes, self.rate_hz = model.classes, model.rate_hz
        self.window, self.context = model.window, model.context
        self.windows, self.given, self.seconds = 0, 0, 0.0
        self.lost: Counter[str] = Counter()

    def classify(self, signal: NDArray[np.float32]) -> NDArray[np.float32]:
        """As the model says."""
        began = time.perf_counter()
        found = self._model.classify(signal)
        self.seconds += time.perf_counter() - began
        self.windows += len(found)
        return found


def stream_record(
    record: Path, model: Metered, block_seconds: float, new_windows: int
) -> list[Classification]:
    """The windows of a record, played block by block.

    Args:
        record: The record.
        model: Classifies, and counts the samples that were lost.
        block_seconds: The length of a block, seconds.
        new_windows: How many windows must be ready before the model runs.

    Raises:
        SourceError: no window could be classified.
    """
    settings = WfdbSettings((record,), block_seconds)
    source = WfdbSource({record.name: settings}, stop=threading.Event())
    partition = source.build_part("record", record.name, None)
    logic = EcgStream(EcgStreamSettings(new_windows=new_windows), model)
    found: list[Classification] = []
    while True:
        try:
            items = partition.next_batch()
        except StopIteration:
            break
        for batch in logic.on_items([item for _, item in items]):
            found += batch.classifications
            model.given += len(batch.classifications)
            for event in batch.events:
                if event.kind in _LOSSES:
                    model.lost[event.reason] += event.count
    if not found:
        raise SourceError(f"{record} must have a window that can be classified, got none")
    return found


def streaming_figures(model: Metered, block_seconds: float, new_windows: int) -> dict[str, Any]:
    """What streaming cost: the overlap, the wait, the time of the model, the samples lost."""
    window_seconds = model.window / model.rate_hz
    return {
        "block_seconds": block_seconds,
        "new_windows": new_windows,
        "context_windows": model.context,
        "overlap_factor": model.windows / model.given,
        # The oldest of the new windows waits for the others, for the context, and for its block.
        "latency_seconds": (model.context + new_windows) * window_seconds + block_seconds,
        "model_seconds_per_hour": model.seconds / (model.given * window_seconds) * SECONDS_PER_HOUR,
        "lost_samples": dict(sorted(model.lost.items())),
    }
