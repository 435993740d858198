"""Versions of trained models: what is said of each, and how it is written down.

``version.json`` lies beside a version's files and names each with its SHA-256. It is plain JSON;
nothing in it is ever run.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from typing import TYPE_CHECKING, Any

from records import DetectorError, RecordError
from records.checks import check_count, check_finite, check_name, check_time

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT_VERSION = 1
"""The version of the manifest that this code writes and reads."""

LARGEST_MANIFEST = 2**20
"""The largest manifest, bytes."""

_SHA256 = re.compile(r"[0-9a-f]{64}")


class ModelKind(StrEnum):
    """What a version's files are: a trained cascade, a detector or an ECG model."""

    CASCADE = "cascade"
    DETECTOR = "detector"
    ECG = "ecg"


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure of a model, measured on data that it was not trained on.

    Attributes:
        value: The figure.
        low: The lower end of its interval; None where there is no interval.
        high: The upper end.
        n: How many independent items it rests on; None where that is not known.

    Raises:
        RecordError: a number is not finite, or the interval has one end or is upside down.

    >>> Metric(0.93, low=0.90, high=0.95, n=400).value
    0.93
    """

    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None

    def __post_init__(self) -> None:
        check_finite("value", self.value)
        if (self.low is None) != (self.high is None):
            raise RecordError("low and high must both be given or both be None")
        if self.low is not None and self.high is not None:
            check_finite("low", self.low)
            check_finite("high", self.high)
            if self.low > self.high:
                raise RecordError(f"low must be at most high, got {self.low} and {self.high}")
        if self.n is not None:
            check_count("n", self.n)


@dataclass(frozen=True, slots=True)
class NewVersion:
    """What is said of a version when it is added.

    Attributes:
        kind: What its files are.
        metrics: Its figures by name.
        data_sha256: SHA-256 of the data that it was trained on, hexadecimal.
        configuration: How it was trained, plain JSON.
        parent: The number of the version that it was trained on from; None for a first one.

    Raises:
        RecordError: a field breaks its contract; the message names it.
    """

    kind: ModelKind
    metrics: Mapping[str, Metric]
    data_sha256: str
    configuration: Mapping[str, Any]
    parent: int | None

    def __post_init__(self) -> None:
        if not isinstance(self.kind, ModelKind):
            raise RecordError(f"kind must be a ModelKind, got {self.kind!r}")
        _check_metrics(self.metrics)
        check_sha256("data_sha256", self.data_sha256)
        _check_json("configuration", self.configuration)
        if self.parent is not None:
            check_number("parent", self.parent)


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One version of a model in a registry.

    Attributes:
        name: The model's name.
        number: The version's number, from 1.
        kind: What its files are.
        created_ns: When it was added, nanoseconds since 1970 UTC.
        parent: The number of the version that it was trained on from; None for a first one.
        data_sha256: SHA-256 of the data that it was trained on, hexadecimal.
        metrics: Its figures by name.
        configuration: How it was trained, plain JSON.
        code_version: The version of Sightflow that added it.
        files: SHA-256 of each file, hexadecimal, by the file's name.

    >>> ModelVersion("gate", 4, ModelKind.ECG, 0, 3, "0" * 64, {}, {}, "0.1.0", {}).id
    'gate@4'
    """

    name: str
    number: int
    kind: ModelKind
    created_ns: int
    parent: int | None
    data_sha256: str
    metrics: Mapping[str, Metric]
    configuration: Mapping[str, Any]
    code_version: str
    files: Mapping[str, str]

    @property
    def id(self) -> str:
        """The version's identity, ``name@number``."""
        return f"{self.name}@{self.number}"


def check_number(field: str, value: object) -> None:
    """Raise RecordError unless `value` is a version's number: a whole number of at least 1."""
    check_count(field, value)
    if value == 0:
        raise RecordError(f"{field} must be a version's number, at least 1, got 0")


def check_sha256(field: str, value: object) -> None:
    """Raise RecordError unless `value` is a SHA-256 as 64 hexadecimal digits."""
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        raise RecordError(f"{field} must be a SHA-256, 64 hexadecimal digits, got {value!r}")


def version_to_bytes(version: ModelVersion) -> bytes:
    """A version as its manifest.

    Raises:
        DetectorError: it is larger than `LARGEST_MANIFEST`.
    """
    value = {
        "format": FORMAT_VERSION,
        "name": version.name,
        "number": version.number,
        "kind": version.kind.value,
        "created_ns": version.created_ns,
        "parent": version.parent,
        "data_sha256": version.data_sha256,
        "metrics": {name: asdict(metric) for name, metric in version.metrics.items()},
        "configuration": dict(version.configuration),
        "code_version": version.code_version,
        "files": dict(version.files),
    }
    data = (json.dumps(value, indent=2, allow_nan=False) + "\n").encode()
    if len(data) > LARGEST_MANIFEST:
        raise DetectorError(
            f"the manifest of {version.id} must be at most {LARGEST_MANIFEST} bytes, "
            f"it would have {len(data)}; make its configuration smaller"
        )
    return data


def version_from_bytes(data: bytes, name: str, number: int) -> ModelVersion:
    """A version from its manifest.

    Raises:
        RecordError: the bytes are no manifest that this release can read, or another version's.
    """
    try:
        value = json.loads(data)
        found = (value["format"], value["name"], value["number"])
        metrics = {name: Metric(**one) for name, one in value["metrics"].items()}
        new = NewVersion(ModelKind(value["kind"]), metrics, value["data_sha256"],
                         value["configuration"], value["parent"])  # fmt: skip
        files, created_ns, code = dict(value["files"]), value["created_ns"], value["code_version"]
    except (AttributeError, KeyError, OverflowError, RecursionError, TypeError,
            ValueError) as error:  # fmt: skip
        raise RecordError(f"{type(error).__name__}: {error}") from error
    if found != (FORMAT_VERSION, name, number):
        raise RecordError(f"format, name and number are {found}")
    check_time("created_ns", created_ns)
    check_name("code_version", code)
    for file, sha256 in files.items():
        check_sha256(f"the hash of {file}", sha256)
    return ModelVersion(name, number, new.kind, created_ns, new.parent, new.data_sha256,
                        metrics, new.configuration, code, files)  # fmt: skip


def code_version() -> str:
    """The version of Sightflow that runs; ``unknown`` in a checkout that is not installed."""
    try:
        return installed_version("sightflow")
    except PackageNotFoundError:
        return "unknown"


def _check_metrics(metrics: Mapping[str, Metric]) -> None:
    for name, metric in metrics.items():
        check_name("a metric's name", name)
        if not isinstance(metric, Metric):
            raise RecordError(f"metrics[{name}] must be a Metric, got {metric!r}")


def _check_json(field: str, value: Mapping[str, Any]) -> None:
    try:
        plain = json.loads(json.dumps(dict(value), allow_nan=False))
    except (RecursionError, TypeError, ValueError) as error:
        raise RecordError(f"{field} must be plain JSON: {error}") from error
    if set(plain) != set(value):
        raise RecordError(f"{field} must have text as keys, got {sorted(map(repr, value))}")
