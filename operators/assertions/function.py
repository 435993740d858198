"""Assertions that are one function of the last moments (Kang et al., MLSys 2020, section 3)."""

from __future__ import annotations

import inspect
import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from records import Finding, RecordError
from records.checks import check_name
from records.finding import DETECTIONS
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from operators.assertions.api import Check, Moment

SeverityFunction = Callable[[list[Any], list[Any]], float]
"""Takes inputs and outputs of the window, oldest first; gives the severity, 0 to abstain."""

TIME = "time_ns"
"""The name under which every moment has its event time."""

MOST_MOMENTS = 300
"""The most moments that a window holds unless told otherwise: 10 s at 30 Hz. Frames that are among
the inputs stay in memory as long."""

_PARAMETERS = 2


class _Seen(NamedTuple):
    """What a window keeps of a moment."""

    sequence: int
    time_ns: int
    inputs: object
    outputs: object


@dataclass(frozen=True, slots=True)
class FunctionAssertion:
    """A function of the last moments as an assertion; made by `assertion`.

    Attributes:
        name: Its name.
        window_seconds: How far back the window reaches, seconds of event time; 0 holds one moment.
        function: The function.
        inputs: The names of the inputs that it takes.
        outputs: The names of the outputs that it takes.
        most: The most moments in the window; the oldest leave first.

    Raises:
        RecordError: a setting is out of its range, or the function cannot be called as one.
    """

    name: str
    window_seconds: float
    function: SeverityFunction
    inputs: tuple[str, ...] = (TIME,)
    outputs: tuple[str, ...] = (DETECTIONS,)
    most: int = MOST_MOMENTS

    def __post_init__(self) -> None:
        check_name("name", self.name)
        if not 0 <= self.window_seconds < math.inf:
            raise RecordError(f"window must be at least 0 seconds, got {self.window_seconds}")
        for field in ("inputs", "outputs"):
            names = getattr(self, field)
            if not isinstance(names, tuple) or not names:
                raise RecordError(f"{field} must be a tuple of at least one name, got {names!r}")
            for name in names:
                check_name(field, name)
        if self.most < 1:
            raise RecordError(f"most must be at least 1, got {self.most}")
        _check_signature(self.function)

    def __call__(self, inputs: list[Any], outputs: list[Any]) -> float:
        """Call the function itself."""
        return self.function(inputs, outputs)

    def start(self, state: object = None) -> Check:
        """Begin on a stream, or go on from a snapshot."""
        return FunctionCheck(self, cast("tuple[_Seen, ...]", state or ()))


class FunctionCheck:
    """The window of one stream.

    Args:
        rule: The assertion.
        window: The moments to go on from, oldest first.
    """

    def __init__(self, rule: FunctionAssertion, window: Sequence[_Seen] = ()) -> None:
        self._rule = rule
        self._window_ns = round(rule.window_seconds * NANOSECONDS)
        self._window = deque(window, maxlen=rule.most)

    def observe(self, moment: Moment) -> list[Finding]:
        """Call the function on the window; a moment without a named value is passed over.

        Raises:
            RecordError: the function gave no severity.
        """
        rule, window = self._rule, self._window
        inputs = _values(moment, moment.inputs, rule.inputs)
        outputs = _values(moment, moment.outputs, rule.outputs)
        if inputs is None or outputs is None:
            return []
        if window and moment.time_ns < window[-1].time_ns:
            window.clear()  # the stream's clock was set back: what was before is no neighbour
        window.append(_Seen(moment.sequence, moment.time_ns, inputs, outputs))
        while window[0].time_ns < moment.time_ns - self._window_ns:
            window.popleft()
        severity = _severity(
            rule.function([seen.inputs for seen in window], [seen.outputs for seen in window])
        )
        if severity == 0:
            return []
        first = window[0]
        return [
            Finding(
                moment.stream,
                rule.name,
                moment.sequence,
                moment.time_ns,
                first.sequence,
                first.time_ns,
                severity,
                f"severity {severity:.4g} over {len(window)} moments",
            )
        ]

    def snapshot(self) -> tuple[_Seen, ...]:
        """The moments in the window."""
        return tuple(self._window)


def assertion(
    window: float = 0.0,
    name: str | None = None,
    inputs: Sequence[str] = (TIME,),
    outputs: Sequence[str] = (DETECTIONS,),
    most: int = MOST_MOMENTS,
) -> Callable[[SeverityFunction], FunctionAssertion]:
    """Make an assertion of a function ``(inputs, outputs) -> severity``.

    The function is called at each moment with two lists, one entry a moment of the window, oldest
    first. With one name the entries are its values, with several they are tuples in that order.

    Args:
        window: How far back the lists reach, seconds of event time; 0 gives one moment.
        name: The assertion's name; the function's own without one.
        inputs: The inputs that it takes; ``time_ns`` is the moment's event time.
        outputs: The outputs that it takes; ``time_ns`` is there too.
        most: The most moments in a window.

    Raises:
        RecordError: the function takes other arguments, or a setting is out of its range.

    >>> @assertion(window=1.0)
    ... def vanished(times, found):
    ...     return float(len(found) > 1 and len(found[-1]) == 0 < len(found[-2]))
    >>> vanished.name, vanished([0, 1], [["a"], []])
    ('vanished', 1.0)
    """

    def decorate(function: SeverityFunction) -> FunctionAssertion:
        own = name if name is not None else getattr(function, "__name__", "")
        return FunctionAssertion(own, window, function, tuple(inputs), tuple(outputs), most)

    return decorate


def _check_signature(function: object) -> None:
    must = "an assertion must be a plain function (inputs, outputs) -> severity"
    if not callable(function):
        raise RecordError(f"{must}, got {type(function).__name__}")
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise RecordError(f"{must}, got an async function or a generator")
    try:
        signature = inspect.signature(function)
    except ValueError as error:
        raise RecordError(f"{must}, got one without a readable signature") from error
    try:
        signature.bind(*[None] * _PARAMETERS)
    except TypeError as error:
        raise RecordError(
            f"{must}, got {getattr(function, '__name__', 'one')}{signature}"
        ) from error


def _values(moment: Moment, values: Mapping[str, object], names: tuple[str, ...]) -> object | None:
    """The named values of a moment; None where one is missing."""
    found = tuple(moment.time_ns if name == TIME else values.get(name) for name in names)
    if any(value is None for value in found):
        return None
    return found[0] if len(found) == 1 else found


def _severity(value: object) -> float:
    good = isinstance(value, int | float | np.number | np.bool_)
    severity = float(cast("float", value)) if good else math.nan
    if not 0 <= severity < math.inf:
        raise RecordError(
            f"an assertion must return a finite severity of at least 0, got {value!r}"
        )
    return severity
