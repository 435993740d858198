"""The engine: a dataflow is run to its end, and interrupts end it in order."""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING, Any

from bytewax.errors import BytewaxRuntimeError
from bytewax.run import cli_main

from flows.member import ALONE
from flows.recovery import store_errors
from flows.snapshots import drop_unfinished
from records import SightflowError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta
    from types import FrameType

    from bytewax.dataflow import Dataflow

    from flows.member import Member
    from flows.recovery import RecoverySettings


@contextlib.contextmanager
def interrupts_end(stop: threading.Event) -> Iterator[None]:
    """Meanwhile the first SIGINT or SIGTERM sets `stop`; the second does what it did before."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[int, Any] = {}
    numbers: tuple[int, ...] = (signal.SIGINT, signal.SIGTERM)

    def on_signal(number: int, _: FrameType | None) -> None:
        stop.set()
        signal.signal(number, before[number])

    for number in numbers:
        before[number] = signal.signal(number, on_signal)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def execute(
    flow: Dataflow,
    recovery: RecoverySettings | None = None,
    member: Member = ALONE,
    epoch: timedelta | None = None,
) -> None:
    """Run a dataflow to its end; what a step raised is raised as it was.

    Args:
        flow: The dataflow.
        recovery: Where its snapshots are; None for nowhere.
        member: Which process of the run this is.
        epoch: How long an epoch lasts without recovery; None is the engine's usual one.
    """
    guard = contextlib.nullcontext() if recovery is None else store_errors(recovery)
    if recovery is not None and member.is_first:
        # The other processes wait in the engine for this one, before they read the store.
        drop_unfinished(recovery.store)
    with guard, _causes():
        cli_main(
            flow,
            process_id=member.process if member.addresses else None,
            addresses=list(member.addresses) or None,
            epoch_interval=epoch if recovery is None else recovery.epoch,
            recovery_config=None if recovery is None else recovery.engine(),
        )


@contextlib.contextmanager
def _causes() -> Iterator[None]:
    """Raise what a step raised as it was: the engine wraps it."""
    try:
        yield
    except BytewaxRuntimeError as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, SightflowError):
                raise cause from error
            cause = cause.__cause__
        raise
