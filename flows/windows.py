"""From a configuration's windows to what observes and estimates them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.specialised import SpecialisedModel
from operators.budget import BudgetSettings
from operators.observations import PredicateGroup
from operators.observe import ObserveSettings
from operators.predicate import Predicate
from operators.window_settings import Aggregate, WindowSettings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flows.cascades import Cascades
    from flows.config import Configuration, WindowSection
    from records import Scorer


@dataclass(frozen=True, slots=True)
class CountScorer:
    """A specialised model that tells how many objects it expects, as the proxy of windows.

    Attributes:
        model: The model.
    """

    model: SpecialisedModel

    @property
    def size(self) -> int:
        """The side of the square images that it takes, pixels."""
        return self.model.size

    def score(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The expected count of each image, float32 (n,); "K or more" counts as K."""
        shares = self.model.counts(images)
        return np.asarray(shares @ np.arange(shares.shape[1], dtype=np.float32), np.float32)


def window_settings(section: WindowSection) -> WindowSettings:
    """What is told of the windows of a section."""
    return WindowSettings(
        name=section.name,
        groups=tuple(section.classes),
        aggregates=tuple(Aggregate(one) for one in section.aggregates),
        size_seconds=section.size_seconds,
        slide_seconds=section.slide_seconds,
        confidence=section.confidence,
        at_least=float(section.at_least),
        out_of_order_seconds=section.out_of_order_seconds,
        lateness_seconds=section.lateness_seconds,
    )


def observe_settings(section: WindowSection, configuration: Configuration) -> ObserveSettings:
    """Which frames are drawn for the windows of a section, and what is counted in them."""
    pane_seconds = section.slide_seconds or section.size_seconds
    zones = {
        name: tuple((x, y) for x, y in stream.zone)
        for name, stream in configuration.streams.items()
        if section.in_zone and stream.zone is not None
    }
    return ObserveSettings(
        groups=_groups(section, ()),
        pane_seconds=pane_seconds,
        budget=BudgetSettings(
            section.calls_per_hour, pane_seconds, streams=tuple(configuration.streams)
        ),
        stream_groups={name: _groups(section, zone) for name, zone in zones.items()},
        seed=section.seed,
        batch=configuration.detector.batch,
        proxy_stride=section.proxy_stride or 1,
    )


def window_proxies(section: WindowSection, cascades: Cascades) -> dict[str, Scorer]:
    """The models that count for the windows of a section, by class."""
    model, predicate = cascades.models.specialised, cascades.settings.predicate
    if section.proxy_stride is None or predicate is None or section.in_zone:
        return {}
    if predicate.class_name not in section.classes or not isinstance(model, SpecialisedModel):
        return {}
    return {predicate.class_name: CountScorer(model)}


def _groups(
    section: WindowSection, zone: tuple[tuple[float, float], ...]
) -> tuple[PredicateGroup, ...]:
    return tuple(
        PredicateGroup(name, (Predicate(name, 1, zone, section.score_at_least),))
        for name in section.classes
    )
