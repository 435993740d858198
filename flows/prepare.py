"""What a run begins with: its folder and manifest, or those of the run that goes on."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from connectors.log_format import log_errors
from connectors.log_manifest import MANIFEST_NAME, Manifest, new_run_dir, write_manifest
from flows.member import ALONE
from flows.recovery import RunRecord, check_same, wait_until_begun
from flows.recovery import begin as begin_recovery
from flows.recovery import begun as already_begun
from flows.shards import Shards
from records import LogError, SightflowError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from flows.config import Configuration
    from flows.counts import RunCounts
    from flows.member import Member
    from flows.recovery import RecoverySettings
    from flows.reload import ReloadSettings
    from records import Detector

SOFTWARE = (
    "sightflow",
    "bytewax",
    "av",
    "numpy",
    "onnxruntime",
    "torch",
    "torchvision",
    "trackers",
)
"""The packages whose versions a run's manifest names, since they shape its results."""


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What to run.

    Attributes:
        configuration: The configuration.
        text: Its text, for the manifest; holds no secrets.
        folder: Where its relative paths count from.
        run_dir: The run's folder, if it is not to be made in the event log's directory.
        detector: The reference detector, if it is loaded already.
        console: Where the console sink writes; None for nowhere.
        watch: Called with the counts after each batch, for a progress display.
        recovery: Where it keeps what it needs to go on after a stop or a kill; None for nowhere.
        member: Which of the run's processes this is.
        ui: Where the dashboard is served, HOST:PORT, or empty text for where the configuration
            says; None for nowhere, unless the configuration asks for it.
        reload: How it learns that its configuration has changed; None where it may not change.
    """

    configuration: Configuration
    text: str
    folder: Path
    run_dir: Path | None = None
    detector: Detector | None = None
    console: Console | None = None
    watch: Callable[[RunCounts], None] | None = None
    recovery: RecoverySettings | None = None
    member: Member = ALONE
    ui: str | None = None
    reload: ReloadSettings | None = None


@dataclass(frozen=True, slots=True)
class Begun:
    """A run that has its folder.

    Attributes:
        manifest: What its event log is the log of.
        run_dir: Its folder; None when it keeps no event log.
        shards: The groups of its streams.
        resumed: Whether it goes on where it was stopped.
    """

    manifest: Manifest
    run_dir: Path | None
    shards: Shards
    resumed: bool


def prepare(request: RunRequest) -> Begun:
    """Give a run its folder, or find that of the run that goes on.

    Raises:
        SightflowError: there is no folder for it, or it may not go on from where it is told to.
    """
    configuration, recovery, member = request.configuration, request.recovery, request.member
    found = None
    if recovery is not None:
        found = already_begun(recovery) if member.is_first else wait_until_begun(recovery)
    count = found.shards if found else configuration.shards or member.processes
    if member.processes > count:
        raise SightflowError(
            f"a run of {count} shards can be shared by at most as many processes, got "
            f"{member.processes}; set shards in the configuration and begin anew"
        )
    shards = Shards(count, configuration.names)
    if recovery is None:
        return Begun(*begin(request), shards, resumed=False)
    sha256 = manifest_of(request, None).configuration_sha256
    wanted = RunRecord(configuration.name, sha256, count, "")
    if found is None:
        run_dir = _new_run_dir(request)
        # Noted first: who is killed from here on finds its folder again.
        told = "" if run_dir is None else str(run_dir.resolve())
        begin_recovery(recovery, replace(wanted, run_dir=told))
    else:
        check_same(recovery, found, wanted)
        run_dir = Path(found.run_dir) if found.run_dir else None
    return Begun(_with_manifest(request, run_dir), run_dir, shards, resumed=found is not None)


def begin(request: RunRequest) -> tuple[Manifest, Path | None]:
    """Make the run's folder and its manifest, if the run keeps an event log.

    Raises:
        LogError: the folder cannot be made, or holds a run already.
    """
    run_dir = _new_run_dir(request)
    return _with_manifest(request, run_dir), run_dir


def _new_run_dir(request: RunRequest) -> Path | None:
    """The folder of a run that begins; None when it keeps no event log."""
    configuration = request.configuration
    section, run_dir = configuration.sinks.event_log, request.run_dir
    if section is None:
        return None
    if run_dir is None:
        root = request.folder / section.directory
        return new_run_dir(root, configuration.name, time.time_ns())
    if request.member.is_first and (run_dir / MANIFEST_NAME).exists():
        raise LogError(f"{run_dir} holds a run already; name another folder")
    return run_dir


def _with_manifest(request: RunRequest, run_dir: Path | None) -> Manifest:
    """The run's manifest, which the first process writes into its folder."""
    manifest = manifest_of(request, run_dir)
    if run_dir is not None and request.member.is_first:
        if (run_dir / MANIFEST_NAME).exists():
            return manifest
        with log_errors("made", run_dir):
            run_dir.mkdir(parents=True, exist_ok=True)
        write_manifest(run_dir, manifest)
    return manifest


def manifest_of(request: RunRequest, run_dir: Path | None) -> Manifest:
    """What a run's event log is the log of, now."""
    return Manifest(
        name=request.configuration.name,
        run=run_dir.name if run_dir else "",
        created_ns=time.time_ns(),
        configuration=request.text,
        streams=request.configuration.names,
        software={name: _version(name) for name in SOFTWARE},
    )


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
