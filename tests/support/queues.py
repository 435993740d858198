"""Retraining items with round numbers, and the pictures beside them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import cv2
import hypothesis.extra.numpy as arrays
import numpy as np
from hypothesis import strategies as st

from connectors.codec import encode
from records import Crop, Detections, Flag, Label, Origin, RetrainingItem
from records.retraining import PICTURE, SIGNAL
from tests.support.records import FRAME_NS, START_NS, counts, detections, names, reading, texts

if TYPE_CHECKING:
    from connectors.queue_items import Entry

chances = st.floats(0, 1)
optional_chances = st.none() | chances
labels = st.builds(
    Label, names, boxes=detections(), probability=optional_chances
) | st.builds(Label, names, class_name=names, probability=optional_chances)  # fmt: skip
flags = st.builds(
    Flag, names, st.floats(0, 1e9, exclude_min=True), texts.filter(bool), optional_chances
)
_digests = st.text("0123456789abcdef", min_size=64, max_size=64)
_sizes = st.integers(1, 8 * 2**20)
_regions = arrays.arrays(np.float64, (2, 2), elements=st.floats(-1e6, 1e6), unique=True).map(
    lambda corners: tuple(np.sort(corners, axis=0).reshape(4).tolist())
)
crops = st.builds(
    Crop, st.just(PICTURE), _digests, _sizes, st.integers(1, 9), st.integers(1, 9), _regions
) | st.builds(Crop, st.just(SIGNAL), _digests, _sizes)


@st.composite
def items(draw: st.DrawFn) -> RetrainingItem:
    found = tuple(draw(st.lists(flags, max_size=3)))
    others = draw(
        st.sampled_from([(Origin.AUDIT,), (Origin.RANDOM,), (Origin.AUDIT, Origin.RANDOM)])
    )
    return RetrainingItem(
        draw(names), draw(counts), draw(counts),
        (Origin.ASSERTION, *others) if found else others,
        draw(chances), draw(st.floats(0, 1, exclude_min=True)), found, draw(chances),
        draw(st.none() | labels), draw(st.none() | crops),
        draw(st.none() | st.integers(0, 2**64 - 1)), draw(texts), draw(texts), draw(texts),
    )  # fmt: skip


def picture(number: int = 0, width: int = 64, height: int = 48) -> bytes:
    """A JPEG that differs from those of other numbers."""
    noise = np.random.default_rng(number).integers(0, 256, (6, 8, 3), np.uint8)
    small = cv2.resize(noise, (width, height), interpolation=cv2.INTER_LINEAR)
    return cv2.imencode(".jpg", small)[1].tobytes()


def item(
    number: int = 0, stream: str = "gate", priority: float = 0.5, **changes: Any
) -> RetrainingItem:
    """Frame `number` of a 10 Hz stream, which flickered."""
    episode = f"{stream}:flicker:{number}"
    values: dict[str, Any] = {
        "stream": stream,
        "sequence": number,
        "time_ns": START_NS + number * FRAME_NS,
        "origins": (Origin.ASSERTION,),
        "priority": priority,
        "propensity": 1.0,
        "flags": (Flag("flicker", 1.5, episode),),
    }
    return RetrainingItem(**(values | changes))


def pictured(number: int = 0, stream: str = "gate", priority: float = 0.5, **changes: Any) -> Entry:
    """The same with a picture of 64 x 48 pixels, which shows (100, 50) to (228, 146)."""
    data = picture(number)
    crop = Crop(
        PICTURE, hashlib.sha256(data).hexdigest(), len(data), 64, 48, (100.0, 50.0, 228.0, 146.0)
    )
    boxes = Detections.of([[110, 60, 130, 100]], [0.9], ["person"])
    label = Label("flicker", boxes=boxes, probability=0.75)
    values: dict[str, Any] = {"crop": crop, "label": label}
    return item(number, stream, priority, **(values | changes)), data


def signalled(number: int = 0, **changes: Any) -> Entry:
    """A window of an ECG whose rhythm changed for a moment."""
    data = encode(reading())
    crop = Crop(SIGNAL, hashlib.sha256(data).hexdigest(), len(data))
    label = Label("class_change", class_name="N", probability=0.5)
    values: dict[str, Any] = {"crop": crop, "label": label}
    return item(number, "ecg", **(values | changes)), data
