"""Pressure: how a flow that is behind tells the trainer to wait.

The flow touches a small file while a live source is behind by more than a set lag; the trainer
looks at the file's age. A flow that ends or is killed leaves a file that soon is too old to count.
Both must run on one machine, or share its clock.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from records import RecordError, SightflowError

if TYPE_CHECKING:
    from pathlib import Path

FILE_NAME = ".busy"
"""The file's name, in the registry's folder."""


@dataclass(frozen=True, slots=True)
class PressureSettings:
    """When a flow is behind, and for how long that counts.

    Attributes:
        lag_seconds: A live source that is further behind than this makes the trainer wait, seconds.
        touch_seconds: The file is touched at most this often, seconds.
        stale_seconds: A file that is older says nothing, seconds; longer than `touch_seconds`.
        poll_seconds: The trainer looks at most this often, seconds.

    Raises:
        RecordError: a setting is out of its range.
    """

    lag_seconds: float = 0.5
    touch_seconds: float = 0.25
    stale_seconds: float = 2.0
    poll_seconds: float = 0.02

    def __post_init__(self) -> None:
        for name in ("lag_seconds", "touch_seconds", "stale_seconds", "poll_seconds"):
            if not getattr(self, name) > 0:
                raise RecordError(f"{name} must be above 0, got {getattr(self, name)}")
        if self.stale_seconds <= self.touch_seconds:
            raise RecordError(
                f"stale_seconds must be above touch_seconds, {self.touch_seconds}, "
                f"got {self.stale_seconds}"
            )


class Pressure:
    """Both sides of the signal; each process makes its own.

    Args:
        folder: The registry's folder; made by the first report.
        settings: When a flow is behind.
    """

    def __init__(self, folder: Path, settings: PressureSettings | None = None) -> None:
        self._path = folder / FILE_NAME
        self._settings = settings or PressureSettings()
        self._touched = self._looked = -float("inf")
        self._busy = False

    def report(self, lag_seconds: float) -> None:
        """Tell how far behind a live source is, as often as one likes.

        Args:
            lag_seconds: From a frame's arrival to now, seconds.

        Raises:
            SightflowError: the file cannot be touched.
        """
        now = time.monotonic()
        settings = self._settings
        if lag_seconds <= settings.lag_seconds or now - self._touched < settings.touch_seconds:
            return
        self._touched = now
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.touch()
        except OSError as error:
            raise SightflowError(
                f"{self._path} cannot be touched: {error.strerror}. The trainer would not see "
                "that the flow is behind; check the permissions there"
            ) from error

    @property
    def busy(self) -> bool:
        """Whether a flow is behind, by a look that is at most `poll_seconds` old."""
        now = time.monotonic()
        if now - self._looked >= self._settings.poll_seconds:
            self._looked, self._busy = now, self._fresh()
        return self._busy

    def _fresh(self) -> bool:
        try:
            age = time.time() - self._path.stat().st_mtime
        except FileNotFoundError:
            return False
        # A clock that was set back must not stop the trainer for long either.
        return abs(age) <= self._settings.stale_seconds
