"""From a configuration to its cascades: plans, questions, contracts and models of each stream."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flows.trained import TrainedCascade, load_trained
from models.certification import Contract, certify, event_blocks
from operators.audit import AuditSettings
from operators.cascade import CascadeSettings, Models, TrialSettings
from operators.difference import DifferenceSettings
from operators.plan import Plan
from operators.predicate import Predicate
from records import ConfigurationError, Fault

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from flows.config import CascadeSection, Configuration, ContractSection, StreamSection
    from records import Detector


@dataclass(frozen=True, slots=True)
class BlockCertifier:
    """Certifies plans on blocks of time, the safest first; see `models.certification`.

    Attributes:
        contract: What must be proven.
        block_seconds: The shortest block, seconds.
        seed: Of the random order in which blocks are bet on.
    """

    contract: Contract
    block_seconds: float
    seed: int = 0

    def __call__(
        self,
        answers: Sequence[NDArray[np.bool_]],
        truth: NDArray[np.bool_],
        times_ns: NDArray[np.int64],
    ) -> int | None:
        """The place of the cheapest plan that is certified; None when none is."""
        blocks = event_blocks(truth, times_ns, self.block_seconds)
        return certify(answers, truth, blocks, self.contract, seed=self.seed).chosen


@dataclass(frozen=True, slots=True)
class Cascades:
    """The cascades of a configuration.

    Attributes:
        settings: Of the streams without their own.
        models: Their models.
        streams: Settings and models of the others, by stream.
    """

    settings: CascadeSettings
    models: Models
    streams: Mapping[str, tuple[CascadeSettings, Models]]

    def plans(self, stream: str) -> tuple[Plan, ...]:
        """The plans of a stream, cheapest first."""
        return self.streams.get(stream, (self.settings, self.models))[0].plans


def load_cascades(configuration: Configuration, folder: Path, detector: Detector) -> Cascades:
    """Make the cascades of a configuration; trained ones are read.

    Args:
        configuration: The configuration.
        folder: Where its relative paths count from.
        detector: The reference detector.

    Raises:
        DetectorError: a trained cascade cannot be read.
        ConfigurationError: one was trained on the answers of another reference detector.
    """
    loaded: dict[str, TrainedCascade] = {}

    def trained(name: str | None) -> TrainedCascade | None:
        if name is not None and name not in loaded:
            loaded[name] = load_trained(folder / name)
            _check_reference(name, loaded[name], detector)
        return None if name is None else loaded[name]

    section, batch = configuration.cascade, configuration.detector.batch
    shared = trained(section.trained)
    streams = {}
    for name, stream in configuration.streams.items():
        own = trained(stream.trained) or shared
        if own is not shared or stream.zone is not None or stream.masks:
            streams[name] = _cascade(section, stream, own, detector, batch)
    settings, models = _cascade(section, None, shared, detector, batch)
    return Cascades(settings, models, streams)


def _check_reference(name: str, trained: TrainedCascade, detector: Detector) -> None:
    if trained.reference == detector.name:
        return
    fault = Fault(
        name,
        0,
        "reference",
        trained.reference,
        f"was trained on the answers of another detector than {detector.name}",
        "Name its detector under detector.model, or train it again.",
    )
    raise ConfigurationError([fault])


def _cascade(
    section: CascadeSection,
    stream: StreamSection | None,
    trained: TrainedCascade | None,
    detector: Detector,
    batch: int,
) -> tuple[CascadeSettings, Models]:
    contract = section.contract
    plans = trained.plans if trained else (Plan(stride=section.stride, difference=_plain(section)),)
    if stream is not None and stream.masks:
        plans = tuple(_masked(plan, stream) for plan in plans)
    settings = CascadeSettings(
        plan=plans[0],
        predicate=_predicate(section, stream, trained),
        batch=batch,
        safer=plans[1:] if contract else (),
        audit=None if contract is None else _audit(contract),
        trial=_trial(contract),
    )
    if contract is not None and contract.start == "certified":
        place = _certified_place(contract, trained)
        settings = replace(settings, begin=len(settings.plans) - 1 if place is None else place)
    models = Models(
        detector,
        trained.specialised if trained else None,
        trained.packets if trained else None,
        None if contract is None else _certifier(contract),
    )
    return settings, models


def _certified_place(contract: ContractSection, trained: TrainedCascade | None) -> int | None:
    """The plan that the contract may begin with: certified for no less than is promised."""
    if trained is None:
        return None
    known = trained.contract
    enough = (
        known.target_recall >= contract.recall
        and known.target_precision >= contract.precision
        and known.confidence >= contract.confidence
    )
    return trained.certified.place if enough else None


def _plain(section: CascadeSection) -> DifferenceSettings | None:
    """The difference detector of the configuration."""
    if section.difference is None:
        return None
    values = section.difference.model_dump()
    hold = section.difference.hold_seconds
    return DifferenceSettings(**{**values, "hold_seconds": math.inf if hold is None else hold})


def _masked(plan: Plan, stream: StreamSection) -> Plan:
    if plan.difference is None:
        return plan
    masks = tuple(tuple((x, y) for x, y in mask) for mask in stream.masks)
    return replace(plan, difference=replace(plan.difference, masks=masks))


def _predicate(
    section: CascadeSection, stream: StreamSection | None, trained: TrainedCascade | None
) -> Predicate | None:
    if trained is not None:
        return trained.predicate
    asked = section.predicate
    if asked is None:
        return None
    zone = () if stream is None or stream.zone is None else tuple((x, y) for x, y in stream.zone)
    return Predicate(asked.class_name, asked.at_least, zone, asked.score_at_least)


def _audit(contract: ContractSection) -> AuditSettings:
    return AuditSettings(
        target_recall=contract.recall,
        target_precision=contract.precision,
        cell_seconds=contract.audit_seconds,
        false_alarm=contract.false_alarm,
        confidence=contract.confidence,
        recent=contract.recent,
        seed=contract.seed,
    )


def _trial(contract: ContractSection | None) -> TrialSettings | None:
    if contract is None or contract.trial_seconds is None:
        return None
    return TrialSettings(contract.trial_seconds)


def _certifier(contract: ContractSection) -> BlockCertifier:
    promised = Contract(contract.recall, contract.precision, contract.confidence)
    return BlockCertifier(promised, contract.block_seconds, contract.seed)
