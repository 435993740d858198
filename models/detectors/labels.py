"""The vocabularies of the detectors. All names are lower case, so that one query fits each."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

import numpy as np

from records import DetectorError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

COCO_80 = (
    "person",
    "bicycle",
    "car",
    "motorcycle",
    "airplane",
    "bus",
    "train",
    "truck",
    "boat",
    "traffic light",
    "fire hydrant",
    "stop sign",
    "parking meter",
    "bench",
    "bird",
    "cat",
    "dog",
    "horse",
    "sheep",
    "cow",
    "elephant",
    "bear",
    "zebra",
    "giraffe",
    "backpack",
    "umbrella",
    "handbag",
    "tie",
    "suitcase",
    "frisbee",
    "skis",
    "snowboard",
    "sports ball",
    "kite",
    "baseball bat",
    "baseball glove",
    "skateboard",
    "surfboard",
    "tennis racket",
    "bottle",
    "wine glass",
    "cup",
    "fork",
    "knife",
    "spoon",
    "bowl",
    "banana",
    "apple",
    "sandwich",
    "orange",
    "broccoli",
    "carrot",
    "hot dog",
    "pizza",
    "donut",
    "cake",
    "chair",
    "couch",
    "potted plant",
    "bed",
    "dining table",
    "toilet",
    "tv",
    "laptop",
    "mouse",
    "remote",
    "keyboard",
    "cell phone",
    "microwave",
    "oven",
    "toaster",
    "sink",
    "refrigerator",
    "book",
    "clock",
    "vase",
    "scissors",
    "teddy bear",
    "hair drier",
    "toothbrush",
)
"""The 80 object classes of COCO (Lin et al. 2014), in the order of their category ids."""

OPEN_IMAGES_23 = (
    "bicycle",
    "boot",
    "laptop",
    "person",
    "chair",
    "cattle",
    "desk",
    "cat",
    "computer mouse",
    "computer monitor",
    "box",
    "mug",
    "coffee cup",
    "stationary bicycle",
    "table",
    "bottle",
    "high heels",
    "vehicle",
    "footwear",
    "dog",
    "book",
    "camera",
    "car",
)
"""The 23 Open Images V4 classes of the SSD, in the order of its label map after background."""

MOST_SUGGESTIONS = 3
"""How many near names an error offers for a class that is not known."""


def class_mask(wanted: Sequence[str], class_names: Sequence[str], model: str) -> NDArray[np.bool_]:
    """Which classes of a vocabulary are asked for.

    Args:
        wanted: The names asked for; empty asks for all.
        class_names: The vocabulary.
        model: The model's name, for the error.

    Returns:
        bool (classes,), True where the class is asked for.

    Raises:
        DetectorError: a name is not in the vocabulary.

    >>> class_mask(["cat"], ["dog", "cat"], "m").tolist(), class_mask([], ["dog"], "m").tolist()
    ([False, True], [True])
    """
    for name in wanted:
        if name not in class_names:
            near = difflib.get_close_matches(name.lower(), class_names, MOST_SUGGESTIONS)
            hint = f"Did you mean {' or '.join(near)}?" if near else "See its class_names"
            raise DetectorError(
                f"classes must be names that {model} knows ({len(class_names)} of them, lower "
                f"case), got {name!r}. {hint}"
            )
    return np.array([not wanted or name in wanted for name in class_names], dtype=np.bool_)
