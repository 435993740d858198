"""Promotion, rejection and rollback, by what a running flow tells of its models.

A candidate whose shadow has passed on enough of its streams is promoted; one that no longer can is
rejected. A promoted version whose audit has worsened is rolled back, and is never promoted again
but by a person. Several processes may supervise the same models.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from flows.hot_swap_outcomes import Outcome, Outcomes, parse_id
from models.registry import ChangeKind
from models.registry_history import LONGEST_REASON
from operators.cascade_version import ModelReason, versions_told
from records import DetectorError, EventKind, StreamEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from flows.hot_swap import ModelReports
    from models.registry import Registry
    from records import Record

_JUDGED = {ModelReason.SHADOW_PASSED.value: True, ModelReason.SHADOW_FAILED.value: False}


class Supervisor:
    """Acts on what a flow tells of its models.

    Args:
        registry: The registry.
        folder: Its folder.
        reports: Who is told of what happens.
        streams: Gives the streams that follow a model, as far as they are known.
        quorum: The share of them on which a candidate must pass, above 0, at most 1.
        rollback: Whether versions that worsened are rolled back.
    """

    def __init__(
        self,
        registry: Registry,
        folder: Path,
        reports: ModelReports,
        streams: Mapping[str, AbstractSet[str]],
        *,
        quorum: float = 1.0,
        rollback: bool = True,
    ) -> None:
        self._registry, self._folder, self._reports = registry, folder, reports
        self._streams, self._quorum, self._rollback = streams, quorum, rollback

    def observe(self, stream: str, records: Sequence[Record]) -> None:
        """Take records on their way to the sinks; what cannot be done is told of.

        Events of streams that follow no model here, say of another program, are left alone.
        """
        for record in records:
            if not isinstance(record, StreamEvent) or record.kind is not EventKind.MODEL:
                continue
            version, other = versions_told(record)
            if stream not in self._streams.get(version.rpartition("@")[0], ()):
                continue
            detail = f"{stream}: {record.detail}"
            if record.reason in _JUDGED:
                passed = _JUDGED[record.reason]
                self._reports.judged(version, passed=passed, detail=detail)
                self._act(version, partial(self._judged, stream, version, other, passed=passed))
            elif record.reason == ModelReason.WORSENED and self._rollback:
                self.failed(version, detail)

    def judged(self, version: str, *, passed: bool, detail: str) -> None:
        """Take the judgement of a candidate that belongs to no stream."""
        self._reports.judged(version, passed=passed, detail=detail)
        self._act(version, partial(self._decide, version, detail, passed=passed))

    def failed(self, version: str, detail: str) -> None:
        """Take it that the version in force is not good enough after all."""
        self._act(version, partial(self._roll_back, version, detail))

    def _act(self, version: str, action: Callable[[], None]) -> None:
        """Do something under the lock of a model; what goes wrong is told of."""
        name = version.rpartition("@")[0]
        try:
            with Outcomes(self._folder, name).locked():
                action()
        except (DetectorError, OSError) as error:
            self._reports.faulty(name, version, error)

    def _judged(self, stream: str, version: str, incumbent: str, *, passed: bool) -> None:
        name, number = parse_id(version)
        outcomes = Outcomes(self._folder, name)
        outcomes.add(Outcome(number, incumbent, stream, passed))
        said = outcomes.of(number, incumbent)
        streams = self._streams.get(name, frozenset()) | set(said)
        needed = self._quorum * len(streams)
        passes, failures = sum(said.values()), len(said) - sum(said.values())
        told = f"the shadow passed on {passes} and failed on {failures} of {len(streams)} streams"
        if passes >= needed:
            self._decide(version, told, passed=True)
        elif len(streams) - failures < needed:
            self._decide(version, told, passed=False)

    def _decide(self, version: str, reason: str, *, passed: bool) -> None:
        name, number = parse_id(version)
        if self._registry.pointers(name).candidate != number:
            return  # a person, or another process, has decided already
        if not passed:
            self._registry.reject(name, number, _short(reason))
        elif self._was_rolled_back(name, number):
            raise DetectorError(
                f"{version} was rolled back before, and is not promoted again by itself; "
                "promote it by hand if you trust it"
            )
        else:
            self._registry.promote(name, number, _short(reason))

    def _was_rolled_back(self, name: str, number: int) -> bool:
        history = self._registry.history(name)
        return any(one.what is ChangeKind.ROLLED_BACK and one.previous == number for one in history)

    def _roll_back(self, version: str, detail: str) -> None:
        name, number = parse_id(version)
        if self._registry.pointers(name).current != number:
            return
        moves = (ChangeKind.PROMOTED, ChangeKind.ROLLED_BACK)
        last = [one for one in self._registry.history(name) if one.what in moves][-1]
        if last.what is ChangeKind.PROMOTED:
            self._registry.rollback(name, _short(detail))


def _short(reason: str) -> str:
    return reason[:LONGEST_REASON]
