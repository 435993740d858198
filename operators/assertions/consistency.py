"""Consistency: assertions that follow from what identifies an object (Kang et al., section 4).

Kang et al., "Model Assertions for Monitoring and Improving ML Models", MLSys 2020. Given the
identifier of each output, its attributes, and a threshold T, these must hold, and each is an
assertion of its own:

- all outputs of one identifier within a window agree in each attribute;
- an identifier that vanishes does not come back within T seconds ("gap");
- an identifier that appears stays for at least T seconds ("span").
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from operators.assertions.attributes import AttributeRule
from operators.assertions.gaps import GapRule, any_gap
from operators.assertions.sightings import Sighting, Sightings, object_name
from operators.assertions.spans import SpanRule, any_span
from records import Classification, Detections, RecordError
from records.checks import check_name
from records.finding import DETECTIONS

if TYPE_CHECKING:
    from operators.assertions.api import Assertion, Moment

CLASS = "class"
"""The attribute that is the class of an output; the only one that a correction can change."""

Identifier = Callable[[Any], Hashable]
"""Gives the identifier of one output; None where it has none."""

Attributes = Callable[[Any], Mapping[str, str]]
"""Gives the attributes of one output by their names."""


@dataclass(frozen=True, slots=True)
class ConsistencyAssertion:
    """Generates assertions from an identifier.

    One output is a box of Detections, given to the functions as a `Sighting` whose identifier is
    the box's track, or else the whole value, such as a Classification.

    Attributes:
        name: The assertions are called ``name.attribute``, ``name.gap`` and ``name.span``.
        identifier: Gives the identifier of one output.
        attributes: Gives the attributes of one output; None where there are none.
        attribute_names: The attributes that must agree.
        temporal_threshold: T, seconds of event time; None for no temporal assertions.
        window_seconds: The window in which attributes agree, seconds.
        output: The name of the output that is watched.

    Raises:
        RecordError: a setting is out of its range.

    >>> rhythm = ConsistencyAssertion("rhythm", lambda found: found.label, temporal_threshold=30.0)
    >>> [each.name for each in rhythm.assertions()]
    ['rhythm.gap', 'rhythm.span']
    """

    name: str
    identifier: Identifier
    attributes: Attributes | None = None
    attribute_names: tuple[str, ...] = ()
    temporal_threshold: float | None = None
    window_seconds: float = 10.0
    output: str = DETECTIONS

    def __post_init__(self) -> None:
        check_name("name", self.name)
        check_name("output", self.output)
        for field in ("temporal_threshold", "window_seconds"):
            value = getattr(self, field)
            if value is not None and not 0 < value < math.inf:
                raise RecordError(f"{field} must be above 0, got {value}")
        if (self.attributes is None) != (not self.attribute_names):
            raise RecordError("attributes and attribute_names must be given together")
        for name in self.attribute_names:
            check_name("attribute_names", name)
        if not self.attribute_names and self.temporal_threshold is None:
            raise RecordError(
                "a consistency assertion must have attributes or a temporal_threshold, got neither"
            )

    def assertions(self) -> tuple[Assertion, ...]:
        """The assertions that it generates."""
        generated: list[Assertion] = [self._attribute(name) for name in self.attribute_names]
        seconds = self.temporal_threshold
        if seconds is not None:
            gap = GapRule(
                f"{self.name}.gap", seconds, self._sightings(), any_gap(seconds), output=self.output
            )
            span = SpanRule(
                f"{self.name}.span",
                seconds,
                seconds,
                self._sightings(),
                any_span(seconds),
                output=self.output,
            )
            generated += [gap, span]
        return tuple(generated)

    def _sightings(self) -> Sightings:
        def sightings(moment: Moment) -> list[Sighting] | None:
            found = self._outputs(moment)
            return None if found is None else [sighting for sighting, _ in found]

        return sightings

    def _attribute(self, name: str) -> AttributeRule:
        attributes = self.attributes
        assert attributes is not None

        def attributed(moment: Moment) -> Iterable[tuple[Sighting, str]] | None:
            found = self._outputs(moment)
            if found is None:
                return None
            return [(sighting, attributes(output)[name]) for sighting, output in found]

        return AttributeRule(
            f"{self.name}.{name}",
            name,
            self.window_seconds,
            attributed,
            is_class=name == CLASS,
            output=self.output,
        )

    def _outputs(self, moment: Moment) -> list[tuple[Sighting, object]] | None:
        """Each output of a moment, as it is and as a sighting with its identifier."""
        value = moment.outputs.get(self.output)
        if value is None:
            return None
        if not isinstance(value, Detections):
            identifier = self.identifier(value)
            score = max(value.probabilities) if isinstance(value, Classification) else 1.0
            return [(Sighting(identifier, _label(value, identifier), score=score), value)]
        plain = moment.plain(self.output)
        assert plain is not None
        boxes = [
            Sighting(track, label, box, score, track)
            for box, score, label, track in zip(*plain, strict=True)
        ]
        return [(box._replace(identifier=self.identifier(box)), box) for box in boxes]


def _label(value: object, identifier: Hashable) -> str:
    return value.label if isinstance(value, Classification) else object_name(identifier)
