"""Input health: how soon planted faults are found.

Faults of cameras are planted in real clips every ten seconds, those of clocks in made times of
arrival, those of electrodes in real ECG records. CinC 2017 has one lead, so the two channels that
change places are leads of two people; leads of one person may be more alike, or less.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.ndimage import gaussian_filter

from connectors.video import VideoSettings, read_video
from connectors.wfdb import WfdbRecord
from operators.assertions.api import FRAME, Assertion, Moment
from operators.assertions.health.blocked import Blocked
from operators.assertions.health.clock_skew import ARRIVAL, ClockSkew
from operators.assertions.health.dark import Dark
from operators.assertions.health.flat_signal import FlatSignal
from operators.assertions.health.frozen import Frozen
from operators.assertions.health.gap import Gap
from operators.assertions.health.moved import Moved
from operators.assertions.health.planes import PLANE_HEIGHT, PLANE_WIDTH
from operators.assertions.health.swapped_lead import SwappedLead
from records import Frame, Reading
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import TypeAlias

    from numpy.typing import NDArray

    Planes: TypeAlias = list[NDArray[np.uint8]]
    Summary: TypeAlias = dict[str, dict[str, Any]]

CLIPS = ("vtest.avi", "one-by-one-person-detection.mp4")
"""The clips; both have 10 frames a second."""

RATE = 10
"""Frames a second."""

SETTLED_SECONDS, STEP_SECONDS, FAULT_SECONDS = 20, 10, 15
"""When the first fault begins, how far apart the others are, and how long each lasts."""

DEADLINE_SECONDS = 10.0
"""A fault must be found within this."""

ECG_SECONDS, TURNED_SECONDS = 30.0, 15.0
"""The least length of an ECG record, and when its electrodes change."""

BLOCK_SECONDS = 0.5
"""Length of a block of samples."""

PAIRS = 600
"""How many pairs of records are drawn."""

CLOCK_START_SECONDS = 100.0
"""When clocks begin, so that none is set back before 1970."""

KEY_FRAME_SHARE = 0.06
"""The pixels that a key frame of a standing picture changes by one level, share of all."""


@dataclass(frozen=True, eq=False)
class Plane:
    """Pixels that were made small already."""

    plane: NDArray[np.uint8]
    width: int = PLANE_WIDTH
    height: int = PLANE_HEIGHT

    def luma(self, width: int, height: int) -> NDArray[np.uint8]:
        """The plane itself."""
        assert (height, width) == self.plane.shape
        return self.plane

    def rgb(self, width: int | None = None, height: int | None = None) -> NDArray[np.uint8]:
        """Health checks never ask for colour."""
        raise AssertionError(f"colour {width}x{height} was asked for")


def planes_of(path: Path) -> Planes:
    """The planes of all frames of a clip."""
    return [
        item.pixels.luma(PLANE_WIDTH, PLANE_HEIGHT)
        for item in read_video("gate", VideoSettings(uri=str(path)))
        if isinstance(item, Frame)
    ]


def moments(shown: Iterable[NDArray[np.uint8]], start: int = 0) -> Iterator[Moment]:
    """Moments that show these planes, from frame `start` on."""
    for sequence, plane in enumerate(shown, start):
        time_ns = sequence * NANOSECONDS // RATE
        yield Moment(
            "gate", sequence, time_ns, {FRAME: Frame("gate", sequence, time_ns, Plane(plane))}
        )


def coded_anew(planes: Planes) -> Planes:
    """A picture that stands, of which each second's key frame rounds some pixels otherwise."""
    rng, still = np.random.default_rng(0), planes[0]
    up, shown = np.zeros(still.shape, bool), []
    for k in range(len(planes)):
        if k % RATE == 0:
            up ^= rng.random(still.shape) < KEY_FRAME_SHARE
        shown.append(np.where(up & (still < 255), still + 1, still).astype(np.uint8))
    return shown


def covered(planes: Planes) -> Planes:
    """A lens with something grey before it."""
    rng = np.random.default_rng(0)
    return [rng.normal(90, 0.5, one.shape).round().astype(np.uint8) for one in planes]


PICTURE_FAULTS: dict[str, tuple[Assertion, Callable[[Planes], Planes]]] = {
    "frozen feed": (Frozen(), lambda planes: [planes[0]] * len(planes)),
    "frozen feed, coded anew": (Frozen(), coded_anew),
    "blocked: covered": (Blocked(), covered),
    "blocked: smeared": (Blocked(), lambda planes: [gaussian_filter(one, 8) for one in planes]),
    "dark": (Dark(), lambda planes: [(one * 0.05 + 12).astype(np.uint8) for one in planes]),
    "camera moved": (Moved(), lambda planes: [np.roll(one, 6, axis=1) for one in planes]),
}
"""What befalls pictures, with the check that must find it."""

CLOCK_FAULTS = {
    "clock: 2 s ahead": (2.0, 0.0),
    "clock: 2 s behind": (-2.0, 0.0),
    "clock: 10 % fast": (0.0, 0.1),
    "clock: 10 % slow": (0.0, -0.1),
}
"""What befalls clocks: a jump, seconds, and seconds gained in each second."""


def arriving(
    seconds: float, seed: int, since: float = 0.0, jump: float = 0.0, gain: float = 0.0
) -> Iterator[Moment]:
    """Moments whose clock goes wrong at `since`; the way takes 0.2 s and more."""
    rng = np.random.default_rng(seed)
    for sequence in range(round(seconds * RATE)):
        true = CLOCK_START_SECONDS + sequence / RATE
        arrival_ns = int((true + 0.2 + rng.exponential(0.05)) * NANOSECONDS)
        over = sequence / RATE - since
        event = true + (jump + gain * over if over >= 0 else 0)
        yield Moment("gate", sequence, int(event * NANOSECONDS), {ARRIVAL: arrival_ns})


