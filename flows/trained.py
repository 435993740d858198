"""Trained cascades on disk: the question, the plans, the certificate and the small models.

A folder holds ``cascade.json`` and, where a plan needs them, ``specialised.safetensors`` and
``packets.safetensors`` with their manifests. Nothing in it is ever run.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from models.certification import Contract
from models.packets import PacketModel
from models.specialised import SpecialisedModel
from operators.plan import Plan
from operators.predicate import Predicate
from records import DetectorError, RecordError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FILE_NAME = "cascade.json"
"""The file that says what the cascade is."""

FORMAT_VERSION = 1
"""The version of that file that this code writes and reads."""

LARGEST_FILE = 2**20
"""The largest such file, bytes."""

MOST_PLANS = 64
"""The most plans of one cascade."""

_SPECIALISED, _PACKETS = "specialised.safetensors", "packets.safetensors"


@dataclass(frozen=True, slots=True)
class Certified:
    """What certification on unseen blocks of time said.

    Attributes:
        place: The place of the cheapest plan that was certified; None when none was.
        recall_low: The lower bound of recall of the cheapest plan, 0..1.
        precision_low: The lower bound of its precision, 0..1.
        blocks: How many blocks of time they rest on.
    """

    place: int | None
    recall_low: float
    precision_low: float
    blocks: int


@dataclass(frozen=True, slots=True)
class TrainedCascade:
    """A cascade that was tuned and trained for one camera and one question.

    Attributes:
        reference: The name of the reference detector whose answers it was trained on.
        predicate: The question.
        plans: The plans, cheapest first, each safer than the one before; the reference detector
            alone, which always comes last, is not among them.
        contract: What was to be certified.
        certified: What was.
        specialised: The specialised model; None where no plan has one.
        packets: The packet model; None where no plan has one.

    Raises:
        RecordError: there is no plan, or the certified one is not among them.
    """

    reference: str
    predicate: Predicate
    plans: tuple[Plan, ...]
    contract: Contract
    certified: Certified
    specialised: SpecialisedModel | None = None
    packets: PacketModel | None = None

    def __post_init__(self) -> None:
        if not 0 < len(self.plans) <= MOST_PLANS:
            raise RecordError(f"plans must be 1 to {MOST_PLANS}, got {len(self.plans)}")
        place = self.certified.place
        if place is not None and not 0 <= place < len(self.plans):
            raise RecordError(f"certified.place must be that of a plan, got {place}")


def save_trained(folder: Path, trained: TrainedCascade) -> None:
    """Write a trained cascade; the folder is made as needed.

    Raises:
        DetectorError: it cannot be written.
    """
    value = {
        "format": FORMAT_VERSION,
        "reference": trained.reference,
        "predicate": trained.predicate.to_json(),
        "plans": [plan.to_json() for plan in trained.plans],
        "contract": asdict(trained.contract),
        "certified": asdict(trained.certified),
    }
    path = folder / FILE_NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if trained.specialised is not None:
            trained.specialised.save(folder / _SPECIALISED)
        if trained.packets is not None:
            trained.packets.save(folder / _PACKETS)
        path.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise DetectorError(f"{path} cannot be written: {error.strerror}") from error


def load_trained(folder: Path) -> TrainedCascade:
    """Read what `save_trained` wrote.

    Raises:
        DetectorError: a file is missing, too large, damaged, or of another version.
    """
    path = folder / FILE_NAME
    value = _read(path)
    try:
        plans = tuple(Plan.from_json(plan) for plan in value["plans"])
        return TrainedCascade(
            reference=str(value["reference"]),
            predicate=Predicate.from_json(value["predicate"]),
            plans=plans,
            contract=Contract(**value["contract"]),
            certified=Certified(**value["certified"]),
            specialised=_specialised(folder, plans),
            packets=_packets(folder, plans),
        )
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise DetectorError(
            f"{path} is no trained cascade: {error}. Train it again with "
            "'sightflow evaluate cascade --save'"
        ) from error


def _specialised(folder: Path, plans: tuple[Plan, ...]) -> SpecialisedModel | None:
    wanted = any(plan.specialised is not None for plan in plans)
    return SpecialisedModel.load(folder / _SPECIALISED) if wanted else None


def _packets(folder: Path, plans: tuple[Plan, ...]) -> PacketModel | None:
    wanted = any(plan.packets is not None for plan in plans)
    return PacketModel.load(folder / _PACKETS) if wanted else None


def _read(path: Path) -> Mapping[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise DetectorError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise DetectorError(f"{path} is no usable path: {error}") from error
    if len(data) > LARGEST_FILE:
        raise DetectorError(f"{path} is larger than {LARGEST_FILE} bytes")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DetectorError(f"{path} is no JSON: {error}") from error
    if not isinstance(value, dict) or value.get("format") != FORMAT_VERSION:
        raise DetectorError(
            f"{path} must have format {FORMAT_VERSION}; another release of Sightflow wrote it"
        )
    return value
