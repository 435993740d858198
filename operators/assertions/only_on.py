"""An assertion that looks at some streams only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from records.checks import check_name

if TYPE_CHECKING:
    from operators.assertions.api import Assertion, Check, Moment
    from records import Finding


@dataclass(frozen=True, slots=True)
class OnlyOn:
    """Another assertion, kept to the streams that it is about.

    Attributes:
        assertion: The assertion.
        streams: The streams that it looks at.

    Raises:
        RecordError: a name is none of a stream.
    """

    assertion: Assertion
    streams: frozenset[str]

    def __post_init__(self) -> None:
        for stream in self.streams:
            check_name("stream", stream)

    @property
    def name(self) -> str:
        """The assertion's name."""
        return self.assertion.name

    @property
    def window_seconds(self) -> float:
        """How far back it looks, seconds."""
        return self.assertion.window_seconds

    def start(self, state: object = None) -> Check:
        """Begin on a stream, or go on."""
        return _OnlyOnCheck(self.assertion.start(state), self.streams)


class _OnlyOnCheck:
    def __init__(self, check: Check, streams: frozenset[str]) -> None:
        self._check, self._streams = check, streams

    def observe(self, moment: Moment) -> list[Finding]:
        return self._check.observe(moment) if moment.stream in self._streams else []

    def snapshot(self) -> object:
        return self._check.snapshot()
