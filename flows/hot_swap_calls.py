"""Models that change between two calls: detectors and classifiers, whose input comes in batches.

A candidate runs on one call in so many beside the version in force. It is judged by how far both
agree, by the time that it takes, and by whether its answers can be used at all. A version in force
that fails where the one before it does not is rolled back, and no batch is lost.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from records import RecordError, SightflowError

if TYPE_CHECKING:
    from collections.abc import Callable

    from flows.hot_swap import Loaded, ModelWatch

Model = TypeVar("Model")
Given = TypeVar("Given")
Answer = TypeVar("Answer")

MODEL_FAULTS = (
    SightflowError,
    ArithmeticError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What a model that is not what it should be may raise in a call."""


@dataclass(frozen=True, slots=True)
class CallSettings:
    """How candidates are judged.

    Attributes:
        every: They run on one call in so many.
        least_compared: Images or windows that a judgement rests on.
        least_agreement: The least mean agreement with the version in force, 0..1.
        at_most_slower: They may take so many times as long.

    Raises:
        RecordError: a setting is out of its range.
    """

    every: int = 20
    least_compared: int = 200
    least_agreement: float = 0.8
    at_most_slower: float = 1.5

    def __post_init__(self) -> None:
        for name in ("every", "least_compared"):
            if getattr(self, name) < 1:
                raise RecordError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.least_agreement <= 1:
            raise RecordError(f"least_agreement must be in 0..1, got {self.least_agreement}")
        if not self.at_most_slower > 0:
            raise RecordError(f"at_most_slower must be above 0, got {self.at_most_slower}")


@dataclass(slots=True)
class _Compared:
    """What is known of one candidate."""

    version: str
    calls: int = 0
    compared: int = 0
    agreed: float = 0.0
    seconds: float = 0.0
    seconds_before: float = 0.0
    judged: bool = False

    def told(self, settings: CallSettings) -> tuple[bool, str]:
        """Whether it passes, and the figures."""
        agreement, slower = self.agreed / self.compared, self.seconds / self.seconds_before
        passed = agreement >= settings.least_agreement and slower <= settings.at_most_slower
        return passed, (
            f"{self.compared} compared, agreement {agreement:.3f}, which must be at least "
            f"{settings.least_agreement:g}; {slower:.2f} times the time, at most "
            f"{settings.at_most_slower:g}"
        )


class SwappableCalls(Generic[Model, Given, Answer]):
    """Calls of a model that changes.

    Args:
        watch: Follows the model; its version in force must be there.
        run: Calls a model, and raises where its answer cannot be used.
        agreements: How far two answers to one call agree, 0..1 for each image or window.
        settings: How candidates are judged; None never.
        judged: Told the version, whether it passed, and why.
        failed: Told the version in force that failed where the one before it did not, and how.
        timer: Seconds of some clock that never goes back.
    """

    def __init__(
        self,
        watch: ModelWatch[Model],
        run: Callable[[Model, Given], Answer],
        agreements: Callable[[Answer, Answer], list[float]],
        settings: CallSettings | None,
        judged: Callable[[str, bool, str], None],
        failed: Callable[[str, str], None],
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        current = watch.held.current
        assert current is not None, "checked with the configuration"
        self._watch, self._run, self._agreements = watch, run, agreements
        self._settings, self._judged, self._failed = settings, judged, failed
        self._timer = timer
        self._lock = threading.Lock()
        self._current = current
        self._before: Loaded[Model] | None = None
        self._compared = _Compared("")

    @property
    def current(self) -> Loaded[Model]:
        """The version that answered the last call."""
        return self._current

    def call(self, given: Given) -> Answer:
        """Ask the version in force; no version changes within a call."""
        with self._lock:
            held = self._watch.poll()
            if held.current is not None and held.current is not self._current:
                self._current, self._before = held.current, self._current
            start = self._timer()
            answer = self._answer(given)
            seconds = self._timer() - start
            if held.candidate is not None and self._settings is not None:
                self._try(held.candidate, self._settings, given, answer, seconds)
            return answer

    def _answer(self, given: Given) -> Answer:
        current, before = self._current, self._before
        try:
            return self._run(current.model, given)
        except MODEL_FAULTS as error:
            if before is None:
                raise
            answer = self._run(before.model, given)  # raises too where the input is at fault
            self._watch.refuse(current, before)
            self._current, self._before = before, None
            self._failed(current.id, f"it failed in a call: {type(error).__name__}: {error}")
            return answer

    def _try(
        self,
        candidate: Loaded[Model],
        settings: CallSettings,
        given: Given,
        answer: Answer,
        seconds: float,
    ) -> None:
        if self._compared.version != candidate.id:
            self._compared = _Compared(candidate.id)
        compared = self._compared
        compared.calls += 1
        if compared.judged or compared.calls % settings.every:
            return
        start = self._timer()
        try:
            agreements = self._agreements(self._run(candidate.model, given), answer)
        except MODEL_FAULTS as error:
            compared.judged = True
            self._judged(candidate.id, False, f"it failed: {type(error).__name__}: {error}")  # noqa: FBT003 - not passed
            return
        compared.seconds += self._timer() - start
        compared.seconds_before += seconds
        compared.compared += len(agreements)
        compared.agreed += sum(agreements)
        if compared.compared >= settings.least_compared:
            compared.judged = True
            self._judged(candidate.id, *compared.told(settings))
