"""Runs that put items aside, and what they put into their queue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from connectors.queue import RetrainingQueue
from connectors.queue_codec import encode_item
from flows import config
from flows.run import RunRequest, run
from tests.support.scenes import write_configuration

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from flows.summary import RunSummary
    from records import RetrainingItem
    from tests.support.scenes import Street

OWN = '''
from operators.assertions import assertion

@assertion(window=1.0)
def tenth(times_ns, found):
    """Every tenth frame of a stream at 10 Hz."""
    return 1.0 if times_ns[-1] % 10**9 == 0 else 0
'''
"""An assertion that fires once a second."""

TENTH = "assertions: {health: {}, outputs: {}, files: [own.py]}\n"
"""A configuration's section with that assertion alone."""


@dataclass(frozen=True)
class Queued:
    """What is in a queue.

    Attributes:
        items: The items, in the order in which they came.
        crops: Their crops.
    """

    items: list[RetrainingItem]
    crops: list[bytes | None]

    @property
    def contents(self) -> list[tuple[bytes, bytes | None]]:
        """All bytes of it, but for when they came."""
        return list(zip(map(encode_item, self.items), self.crops, strict=True))

    @property
    def sequences(self) -> list[int]:
        return [one.sequence for one in self.items]


def queued(path: Path) -> Queued:
    with RetrainingQueue(path, mode="ro") as queue:
        items = [stored.item for stored in queue.items()]
        return Queued(items, [queue.crop(one.id) for one in items])


def put_aside(
    street: Street, retraining: str, more: str = TENTH, changes: Mapping[str, str] | None = None,
    **request: Any,
) -> RunSummary:  # fmt: skip
    """Run the street with a retraining section, and with changes of its text."""
    (street.folder / "own.py").write_text(OWN, encoding="utf-8")
    write_configuration(street, more=f"{more}retraining: {{{retraining}}}\n")
    changed = street.configuration.read_text(encoding="utf-8")
    for old, new in (changes or {}).items():
        assert old in changed
        changed = changed.replace(old, new)
    street.configuration.write_text(changed, encoding="utf-8")
    configuration, text = config.load(street.configuration)
    return run(RunRequest(configuration, text, street.folder, **request))


def decoded(data: bytes | None) -> NDArray[np.int16]:
    assert data is not None
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB), np.int16)
