"""The built-in assertions that truth boxes can judge, by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flows.evaluate.assertions_recording import LIDAR
from operators.assertions.agree import Agree
from operators.assertions.agreement import AgreeSettings
from operators.assertions.appear import Appear
from operators.assertions.count_jump import CountJump
from operators.assertions.flicker import Flicker
from operators.assertions.multibox import Multibox
from operators.assertions.velocity import Velocity
from records import RecordError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from operators.assertions.api import Assertion

SPEEDS = {"car": 10.0}
"""The fastest that objects of a class are, box heights a second, where it is not people's speed: a
car 1.5 m high at 50 km/h."""


@dataclass(frozen=True, slots=True)
class View:
    """What the assertions look at.

    Attributes:
        class_name: The class.
        width: Width of the image that the LIDAR's boxes are projected to, pixels.
        height: Height of that image, pixels.
    """

    class_name: str
    width: int = 1242
    height: int = 375


def _agree(view: View) -> Assertion:
    return Agree(AgreeSettings(LIDAR, view.class_name, view.width, view.height))


def _velocity(view: View) -> Assertion:
    speed = SPEEDS.get(view.class_name)
    return Velocity() if speed is None else Velocity(heights_per_second=speed)


ASSERTIONS: dict[str, Callable[[View], Assertion]] = {
    "agree": _agree,
    "flicker": lambda _view: Flicker(),
    "appear": lambda _view: Appear(),
    "multibox": lambda _view: Multibox(),
    "velocity": _velocity,
    "count_jump": lambda _view: CountJump(),
}
"""How each assertion is made."""

NEED_LIDAR = frozenset({"agree"})
"""Assertions that compare with a LIDAR."""


def make_assertions(names: Sequence[str], view: View) -> tuple[Assertion, ...]:
    """Make assertions by name.

    Raises:
        RecordError: there is no such assertion.

    >>> [one.name for one in make_assertions(["flicker", "agree"], View("car"))]
    ['flicker', 'agree']
    """
    unknown = sorted(set(names) - set(ASSERTIONS))
    if unknown:
        raise RecordError(
            f"assertions must be of {', '.join(ASSERTIONS)}, got {', '.join(unknown)}"
        )
    return tuple(ASSERTIONS[name](view) for name in dict.fromkeys(names))
