"""Functions of an object's pixels: those that are built in, and the user's own."""

from __future__ import annotations

import importlib.util
import inspect
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from records import QueryError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

ContentFunction = Callable[["NDArray[np.uint8]"], float]
"""Gives a number for the pixels of an object's box, uint8 (height, width, 3), RGB."""

Contents = Mapping[str, ContentFunction]
"""Such functions, by name."""

PARAMETER = "content"
"""The one parameter by which a function of the user's file is known."""


def redness(content: NDArray[np.uint8]) -> float:
    """How much red exceeds the mean of the other colours, grey levels."""
    red, green, blue = _means(content)
    return red - (green + blue) / 2


def greenness(content: NDArray[np.uint8]) -> float:
    """How much green exceeds the mean of the other colours, grey levels."""
    red, green, blue = _means(content)
    return green - (red + blue) / 2


def blueness(content: NDArray[np.uint8]) -> float:
    """How much blue exceeds the mean of the other colours, grey levels."""
    red, green, blue = _means(content)
    return blue - (red + green) / 2


def luminance(content: NDArray[np.uint8]) -> float:
    """The brightness, grey levels (weights of ITU-R BT.601)."""
    return float(np.array(_means(content)) @ LUMA_WEIGHTS)


LUMA_WEIGHTS = (0.299, 0.587, 0.114)
"""What red, green and blue count in the brightness (ITU-R BT.601)."""

BUILT_IN: Contents = {
    "redness": redness,
    "greenness": greenness,
    "blueness": blueness,
    "luminance": luminance,
}
"""The functions that every query knows."""


def load_functions(path: Path) -> Contents:
    """The built-in functions, and those of a Python file with the one parameter ``content``.

    The file is run as a program is: load only files that you trust.

    Raises:
        QueryError: there is no such file, it fails, or it has no such function.
    """
    if path.suffix != ".py" or not path.is_file():
        raise QueryError(f"{path} must be a Python file with functions of {PARAMETER}")
    spec = importlib.util.spec_from_file_location(f"sightflow_functions_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        # A user's file may raise anything.
        raise QueryError(f"{path} cannot be run: {type(error).__name__}: {error}") from error
    own = {
        name.lower(): _checked(name, value)
        for name, value in vars(module).items()
        if not name.startswith("_") and _is_content_function(value)
    }
    if not own:
        example = f"def roundness({PARAMETER}): ..."
        raise QueryError(f"{path} must have a function with the parameter {PARAMETER}: {example}")
    return {**BUILT_IN, **own}


def _is_content_function(value: object) -> bool:
    return inspect.isfunction(value) and list(inspect.signature(value).parameters) == [PARAMETER]


def _checked(name: str, function: Any) -> ContentFunction:  # noqa: ANN401 - a user's function
    """The function, whose failures are told as errors of the query."""

    def checked(content: NDArray[np.uint8]) -> float:
        try:
            value = float(function(content))
        except Exception as error:
            # A user's function may raise anything.
            raise QueryError(f"{name}(content) failed: {type(error).__name__}: {error}") from error
        if math.isnan(value):
            raise QueryError(f"{name}(content) must give a number, got NaN")
        return value

    return checked


def _means(content: NDArray[np.uint8]) -> tuple[float, float, float]:
    red, green, blue = content.reshape(-1, 3).mean(axis=0).tolist()
    return red, green, blue