def readings(samples: NDArray[np.float32], rate_hz: float) -> Iterator[Moment]:
    """Moments that bring samples, float32 (n, channels), in blocks."""
    channels = tuple(f"lead {k}" for k in range(samples.shape[1]))
    block = round(BLOCK_SECONDS * rate_hz)
    for sequence, start in enumerate(range(0, len(samples), block)):
        time_ns = round(start * NANOSECONDS / rate_hz)
        part = samples[start : start + block]
        units = ("mV",) * len(channels)
        reading = Reading("ecg", sequence, time_ns, rate_hz, part, channels, units)
        yield Moment("ecg", sequence, time_ns, {"ecg": reading})


def delay(assertion: Assertion, stretch: Iterable[Moment], since: float) -> float | None:
    """Seconds from a fault's begin to its first finding; None for never."""
    check = assertion.start()
    for number, moment in enumerate(stretch):
        # A block of samples is there at its end, a frame at once; clocks may be wrong.
        ecg = "ecg" in moment.inputs
        seconds = (number + 1) * BLOCK_SECONDS if ecg else number / RATE
        if check.observe(moment) and seconds > since:
            return seconds - since
    return None


def planted_pictures(clips: Sequence[Planes]) -> dict[str, list[float | None]]:
    """The delay of each fault of pictures, for each time at which it was planted."""
    delays: dict[str, list[float | None]] = defaultdict(list)
    for planes in clips:
        last = len(planes) - FAULT_SECONDS * RATE
        for start in range(SETTLED_SECONDS * RATE, last, STEP_SECONDS * RATE):
            after = planes[start : start + FAULT_SECONDS * RATE]
            for name, (assertion, fault) in PICTURE_FAULTS.items():
                shown = [*planes[:start], *fault(after)]
                delays[name].append(delay(assertion, moments(shown), start / RATE))
            lost = [*moments(planes[:start]), *moments(after, start + 5 * RATE)]
            delays["gap of 5 s"].append(delay(Gap(), lost, (start - 1) / RATE))
    return delays


def planted_clocks() -> dict[str, list[float | None]]:
    """The delay of each fault of clocks."""
    delays: dict[str, list[float | None]] = defaultdict(list)
    for number, since in enumerate(range(SETTLED_SECONDS, 12 * SETTLED_SECONDS, SETTLED_SECONDS)):
        for name, (jump, gain) in CLOCK_FAULTS.items():
            stretch = arriving(since + FAULT_SECONDS, number, since, jump, gain)
            delays[name].append(delay(ClockSkew(), stretch, since))
    return delays


def read_ecgs(folder: Path) -> tuple[list[NDArray[np.float32]], float]:
    """The records that no one called too noisy, float32 (n, 1) each, and their rate in Hz."""
    rows = csv.reader((folder / "REFERENCE.csv").read_text("utf-8").splitlines())
    records = [WfdbRecord(folder / name) for name, label in rows if label != "~"]
    rate_hz = records[0].header.rate_hz
    long = [one for one in records if one.samples >= ECG_SECONDS * rate_hz]
    return [one.read(0, one.samples)[:, :1].copy() for one in long], rate_hz


def planted_leads(ecgs: list[NDArray[np.float32]], rate_hz: float) -> dict[str, list[float | None]]:
    """The delay of faults of electrodes."""
    delays: dict[str, list[float | None]] = defaultdict(list)
    half, length = round(TURNED_SECONDS * rate_hz), round(ECG_SECONDS * rate_hz)
    swapped, flat = SwappedLead("ecg"), FlatSignal("ecg")
    for one in ecgs:
        turned, off = one[:length].copy(), one[:length].copy()
        turned[half:] *= -1
        off[half:] = off[half]
        for name, assertion, samples in (
            ("inverted lead", swapped, turned),
            ("lead off", flat, off),
        ):
            delays[name].append(delay(assertion, readings(samples, rate_hz), TURNED_SECONDS))
    for pair in pairs_of(ecgs, rate_hz):
        pair[half:] = pair[half:, ::-1]
        delays["swapped leads"].append(delay(swapped, readings(pair, rate_hz), TURNED_SECONDS))
    return delays


def pairs_of(ecgs: list[NDArray[np.float32]], rate_hz: float) -> Iterator[NDArray[np.float32]]:
    """Pairs of records as two leads, float32 (n, 2)."""
    length = round(ECG_SECONDS * rate_hz)
    for first, second in np.random.default_rng(0).choice(len(ecgs), (PAIRS, 2)):
        if first != second:
            yield np.concatenate([ecgs[first][:length], ecgs[second][:length]], axis=1)


def planted(clips: Sequence[Planes], ecgs: list[NDArray[np.float32]], rate_hz: float) -> Summary:
    """How many of each fault were planted, how many found in time, and when."""
    delays = planted_pictures(clips) | planted_clocks() | planted_leads(ecgs, rate_hz)
    return {name: _summary(found) for name, found in delays.items()}


def _summary(delays: list[float | None]) -> dict[str, Any]:
    found = np.array([one for one in delays if one is not None])
    return {
        "planted": len(delays),
        "found_in_time": round(float((found <= DEADLINE_SECONDS).sum() / len(delays)), 4),
        "seconds": [round(float(one), 1) for one in np.quantile(found, [0, 0.5, 1])],
    }
