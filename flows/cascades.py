"""From a configuration to its cascades: plans, questions, contracts and models of each stream."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flows.cascade_versions import CascadeVersions
from flows.model_reference import cascade_reference, registry_name
from flows.questions import plain_difference, predicate_of
from flows.trained import TrainedCascade, load_trained
from models.certification import Contract, certify, event_blocks
from models.registry import ModelKind
from operators.audit import AuditSettings
from operators.cascade import CascadeSettings, Models, TrialSettings
from operators.plan import REFERENCE, Plan
from records import ConfigurationError, Fault

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from flows.config import CascadeSection, Configuration, ContractSection, StreamSection
    from flows.hot_swap import ModelWatch
    from flows.live_models import LiveModels
    from operators.cascade import Versions
    from operators.predicate import Predicate
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
        versions: Gives the versions of those that follow a model of the registry; None without.
    """

    settings: CascadeSettings
    models: Models
    streams: Mapping[str, tuple[CascadeSettings, Models]]
    versions: Versions | None = None

    def plans(self, stream: str) -> tuple[Plan, ...]:
        """The plans of a stream, cheapest first."""
        return self.streams.get(stream, (self.settings, self.models))[0].plans


def load_cascades(
    configuration: Configuration, folder: Path, detector: Detector, live: LiveModels | None = None
) -> Cascades:
    """Make the cascades of a configuration; trained ones are read.

    Args:
        configuration: The configuration.
        folder: Where its relative paths count from.
        detector: The reference detector.
        live: What is followed of the registry; None where nothing is.

    Raises:
        DetectorError: a trained cascade cannot be read.
        ConfigurationError: one was trained on the answers of another reference detector.
    """
    loaded: dict[str, TrainedCascade] = {}
    watches = {} if live is None else _watches(configuration, live, detector)

    def trained(text: str | None) -> TrainedCascade | None:
        name = registry_name(text)
        if name is not None:
            current = watches[name].held.current
            return None if current is None else current.model
        if text is not None and text not in loaded:
            loaded[text] = load_trained(folder / text)
            _check_reference(text, loaded[text], detector)
        return None if text is None else loaded[text]

    section, batch = configuration.cascade, configuration.detector.batch

    def make(stream: str, one: TrainedCascade | None) -> tuple[CascadeSettings, Models]:
        own = configuration.streams.get(stream)
        follows = cascade_reference(configuration, stream) is not None
        return _cascade(section, own, one, detector, batch, cold=follows)

    shared = trained(section.trained)
    streams = {}
    for name, stream in configuration.streams.items():
        own = shared if stream.trained is None else trained(stream.trained)
        if own is not shared or stream.trained or stream.zone is not None or stream.masks:
            streams[name] = make(name, own)
    settings, models = make("", shared)
    versions = None
    if live is not None and live.follow and watches:
        versions = CascadeVersions(configuration, live, watches, make)
    return Cascades(settings, models, streams, versions)


def _watches(
    configuration: Configuration, live: LiveModels, detector: Detector
) -> dict[str, ModelWatch[TrainedCascade]]:
    """Follow the models that the cascades name."""

    def load(folder: Path) -> TrainedCascade:
        trained = load_trained(folder)
        _check_reference(str(folder), trained, detector)
        return trained

    named = {cascade_reference(configuration, stream) for stream in ("", *configuration.streams)}
    names = sorted(name for name in named if name is not None)
    return {name: live.watch(name, ModelKind.CASCADE, load) for name in names}


def _check_reference(name: str, trained: TrainedCascade, detector: Detector) -> None:
    """Check that a cascade was trained on the answers of the detector, in whatever version."""
    if trained.reference.partition(" ")[0] == detector.name.partition(" ")[0]:
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
    *,
    cold: bool,
) -> tuple[CascadeSettings, Models]:
    """The cascade of a stream; without a trained one the configuration's own.

    When it is cold, it waits for the first version of a model, and begins with the reference alone.
    """
    contract = section.contract
    if trained is not None:
        plans = trained.plans
    elif cold:
        plans = (REFERENCE,)
    else:
        plans = (Plan(stride=section.stride, difference=plain_difference(section)),)
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


def _masked(plan: Plan, stream: StreamSection) -> Plan:
    if plan.difference is None:
        return plan
    masks = tuple(tuple((x, y) for x, y in mask) for mask in stream.masks)
    return replace(plan, difference=replace(plan.difference, masks=masks))


def _predicate(
    section: CascadeSection, stream: StreamSection | None, trained: TrainedCascade | None
) -> Predicate | None:
    return predicate_of(section, stream) if trained is None else trained.predicate


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
