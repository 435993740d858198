"""Admission to the retraining queue: few of each episode, nothing twice, with a priority.

A model that is wrong is wrong for a while, and a hundred pictures of it teach little more than
three. So of each episode few items are admitted, and pictures much like one of the last are not.

The random share passes untouched. So each frame is in the queue with a known probability, 1 if a
rule admits it and else that of the draw, and a mean over all frames can be estimated from the
queue without bias (Horvitz & Thompson, JASA 1952), whatever the assertions look for.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import bytewax.operators as op
import numpy as np
from bytewax.dataflow import operator
from bytewax.operators import KeyedStream
from typing_extensions import override

from operators.keyed import KeyedLogic
from operators.retraining_settings import AdmissionSettings, Candidates, Dropped
from operators.retraining_value import UNRELATED_BITS, distances, novelty, wrongness
from records import Origin, RetrainingItem

if TYPE_CHECKING:
    from collections.abc import Mapping

KEPT_PRIORITY = 1.0
"""The priority of the random share: it leaves last, or what is left of it were no random sample."""


@dataclass(frozen=True, slots=True)
class AdmissionState:
    """What survives a restart.

    Attributes:
        episodes: How many items of an episode were admitted, the latest episode last.
        fingerprints: Those of the last items that a rule admitted, the latest last.
    """

    episodes: Mapping[str, int] = field(default_factory=dict)
    fingerprints: tuple[int, ...] = ()


class Admission(KeyedLogic[Candidates, Candidates, AdmissionState]):
    """The items of one stream on their way into the queue.

    Args:
        settings: Which are admitted.
        resume: The state to go on from; None at a new start.
    """

    def __init__(self, settings: AdmissionSettings, resume: AdmissionState | None = None) -> None:
        state = resume or AdmissionState()
        self._settings = settings
        self._episodes = dict(state.episodes)
        self._fingerprints = list(state.fingerprints)
        self._dropped: Counter[Dropped] = Counter()

    @override
    def on_item(self, item: Candidates) -> Candidates | None:
        """Those that are admitted, with their priority; None when there is nothing to tell."""
        admitted = tuple(
            replace(candidate, item=one)
            for candidate in item.candidates
            if (one := self._admit(candidate.item)) is not None
        )
        dropped = dict(Counter(item.dropped) + self._dropped)
        self._dropped.clear()
        return Candidates(item.stream, admitted, dropped) if admitted or dropped else None

    @override
    def snapshot(self) -> AdmissionState:
        """A copy of what survives a restart."""
        return AdmissionState(dict(self._episodes), tuple(self._fingerprints))

    def _admit(self, item: RetrainingItem) -> RetrainingItem | None:
        bits = self._nearest(item)
        ruled = self._ruled(item, bits)
        drawn = Origin.RANDOM in item.origins
        if ruled is None and not drawn:
            return None
        if ruled is None:
            # It is there by the draw alone. Nothing of it is remembered: if the rules depended on
            # the draw, the probability with which they admit a frame were not known.
            return replace(item, origins=(Origin.RANDOM,), flags=(), priority=KEPT_PRIORITY)
        if item.fingerprint is not None:
            self._fingerprints.append(item.fingerprint)
            del self._fingerprints[: -self._settings.remembered]
        for episode in {flag.episode for flag in ruled.flags}:
            self._episodes[episode] = self._episodes.pop(episode, 0) + 1
        for episode in list(self._episodes)[: -self._settings.remembered]:
            del self._episodes[episode]
        priority = KEPT_PRIORITY if drawn else wrongness(ruled) * novelty(bits)
        return replace(ruled, priority=priority, propensity=1.0)

    def _nearest(self, item: RetrainingItem) -> int:
        """In how many bits the most similar of the last pictures differs."""
        if item.fingerprint is None or not self._fingerprints:
            return UNRELATED_BITS
        return int(distances(item.fingerprint, np.array(self._fingerprints, np.uint64)).min())

    def _ruled(self, item: RetrainingItem, bits: int) -> RetrainingItem | None:
        """The item as the rules admit it, with the flags of episodes that are not full."""
        found = [origin for origin in item.origins if origin is not Origin.RANDOM]
        if not found:
            return None
        if bits <= self._settings.near_bits:
            self._dropped[Dropped.NEAR_DUPLICATE] += 1
            return None
        most = self._settings.most_per_episode
        flags = tuple(one for one in item.flags if self._episodes.get(one.episode, 0) < most)
        if flags or Origin.AUDIT in found:
            gone = set() if flags else {Origin.ASSERTION}
            origins = tuple(origin for origin in item.origins if origin not in gone)
            return replace(item, flags=flags, origins=origins)
        self._dropped[Dropped.EPISODE_FULL] += 1
        return None


@operator
def admit(
    step_id: str, up: KeyedStream[Candidates], settings: AdmissionSettings
) -> KeyedStream[Candidates]:
    """Admit the nominated items of each stream to the queue."""
    return op.stateful_batch("admit", up, lambda resume: Admission(settings, resume).as_bytewax())
