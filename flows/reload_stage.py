"""One configuration of a run, ready to run, and what is noted where it takes up from another."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import structlog

from connectors.log_manifest import ConfigurationChange, read_manifest, write_manifest
from flows.build import build
from flows.recovery import begin, begun
from flows.reload_flow import Suspension, stateful_signatures
from flows.reload_states import file_digests, part_of, signatures

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bytewax.dataflow import Dataflow

    from connectors.log_manifest import Manifest
    from flows.build import Parts
    from flows.prepare import RunRequest
    from flows.reload import Difference

_log = structlog.get_logger()


def digests(request: RunRequest) -> dict[str, str]:
    """The digests of the files that a run's configuration names.

    Raises:
        OSError: one cannot be read.
    """
    return file_digests(request.configuration, request.folder)


@dataclass(frozen=True, slots=True)
class Stage:
    """One configuration of a run, ready to run.

    Attributes:
        request: What is run.
        manifest: What the event log is the log of now.
        parts: What the dataflow is built from.
        files: The digests of the files that the configuration names.
        flow: The dataflow.
        signatures: The signature of each of its stateful steps.
        suspension: Ends it.
    """

    request: RunRequest
    manifest: Manifest
    parts: Parts
    files: Mapping[str, str]
    flow: Dataflow
    signatures: Mapping[str, str]
    suspension: Suspension = field(default_factory=Suspension)

    @classmethod
    def of(cls, request: RunRequest, manifest: Manifest, parts: Parts) -> Stage:
        """Build the dataflow of a configuration."""
        files = digests(request)
        told = signatures(request.configuration, parts.assertions, files)
        flow = build(request.configuration, parts)
        found = stateful_signatures(flow, lambda step: told.get(part_of(step), ""))
        return cls(request, manifest, parts, files, flow, found)


def note(following: Stage, reached: Mapping[str, int], run_dir: Path | None) -> None:
    """Note in the run's folder and its store which configuration holds from here on."""
    manifest, recovery = following.manifest, following.request.recovery
    assert recovery is not None
    found = begun(recovery)
    assert found is not None, "the store is there"
    begin(recovery, replace(found, configuration_sha256=manifest.configuration_sha256))
    if run_dir is None:
        return
    known = read_manifest(run_dir)
    change = ConfigurationChange(
        time.time_ns(),
        manifest.configuration,
        manifest.configuration_sha256,
        dict(following.files),
        dict(reached),
    )
    streams = dict.fromkeys((*known.streams, *manifest.streams))
    write_manifest(
        run_dir, replace(known, streams=tuple(streams), changes=(*known.changes, change))
    )


def tell(before: Stage, following: Stage, changed: Difference) -> None:
    """Say in one line what has changed, and which parts of the dataflow begin anew."""
    now = following.signatures
    anew = {part_of(step) for step, one in before.signatures.items() if now.get(step) != one}
    _log.info(
        "the configuration has changed",
        configuration=following.manifest.configuration_sha256[:12],
        added=list(changed.added),
        removed=list(changed.removed),
        sections=list(changed.sections),
        adapted_or_anew=sorted(anew),
    )
