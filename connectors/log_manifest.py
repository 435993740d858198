"""Run directories and their manifests: what ran, with which configuration, over which streams."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from connectors.codec import iso_time
from connectors.log_format import log_errors
from records import LogError, RecordError
from records.checks import check_name, check_time

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MANIFEST_VERSION = 1
"""The version of manifest.json."""

MANIFEST_NAME = "manifest.json"
"""The manifest's name in the run directory."""

_MOST_BYTES = 16 * 2**20
_MOST_RUNS_A_SECOND = 1000
_FIELDS: dict[str, type] = {
    "name": str,
    "run": str,
    "created_ns": int,
    "configuration": str,
    "configuration_sha256": str,
    "software": dict,
    "streams": list,
}


@dataclass(frozen=True, slots=True)
class ConfigurationChange:
    """A configuration that a run went on with.

    Attributes:
        time_ns: When it was taken up, nanoseconds since 1970 UTC.
        configuration: Its text.
        configuration_sha256: SHA-256 of the text, hexadecimal.
        files: SHA-256 of each file of assertions that it names.
        after_ns: Event time of the last frame of each stream before it, nanoseconds since 1970
            UTC; it holds for those after.
    """

    time_ns: int
    configuration: str
    configuration_sha256: str
    files: Mapping[str, str]
    after_ns: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an event log is the log of.

    Attributes:
        name: The flow's name.
        run: The run's name, that of its directory.
        created_ns: When the run began, nanoseconds since 1970 UTC.
        configuration: The configuration as it was at first; secrets in it are references to
            environment variables, so it holds none.
        streams: The streams' names.
        software: The version of each piece of software that shaped the results.
        configuration_sha256: SHA-256 of the configuration's text, hexadecimal.
        changes: The configurations that the run went on with, in order.
    """

    name: str
    run: str
    created_ns: int
    configuration: str
    streams: tuple[str, ...]
    software: Mapping[str, str] = field(default_factory=dict)
    configuration_sha256: str = ""
    changes: tuple[ConfigurationChange, ...] = ()

    def __post_init__(self) -> None:
        if not self.configuration_sha256:
            object.__setattr__(self, "configuration_sha256", self.sha256_of_configuration())

    def sha256_of_configuration(self) -> str:
        """SHA-256 of the configuration's text, computed anew."""
        return sha256(self.configuration.encode("utf-8", "surrogatepass")).hexdigest()

    def text_of(self, configuration_sha256: str) -> str | None:
        """The configuration that has a SHA-256; None where the run had none such."""
        known = {one.configuration_sha256: one.configuration for one in self.changes}
        return {self.configuration_sha256: self.configuration, **known}.get(configuration_sha256)


def new_run_dir(root: Path, name: str, created_ns: int) -> Path:
    """Make a fresh directory ``root/name-20260131T235959Z`` for a run, with -2, -3 … if taken.

    Args:
        root: Where runs are kept; made if it is not there.
        name: The flow's name.
        created_ns: When the run begins, nanoseconds since 1970 UTC.

    Raises:
        LogError: the directory cannot be made.
    """
    moment = iso_time(created_ns)[:19].replace("-", "").replace(":", "")
    stem = f"{quote(name, safe='').lstrip('.') or 'run'}-{moment}Z"
    with log_errors("made", root / stem):
        root.mkdir(parents=True, exist_ok=True)
        for number in range(1, _MOST_RUNS_A_SECOND):
            path = root / (stem if number == 1 else f"{stem}-{number}")
            try:
                path.mkdir()
            except FileExistsError:
                continue
            return path
    raise LogError(f"{root} holds {_MOST_RUNS_A_SECOND - 1} runs named {stem}; give another folder")


def write_manifest(run_dir: Path, manifest: Manifest) -> Path:
    """Write RUN_DIR/manifest.json at one stroke: it is there whole, or as it was before.

    Raises:
        LogError: it cannot be written.
    """
    path = run_dir / MANIFEST_NAME
    values = {
        "schema_version": MANIFEST_VERSION,
        "created": iso_time(manifest.created_ns),
        **{name: getattr(manifest, name) for name in _FIELDS},
        "software": dict(manifest.software),
    }
    if manifest.changes:
        values["changes"] = [asdict(change) for change in manifest.changes]
    text = json.dumps(values, indent=2, sort_keys=True) + "\n"
    with log_errors("written", path):
        draft = path.with_name(f".{MANIFEST_NAME}.draft")
        with draft.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    return path


def read_manifest(run_dir: Path) -> Manifest:
    """Read RUN_DIR/manifest.json.

    Raises:
        LogError: there is none, or it is none that this release can read.
    """
    path = run_dir / MANIFEST_NAME
    if not path.is_file():
        raise LogError(f"{run_dir} is no run directory: it has no {MANIFEST_NAME}")
    with log_errors("read", path):
        if path.stat().st_size > _MOST_BYTES:
            raise LogError(f"{path} must be at most {_MOST_BYTES} bytes")
        data = path.read_bytes()
    try:
        values = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise LogError(f"{path} must be JSON: {error}") from error
    return _manifest(path, values)


def _manifest(path: Path, values: Any) -> Manifest:  # noqa: ANN401 - JSON may be anything
    version = values.get("schema_version") if isinstance(values, dict) else None
    if version != MANIFEST_VERSION:
        raise LogError(f"{path} must have schema_version {MANIFEST_VERSION}, got {version!r}")
    for name, kind in _FIELDS.items():
        if not isinstance(values.get(name), kind):
            raise LogError(f"{path} must have {name} as {kind.__name__}, got {values.get(name)!r}")
    try:
        check_time("created_ns", values["created_ns"])
    except RecordError as error:
        raise LogError(f"{path} must tell when its run began: {error}") from error
    try:
        for stream in values["streams"]:
            check_name("stream", stream)
    except RecordError as error:
        raise LogError(f"{path} must name its streams: {error}") from error
    known = {name: values[name] for name in _FIELDS}
    try:
        changes = tuple(ConfigurationChange(**one) for one in values.get("changes", ()))
    except TypeError as error:
        raise LogError(f"{path} must list the changes of its configuration: {error}") from error
    return Manifest(**known | {"streams": tuple(values["streams"]), "changes": changes})
