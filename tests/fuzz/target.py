"""Fuzzing: what reads input of strangers is fed damaged input, and must refuse it in our words.

A target reads one format. Its reader may give a result or raise the errors that it documents;
anything else, and whatever takes too long or too much memory, is a crash.
"""

from __future__ import annotations

import signal
import time
import traceback
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from records import SightflowError
from tests.fuzz.mutation import Form, mutated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path
    from random import Random
    from types import FrameType

    Read = Callable[[bytes], object]

MOST_CRASHES = 20
"""After so many crashes a target is given up."""

_SHOWN_BYTES = 200


class TooLongError(BaseException):
    """One input took longer than it may; no handler of the code under test takes it for its own."""


@dataclass(frozen=True, slots=True)
class Target:
    """Something that reads input of strangers.

    Attributes:
        name: Its name, for people and results.
        samples: Valid inputs.
        open: From a scratch folder to the reader of one input; what it holds is closed at the end.
        form: What the format is made of.
        words: Words of the format.
        errors: The errors that the reader documents.
        strict: Whether all samples are accepted.
    """

    name: str
    samples: Sequence[bytes]
    open: Callable[[Path], AbstractContextManager[Read]]
    form: Form = Form.BYTES
    words: Sequence[bytes] = ()
    errors: tuple[type[Exception], ...] = (SightflowError,)
    strict: bool = True

    @classmethod
    def of(
        cls,
        name: str,
        samples: Sequence[bytes],
        read: Callable[[bytes, Path], object],
        form: Form = Form.BYTES,
        words: Sequence[bytes] = (),
        errors: tuple[type[Exception], ...] = (SightflowError,),
    ) -> Self:
        """A target whose reader needs nothing but a scratch folder."""

        def opened(folder: Path) -> AbstractContextManager[Read]:
            return nullcontext(lambda data: read(data, folder))

        return cls(name, samples, opened, form, words, errors)

    def input(self, random: Random) -> bytes:
        """One damaged input."""
        return mutated(random, self.samples, self.form, self.words)


@dataclass(slots=True)
class Outcome:
    """What became of the inputs of one target.

    Attributes:
        inputs: How many were read.
        accepted: How many gave a result.
        slowest_seconds: The longest that one took.
        crashes: The error, where it was raised, and the input, of each that was no refusal.
    """

    inputs: int = 0
    accepted: int = 0
    slowest_seconds: float = 0.0
    crashes: list[str] = field(default_factory=list)


def fuzz(target: Target, folder: Path, inputs: int, random: Random, seconds: float) -> Outcome:
    """Feed a target damaged inputs, after its samples, which it must accept.

    Args:
        target: The target.
        folder: An empty scratch folder.
        inputs: How many inputs.
        random: The source of chance.
        seconds: How long one input may take, seconds; runs in the main thread only.
    """
    outcome = Outcome()
    with target.open(folder) as read:
        for sample in target.samples if target.strict else ():
            read(sample)
        while outcome.inputs < inputs and len(outcome.crashes) < MOST_CRASHES:
            data = target.input(random)
            outcome.inputs += 1
            begun = time.perf_counter()
            try:
                with within(seconds):
                    read(data)
                outcome.accepted += 1
            except target.errors:
                continue
            except (Exception, TooLongError) as error:  # noqa: BLE001 - whatever it is, it is found
                outcome.crashes.append(_described(error, data))
            finally:
                took = time.perf_counter() - begun
                outcome.slowest_seconds = max(outcome.slowest_seconds, took)
    return outcome


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raise TooLongError where what is within takes longer."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise TooLongError(f"took more than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _described(error: BaseException, data: bytes) -> str:
    last = traceback.extract_tb(error.__traceback__)[-4:]
    path = " > ".join(f"{one.filename.rpartition('/')[2]}:{one.lineno}" for one in last)
    shown = repr(data[:_SHOWN_BYTES]) + ("…" if len(data) > _SHOWN_BYTES else "")
    return f"{type(error).__name__}: {str(error)[:200]} at {path} of {len(data)} bytes {shown}"
