"""Windows of a replay of verdicts: honest only where the reference answered, or an audit drew."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import bytewax.operators as op
import numpy as np

from flows.windows import observe_settings, window_settings
from operators.observations import Observations
from operators.observe_verdicts import VerdictSettings, observe_verdicts
from operators.window import window
from records import ConfigurationError, EventKind, Fault, StreamEvent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bytewax.operators import KeyedStream

    from flows.config import Configuration, WindowSection
    from flows.replay.inputs import ReplayInput
    from operators.observations import Group
    from records import Record, VerdictBatch


def audit_cell(configuration: Configuration, recording: ReplayInput, file: str) -> float | None:
    """The cell of the audit that windows over recorded verdicts rest on, seconds.

    None where none is needed: the reference decided every frame, frames are there to be asked
    about, or there are no windows.

    Args:
        configuration: The configuration.
        recording: What is replayed.
        file: The configuration's name, for faults.

    Raises:
        ConfigurationError: the recording cannot answer them.
    """
    if not configuration.windows or recording.holds == "frames":
        return None
    every, cell_seconds = recording.reference()
    if every or cell_seconds is not None:
        return cell_seconds
    faults = [
        Fault(
            file,
            0,
            f"windows[{place}]",
            section.name,
            "needs answers of the reference, but in this recording others decided frames too, and "
            "no audit drew any",
            "Replay the frames (--decode), or remove windows.",
        )
        for place, section in enumerate(configuration.windows)
    ]
    raise ConfigurationError(faults)


def recorded_windows(
    configuration: Configuration,
    verdicts: KeyedStream[VerdictBatch],
    cell_seconds: float | None,
) -> list[KeyedStream[list[Record]]]:
    """The estimates of windows over recorded verdicts, and what is to be said of them.

    Args:
        configuration: Its windows are told.
        verdicts: The recorded verdicts.
        cell_seconds: The cell of the audit that drew frames, seconds; None where the reference
            decided every frame.
    """
    told: list[KeyedStream[list[Record]]] = []
    for place, section in enumerate(configuration.windows):
        told += _windows(f"windows_{place}", configuration, section, verdicts, cell_seconds)
    return told


def _windows(
    step: str,
    configuration: Configuration,
    section: WindowSection,
    verdicts: KeyedStream[VerdictBatch],
    cell_seconds: float | None,
) -> list[KeyedStream[list[Record]]]:
    settings = observe_settings(section, configuration)
    own = settings.stream_groups
    kinds: dict[str, tuple[Group, ...]] = {"": settings.groups, **own}
    told: list[KeyedStream[list[Record]]] = []
    for number, (stream, groups) in enumerate(kinds.items()):
        name = f"{step}_{number}"
        some = op.filter(name, verdicts, partial(_is_of, stream, own))
        observed = observe_verdicts(f"{name}_observe", some, VerdictSettings(groups, cell_seconds))
        # The end comes in an epoch of its own, so behind the observations before it.
        ends = op.filter_map_value(f"{name}_ends", some, partial(_ended, len(groups)))
        whole = op.merge(f"{name}_whole", observed, ends)
        out = window(f"{name}_window", whole, window_settings(section))
        told += [
            op.map_value(f"{name}_estimates", out.estimates, _one),
            op.map_value(f"{name}_events", out.events, _one),
        ]
    return told


def _is_of(wanted: str, own: Mapping[str, object], item: tuple[str, VerdictBatch]) -> bool:
    """Whether a stream is the wanted one, or for the empty name one without groups of its own."""
    return item[0] == wanted if wanted else item[0] not in own


def _one(record: Record) -> list[Record]:
    return [record]


def _ended(groups: int, batch: VerdictBatch) -> Observations | None:
    """The end of a stream, when this batch tells it."""
    for report in batch.reports:
        if isinstance(report, StreamEvent) and report.kind is EventKind.ENDED:
            none, empty = np.empty(0, np.int64), np.empty((0, groups))
            return Observations(
                batch.stream, none, none, empty, np.empty(0), empty.copy(), ended=True
            )
    return None
