"""What goes wrong with an input, in words for metrics and for people."""

from __future__ import annotations

import errno
from dataclasses import dataclass

import av

from records.errors import SourceError

UNTIMELY = (av.error.ExitError, av.error.TimeoutError)
"""What FFmpeg raises when a time limit of PyAV interrupts it."""

ASKED_IN_VAIN = ("on_demand", "frames whose pixels were asked for and could not be had")
"""Reason and detail of frames that failed to be decoded on demand."""

_REASONS: dict[str, tuple[type[Exception], ...]] = {
    "refused": (av.error.ConnectionRefusedError,),
    "not_found": (av.error.FileNotFoundError, av.error.HTTPNotFoundError),
    "unauthorised": (
        av.error.HTTPUnauthorizedError,
        av.error.HTTPForbiddenError,
        av.error.PermissionError,
    ),
    "invalid_data": (av.error.InvalidDataError,),
    "broken": (av.error.ConnectionResetError, av.error.BrokenPipeError),
}


class OpenError(SourceError):
    """A source that cannot be opened or read on.

    Args:
        reason: A short fixed word for metrics.
        detail: One line for people, without the source's name.
    """

    def __init__(self, reason: str, detail: str) -> None:
        self.reason, self.detail = reason, detail
        super().__init__(detail)


@dataclass(frozen=True, slots=True)
class Damage:
    """Packets or frames that were lost.

    Attributes:
        reason: A short fixed word for metrics.
        count: How many.
        detail: One line for people; empty when the reason says all.
    """

    reason: str
    count: int = 1
    detail: str = ""


def reason_of(error: av.FFmpegError) -> str:
    """The short fixed word for why FFmpeg failed; ``failed`` where there is none.

    The end of an HTTP stream of unknown length is an I/O error to FFmpeg.

    >>> reason_of(av.error.ConnectionRefusedError(111, "Connection refused"))
    'refused'
    """
    if error.errno == errno.EIO:
        return "broken"
    return next((word for word, kinds in _REASONS.items() if isinstance(error, kinds)), "failed")
