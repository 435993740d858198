"""Routes: single frames on their way through the stages of a cascade."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from operators.pixels import decoded
from records import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from operators.difference import Screened
    from operators.plan import Band
    from records import Detections, Frame


@dataclass(slots=True)
class Route:
    """One frame on its way through the stages.

    Attributes:
        frame: The frame.
        stage: The stage that decided; None while none has.
        score: That stage's score.
        positive: What a scoring stage said; None where none did.
        screened: What the difference detector said; None where it was not asked.
        band: Where the specialised model is not sure; None for plans without it.
        found: What the reference detector found; None where it was not asked, or only to check.
        audited: Whether the reference detector is to answer whatever the stages say.
        checked: What it found in an audited frame that another stage had decided.
        drawn: Whether the audit drew it, also where the reference detector decides anyway.
    """

    frame: Frame
    stage: Stage | None = None
    score: float = 0.0
    positive: bool | None = None
    screened: Screened | None = None
    band: Band | None = None
    found: Detections | None = None
    audited: bool = False
    checked: Detections | None = None
    drawn: bool = False

    @property
    def truth(self) -> Detections | None:
        """What the reference detector found; None where it was not asked, or saw no picture."""
        return self.checked if self.found is None else self.found

    @property
    def open(self) -> bool:
        """Whether no stage has decided yet."""
        return self.stage is None

    def close(self, stage: Stage, score: float, positive: bool | None = None) -> None:  # noqa: FBT001 - a stage's yes or no
        """Note the stage that decided."""
        self.stage, self.score, self.positive = stage, score, positive

    def answer(self, found: Detections) -> None:
        """Note what the reference detector found."""
        if self.open:
            self.found = found
            self.close(Stage.REFERENCE, top_score(found))
        else:
            self.checked = found

    def hold(self) -> None:
        """Let the frame take the last verdict."""
        self.close(Stage.SKIP, 0.0)

    def unseen(self) -> None:
        """Note that the frame cannot be decoded: it takes the last verdict, and is not audited."""
        self.audited = False
        if self.open:
            self.hold()


def top_score(found: Detections) -> float:
    """The highest detection score; 0 when nothing was found."""
    return float(found.scores.max(initial=0.0))


def chunks(routes: Sequence[Route], most: int) -> Iterator[Sequence[Route]]:
    """The routes, at most so many at a time."""
    for start in range(0, len(routes), most):
        yield routes[start : start + most]


def pixels_of(
    routes: Sequence[Route], size: int | None
) -> tuple[list[Route], list[NDArray[np.uint8]]]:
    """The colour images of frames, and the routes they belong to.

    A frame that cannot be decoded takes the last verdict, and is not among them.

    Args:
        routes: The frames.
        size: The side of the images, pixels; None for full size.
    """
    places, images = decoded([route.frame for route in routes], size)
    ready = [routes[place] for place in places]
    if len(ready) < len(routes):
        seen = set(places)
        for place, route in enumerate(routes):
            if place not in seen:
                route.unseen()
    return ready, images
