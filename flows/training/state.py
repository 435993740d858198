"""The state of a round: one small JSON file, replaced after each step."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from flows.training.process import Spending
from records import SightflowError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FORMAT_VERSION = 1
"""The version of the file that this code writes and reads."""

LARGEST_FILE = 64 * 2**20
"""The largest such file, bytes."""

FILE_NAME = "state.json"
"""The file's name in the trainer's folder."""


class Step(StrEnum):
    """What a round does next."""

    SELECT = "select"
    LABEL = "label"
    PLAN = "plan"
    TRAIN = "train"
    EVALUATE = "evaluate"
    REGISTER = "register"
    DONE = "done"


class Trigger(StrEnum):
    """Why a round began."""

    SCHEDULE = "schedule"
    QUEUE = "queue"
    ALARM = "alarm"
    ASKED = "asked"


@dataclass(frozen=True, slots=True)
class RoundState:
    """A round, as far as it has come.

    Attributes:
        number: Its number, from 1.
        trigger: Why it began.
        began_ns: When, nanoseconds since 1970 UTC.
        step: What it does next.
        alarms: The alarms that were known when it began, as `AlarmWatch.mark` tells them.
        since: Event time, nanoseconds, of the last alarm of each stream that had one: what came
            before it says nothing of a new version.
        items: The ids of the items that were chosen, in order.
        chosen: How many were chosen, by the reason of the choice.
        labels: How many got a label, by its source.
        unused: How many items could not be used, by the reason.
        parent: The current version when it began; None when there was none.
        plan: How its work was parted.
        evaluation: What the evaluation said, plain JSON values; None before it.
        version: The number under which the model was registered; None where it was not.
        reason: Why it was, or was not.
        spending: What it has used.
    """

    number: int
    trigger: Trigger
    began_ns: int
    step: Step = Step.SELECT
    alarms: str = ""
    since: Mapping[str, int] = field(default_factory=dict)
    items: tuple[str, ...] = ()
    chosen: Mapping[str, int] = field(default_factory=dict)
    labels: Mapping[str, int] = field(default_factory=dict)
    unused: Mapping[str, int] = field(default_factory=dict)
    parent: int | None = None
    plan: Mapping[str, Any] = field(default_factory=dict)
    evaluation: Mapping[str, Any] | None = None
    version: int | None = None
    reason: str = ""
    spending: Spending = field(default_factory=Spending)

    def refused(self, reason: str) -> RoundState:
        """The round, ended without a version."""
        return replace(self, step=Step.DONE, reason=reason)

    def to_json(self) -> dict[str, Any]:
        """The round as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> RoundState:
        """The round of `to_json`'s values.

        Raises:
            KeyError, TypeError, ValueError: they are no round.
        """
        return cls(
            **{
                **value,
                "trigger": Trigger(value["trigger"]),
                "step": Step(value["step"]),
                "items": tuple(value["items"]),
                "spending": Spending(**value["spending"]),
            }
        )


class StateFile:
    """Where the last round of a trainer stands.

    Args:
        folder: The trainer's folder; must be there.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME

    def read(self) -> RoundState | None:
        """The last round; None before the first.

        Raises:
            SightflowError: the file is damaged, or another release wrote it.
        """
        try:
            with self._path.open("rb") as file:
                data = file.read(LARGEST_FILE + 1)
            value = json.loads(data) if len(data) <= LARGEST_FILE else None
            if not isinstance(value, dict) or value.pop("format", None) != FORMAT_VERSION:
                raise SightflowError(
                    f"{self._path} must be the state of a round of format {FORMAT_VERSION}; move "
                    "it away, and the next round begins anew"
                )
            return RoundState.from_json(value)
        except FileNotFoundError:
            return None
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise SightflowError(
                f"{self._path} is no state of a round ({error}); move it away, and the next round "
                "begins anew"
            ) from error

    def write(self, state: RoundState) -> None:
        """Write a round in place of the one before, at one stroke.

        Raises:
            SightflowError: it cannot be written.
        """
        draft = self._path.with_name(f".{FILE_NAME}.draft")
        text = json.dumps({"format": FORMAT_VERSION, **state.to_json()}, allow_nan=False)
        try:
            with draft.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._path)
        except OSError as error:
            raise SightflowError(
                f"{self._path} cannot be written: {error.strerror}; check the free space and the "
                "permissions there"
            ) from error
