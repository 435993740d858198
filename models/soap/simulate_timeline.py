"""What a simulation tells: tasks and when they run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.soap.machine import LinkId


@dataclass(frozen=True, slots=True)
class Task:
    """Something that a device or a link does.

    Attributes:
        kind: "forward", "backward", "transfer", "update", or "overhead" of the runtime.
        node: The operator; for transfers of parameters and updates, the parameter.
        part: Which of its parts; for a transfer, the device that receives.
        place: The device, a number, or the link: see `machine.Machine.link`.
        start: When it starts, seconds from the start of the step.
        end: When it ends, seconds.
        bytes: For a transfer, what moves.
    """

    kind: str
    node: str
    part: int
    place: int | LinkId
    start: float
    end: float
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Timeline:
    """A simulated step.

    Attributes:
        seconds: How long it takes.
        tasks: What happens, in the order of the starts.
        communication_bytes: What moves between devices.
        memory_bytes: What each device holds at the most.
    """

    seconds: float
    tasks: tuple[Task, ...]
    communication_bytes: int
    memory_bytes: tuple[int, ...]
