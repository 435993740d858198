"""What assertions cost a frame, with ten objects in it.

Ten people walk to and fro, each missed now and then, so that every assertion has something to do.
Each one runs alone, then all of them as a flow runs them. Times are of the processor, not of the
clock on the wall, and the least of several runs counts: whatever else ran only adds to it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.assertions_health import Plane
from operators.assertions.agree import Agree
from operators.assertions.api import FRAME, Moment, MomentBatch
from operators.assertions.appear import Appear
from operators.assertions.count_jump import CountJump
from operators.assertions.flicker import Flicker
from operators.assertions.health.blocked import Blocked
from operators.assertions.health.clock_skew import ARRIVAL, ClockSkew
from operators.assertions.health.dark import Dark
from operators.assertions.health.frozen import Frozen
from operators.assertions.health.gap import Gap
from operators.assertions.health.moved import Moved
from operators.assertions.health.planes import PLANE_HEIGHT, PLANE_WIDTH
from operators.assertions.monitor import Monitor, MonitorSettings
from operators.assertions.multibox import Multibox
from operators.assertions.velocity import Velocity
from records import Detections, Frame
from records.finding import DETECTIONS
from records.range_boxes import RangeBoxes
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from operators.assertions.api import Assertion

OBJECTS = 10
"""Objects in a frame."""

FRAMES, RATE = 1500, 30
"""Frames of a run, and frames a second."""

BATCH = 30
"""Frames that come at once."""

REPEATS = 7
"""Runs of each; the least time counts."""

SIZE = (40.0, 100.0)
"""Width and height of an object, pixels."""

MISSED_SHARE = 0.02
"""How often an object is missed."""

OUTPUTS: tuple[Assertion, ...] = (Flicker(), Appear(), Multibox(), Velocity(), CountJump())
"""The assertions on what the detector says."""

CONFIGURED: tuple[Assertion, ...] = (Flicker(), Appear(), Multibox())
"""Those on outputs that a configuration has unless it says otherwise."""

HEALTH: tuple[Assertion, ...] = (Frozen(), Dark(), Blocked(), Moved(), ClockSkew(), Gap())
"""Those on frames and clocks. A frame's small plane is there already: the cascade makes it."""


def boxes_at(k: int, shift: float = 0.0) -> NDArray[np.float32]:
    """The objects' boxes in a frame, float32 (objects, 4)."""
    number = np.arange(OBJECTS)
    left = 60 * number + 30 * np.sin(k / 60 + number) + shift
    top = 20 + 25 * (number % 4)
    return np.stack([left, top, left + SIZE[0], top + SIZE[1]], axis=1).astype(np.float32)


def moments() -> list[Moment]:
    """The moments of a run, with everything that assertions may look at, made anew."""
    rng = np.random.default_rng(0)
    solids = np.tile(np.array([1.7, 0.6, 0.6, 0.0, 1.7, 20.0, 0.0], np.float32), (OBJECTS, 1))
    background = rng.integers(0, 256, (PLANE_HEIGHT, PLANE_WIDTH))
    found = []
    for k in range(FRAMES):
        time_ns = k * NANOSECONDS // RATE
        seen = rng.random((2, OBJECTS)) >= MISSED_SHARE
        plane = np.clip(background + rng.integers(-2, 3, background.shape), 0, 255)
        camera = _detections(boxes_at(k), np.arange(OBJECTS)).select(seen[0])
        lidar = _detections(boxes_at(k, 2.0), np.full(OBJECTS, -1)).select(seen[1])
        scan = RangeBoxes("lidar", k, time_ns, lidar, solids[seen[1]])
        frame = Frame("gate", k, time_ns, Plane(plane.astype(np.uint8)))
        found.append(
            Moment(
                "gate",
                k,
                time_ns,
                {FRAME: frame, ARRIVAL: time_ns + NANOSECONDS // 5},
                {DETECTIONS: camera, "lidar": scan},
            )
        )
    return found


def _detections(boxes: NDArray[np.float32], tracks: NDArray[np.int64]) -> Detections:
    return Detections.of(boxes, np.full(OBJECTS, 0.8), ["car"] * OBJECTS, tracks=tracks)


def alone(assertion: Assertion) -> float:
    """Seconds that one assertion takes for a run."""
    shown, check = moments(), assertion.start()
    begun = time.process_time()
    for moment in shown:
        check.observe(moment)
    return time.process_time() - begun


def together(assertions: Sequence[Assertion]) -> float:
    """Seconds that assertions take for a run in the monitor, as in a flow."""
    shown, checks = moments(), Monitor(assertions, MonitorSettings())
    batches = [
        MomentBatch("gate", tuple(shown[k : k + BATCH])) for k in range(0, len(shown), BATCH)
    ]
    begun = time.process_time()
    for batch in batches:
        checks.on_item(batch)
    return time.process_time() - begun


def measure_cost() -> dict[str, Any]:
    """Microseconds a frame of each assertion and of all."""
    seconds = {
        one.name: min(alone(one) for _ in range(REPEATS)) for one in (*OUTPUTS, *HEALTH, Agree())
    }
    groups = {
        "all on outputs": OUTPUTS,
        "as configured": (*CONFIGURED, *HEALTH),
        "all without LIDAR": (*OUTPUTS, *HEALTH),
    }
    for name, some in groups.items():
        seconds[name] = min(together(some) for _ in range(REPEATS))
    return {
        "objects": OBJECTS,
        "rate_hz": RATE,
        "microseconds_per_frame": {
            name: round(1e6 * one / FRAMES, 1) for name, one in seconds.items()
        },
    }
