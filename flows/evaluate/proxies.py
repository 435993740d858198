"""Proxies for traces: made from the trace itself with a stated correlation, or read from a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.signal import lfilter

from flows.evaluate.traces import read_trace
from records import ConfigurationError, Fault

if TYPE_CHECKING:
    from numpy.typing import NDArray

SYNTHETIC = "synthetic:"
"""What the description of a made proxy begins with."""


@dataclass(frozen=True, slots=True)
class Synthetic:
    """A proxy made of the values and noise that remembers.

    Attributes:
        rho2: Its squared correlation with the values, above 0 and at most 1.
        ar: How much of the noise of a frame is left in the next, 0..1 exclusive of 1.
        sign: 1, or -1 for a proxy that says the opposite.
    """

    rho2: float = 0.5
    ar: float = 0.0
    sign: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.rho2 <= 1:
            raise ValueError(f"rho2 must be above 0 and at most 1, got {self.rho2}")
        if not 0 <= self.ar < 1:
            raise ValueError(f"ar must be in 0..1, got {self.ar}")
        if self.sign not in (1.0, -1.0):
            raise ValueError(f"sign must be 1 or -1, got {self.sign:g}")

    def of(self, values: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
        """The proxy of some values, float64 (n,)."""
        shocks = rng.standard_normal(len(values))
        shocks[1:] *= np.sqrt(1 - self.ar**2)
        noise = np.asarray(lfilter([1.0], [1.0, -self.ar], shocks), np.float64)
        scale = values.std() * np.sqrt(1 / self.rho2 - 1)
        return np.asarray(self.sign * values + scale * noise / (noise.std() or 1), np.float64)


def make_proxy(
    text: str, values: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Make the proxy that a text describes.

    Args:
        text: ``synthetic:rho2=0.55,ar=0.999``, with ``sign=-1`` for the opposite; ``constant``;
            ``noise``; or a file of one number a line.
        values: float64 (n,), the trace.
        rng: The source of chance.

    Raises:
        ConfigurationError: the text describes no proxy, or the file has another length.
        SourceError: the file cannot be read.

    >>> values = np.repeat([0.0, 1.0, 3.0], 5000)
    >>> proxy = make_proxy("synthetic:rho2=0.5", values, np.random.default_rng(0))
    >>> round(float(np.corrcoef(proxy, values)[0, 1] ** 2), 1)
    0.5
    """
    if text == "constant":
        return np.ones(len(values))
    if text == "noise":
        return rng.standard_normal(len(values))
    if text.startswith(SYNTHETIC):
        return _synthetic(text).of(values, rng)
    proxy = read_trace(Path(text))
    if len(proxy) != len(values):
        problem = f"holds {len(proxy)} values, and the trace {len(values)}"
        raise ConfigurationError([_fault(text, problem, "Give one value for each frame.")])
    return proxy


def _synthetic(text: str) -> Synthetic:
    known = Synthetic.__dataclass_fields__
    remedy = f"Write {SYNTHETIC}rho2=0.55,ar=0.999."
    settings: dict[str, float] = {}
    try:
        for part in text.removeprefix(SYNTHETIC).split(","):
            name, _, value = part.partition("=")
            if name not in known:
                raise ConfigurationError(
                    [_fault(text, f"has {name!r}, which is none of {', '.join(known)}", remedy)]
                )
            settings[name] = float(value)
        return Synthetic(**settings)
    except ValueError as error:
        if isinstance(error, ConfigurationError):
            raise
        raise ConfigurationError([_fault(text, f"is no proxy: {error}", remedy)]) from None


def _fault(value: str, problem: str, remedy: str) -> Fault:
    return Fault("--proxy", 0, "", value, problem, remedy)
