"""Which changes of a configuration a run can take while it goes on, and what tells it of one."""

from __future__ import annotations

import contextlib
import signal
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flows.config import FROM_KAFKA
from flows.inputs import video_settings
from records import ConfigurationError, Fault, SightflowError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import FrameType

    from flows.config import Configuration

CHANGEABLE = frozenset(
    {"streams", "detector", "cascade", "track", "alerts", "windows", "assertions"}
)
"""The parts of a configuration that may change while a run goes on."""

_FIXED_OF_FILES = ("uri", "start", "live")
_FIXED_OF_CAMERAS = ("start", "live")
_RESTART = "Stop the run, and begin another with this file."
_NEW_NAME = "Give the new stream a name of its own, or put the value back."


@dataclass(frozen=True, slots=True)
class ReloadSettings:
    """How a run learns that its configuration has changed.

    Attributes:
        path: The configuration's file.
        watch: Whether the file, and those it names, are looked at; else only SIGHUP tells.
        poll_seconds: How often they are looked at, seconds.

    Raises:
        SightflowError: `poll_seconds` is not above 0.
    """

    path: Path
    watch: bool = True
    poll_seconds: float = 0.25

    def __post_init__(self) -> None:
        if not self.poll_seconds > 0:
            raise SightflowError(f"poll_seconds must be above 0, got {self.poll_seconds}")


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs between two configurations of a run.

    Attributes:
        added: Streams that only the new one has.
        removed: Streams that only the old one has.
        sections: The parts that differ, by name.
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    sections: tuple[str, ...]


def difference(before: Configuration, now: Configuration) -> Difference:
    """What differs between two configurations."""
    names = type(now).model_fields
    return Difference(
        tuple(sorted(set(now.streams) - set(before.streams))),
        tuple(sorted(set(before.streams) - set(now.streams))),
        tuple(name for name in names if getattr(before, name) != getattr(now, name)),
    )


def check_change(before: Configuration, now: Configuration, path: Path) -> None:
    """Check that a run can go on with a changed configuration.

    Args:
        before: The configuration that holds.
        now: The one that is to hold.
        path: Its file.

    Raises:
        ConfigurationError: it needs another run; every reason is told.
    """
    changed = difference(before, now)
    faults = [
        Fault(str(path), 0, name, "", "cannot change while the run goes on", _RESTART)
        for name in changed.sections
        if name not in CHANGEABLE
    ]
    if (now.shards or 1) > 1 and (changed.added or changed.removed):
        problem = "cannot change while the run goes on where there are several shards"
        faults.append(Fault(str(path), 0, "streams", "", problem, _RESTART))
    if bool(before.streams) != bool(now.streams):
        problem = "cannot begin or cease to have streams while the run goes on"
        faults.append(Fault(str(path), 0, "streams", "", problem, _RESTART))
    videos = video_settings(before.streams, path.parent)
    for name in sorted(set(before.streams) & set(now.streams)):
        live = name in videos and videos[name].is_live
        faults += _stream_faults(path, name, before, now, live=live)
    if faults:
        raise ConfigurationError(faults)


def _stream_faults(
    path: Path, name: str, before: Configuration, now: Configuration, *, live: bool
) -> list[Fault]:
    """A camera may move to another address; a file that is another one is another stream."""
    old, new = before.streams[name], now.streams[name]
    fixed = _FIXED_OF_CAMERAS if live else _FIXED_OF_FILES
    changed = [key for key in fixed if getattr(old, key) != getattr(new, key)]
    if live and new.uri == FROM_KAFKA:
        changed.append("uri")
    problem = "cannot change while the run goes on"
    return [Fault(str(path), 0, f"streams.{name}.{key}", "", problem, _NEW_NAME) for key in changed]


@contextlib.contextmanager
def hangup_tells(told: threading.Event) -> Iterator[None]:
    """Meanwhile SIGHUP sets `told`, in place of ending the process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def on_signal(_: int, __: FrameType | None) -> None:
        told.set()

    before: Any = signal.signal(signal.SIGHUP, on_signal)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)
