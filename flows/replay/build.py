"""The inputs of a replay in a dataflow: recorded frames for the cascade, or recorded verdicts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import bytewax.operators as op

from flows.cascades import Cascades
from flows.inputs import Inputs
from flows.replay.windows import recorded_windows
from operators.cascade import CascadeSettings, Models
from operators.plan import Plan
from records import FrameBatch, SourceError, VerdictBatch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from bytewax.dataflow import Dataflow
    from numpy.typing import NDArray

    from connectors.paced import PacedSource
    from flows.build import Parts
    from flows.config import Configuration
    from records import Detections, Detector


class RecordedDetector:
    """The reference detector behind recorded verdicts: it has answered already.

    Args:
        name: Its name, for alerts.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.class_names: tuple[str, ...] = ()

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """Refuse.

        Raises:
            SourceError: there is an image.
        """
        if images:
            raise SourceError("recorded verdicts must not be asked for what is in an image")
        return []


def recorded_cascades(detector: Detector) -> Cascades:
    """The cascades of a replay of verdicts: they have decided already."""
    return Cascades(CascadeSettings(Plan()), Models(detector), {})


def frame_inputs(source: PacedSource) -> Callable[[Dataflow, Configuration, Parts], Inputs]:
    """Adds a source of recorded frames to a dataflow."""

    def add(flow: Dataflow, configuration: Configuration, parts: Parts) -> Inputs:
        del configuration, parts
        return Inputs(op.input("replay", flow, source))

    return add


def verdict_inputs(
    source: PacedSource, windows: Configuration, cell_seconds: float | None
) -> Callable[[Dataflow, Configuration, Parts], Inputs]:
    """Adds a source of recorded verdicts to a dataflow, and windows over them.

    Args:
        source: The source.
        windows: The configuration whose windows are told.
        cell_seconds: The cell of the audit that drew frames; None for none, seconds.
    """

    def add(flow: Dataflow, configuration: Configuration, parts: Parts) -> Inputs:
        del configuration, parts
        received = op.input("replay", flow, source)
        frames = op.filter_map_value("replayed_frames", received, _frames)
        verdicts = op.filter_map_value("replayed_verdicts", received, _verdicts)
        told = recorded_windows(windows, verdicts, cell_seconds)
        return Inputs(frames, verdicts, op.merge("replayed_windows", *told) if told else None)

    return add


def _frames(batch: Any) -> FrameBatch | None:  # noqa: ANN401 - a source of either
    return batch if isinstance(batch, FrameBatch) else None


def _verdicts(batch: Any) -> VerdictBatch | None:  # noqa: ANN401
    return batch if isinstance(batch, VerdictBatch) else None
