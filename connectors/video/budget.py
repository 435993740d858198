"""A bound on the decoded frames of one stream that are alive at the same time."""

from __future__ import annotations

import queue
import weakref


class FrameBudget:
    """Credits, one for each frame that may be alive.

    A credit is taken before a frame is decoded, lent to the frame's pixels, and comes back when
    these are garbage collected, wherever that happens. Safe for use by several threads.

    Args:
        frames: How many frames may be alive.

    >>> class Pixels:
    ...     pass
    >>> budget, pixels = FrameBudget(1), Pixels()
    >>> budget.take(0.0)
    True
    >>> budget.lend(pixels)
    >>> budget.take(0.0), budget.taken
    (False, 1)
    >>> del pixels
    >>> budget.take(0.0)
    True
    """

    def __init__(self, frames: int) -> None:
        self._frames = frames
        # The garbage collector may return a credit at any moment, even inside take() on the same
        # thread: SimpleQueue.put is made for that, a lock or a semaphore would deadlock.
        self._credits: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(frames):
            self._credits.put(None)

    @property
    def taken(self) -> int:
        """How many credits are out: frames alive, and those about to be decoded."""
        return self._frames - self._credits.qsize()

    def take(self, seconds: float) -> bool:
        """Take a credit, waiting so long for one; False when none came."""
        try:
            self._credits.get(block=seconds > 0, timeout=seconds)
        except queue.Empty:
            return False
        return True

    def lend(self, pixels: object) -> None:
        """Tie a credit that was taken to these pixels; it comes back when they are collected."""
        weakref.finalize(pixels, self._credits.put, None).atexit = False
