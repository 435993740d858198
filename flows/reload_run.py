"""Running a dataflow whose configuration may change: it is suspended, and a new one goes on.

All that can fail is done before: the changed configuration is checked, its models are loaded and
its dataflow is built while the old one runs. Then the old one ends in order, its states are stored,
and the new one takes them up. Videos stay open meanwhile.
"""

from __future__ import annotations

import contextlib
import tempfile
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from connectors.log_format import log_errors
from connectors.video.pool import VideoPool
from flows import config
from flows.build import build
from flows.engine import execute
from flows.prepare import manifest_of
from flows.recovery import RecoverySettings, RunRecord, begin
from flows.reload import check_change, difference, hangup_tells
from flows.reload_flow import make_suspendable, names_of
from flows.reload_stage import Stage, digests, note, tell
from flows.snapshots import keep_steps, stored_parts
from records import ConfigurationError, SightflowError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from connectors.log_manifest import Manifest
    from flows.build import Parts
    from flows.prepare import Begun, RunRequest
    from flows.reload import ReloadSettings

    Remake = Callable[[RunRequest, Manifest], Parts]

_STORE = "reload-"
_JOIN_SECONDS = 60.0
_LOOK_SECONDS = 0.1

_log = structlog.get_logger()


def run_stages(request: RunRequest, began: Begun, parts: Parts, remake: Remake) -> Parts:
    """Run a configuration to its end, through all its changes; the parts of the last one.

    Args:
        request: What to run.
        began: Its folder.
        parts: What its dataflow is built from.
        remake: Makes the parts of a changed configuration.

    Raises:
        SightflowError: a part of a dataflow fails.
    """
    if request.reload is None and request.recovery is None:
        execute(build(request.configuration, parts), None, request.member)
        return parts
    with contextlib.ExitStack() as held:
        if request.recovery is None:
            request = replace(request, recovery=held.enter_context(_temporary_store(began)))
        pool = VideoPool()
        held.callback(pool.close)
        stages = Stages(Stage.of(request, began.manifest, parts), began.run_dir, remake)
        held.enter_context(stages.watched())
        while True:
            stage = stages.current
            _execute(stage, pool)
            if not stages.next():
                return stage.parts


def _execute(stage: Stage, pool: VideoPool) -> None:
    recovery, member = stage.request.recovery, stage.request.member
    assert recovery is not None, "stages go on from what is stored"
    if member.processes == 1:
        keep_steps(recovery.store, names_of(stage.flow))
    make_suspendable(
        stage.flow,
        stage.signatures,
        stage.suspension,
        pool,
        lambda step: stored_parts(recovery.store, step) if member.processes == 1 else (),
    )
    execute(stage.flow, recovery, member)


class Stages:
    """The configurations of a run, one after the other.

    Args:
        first: The one that it begins with.
        run_dir: The run's folder; None when it keeps no event log.
        remake: Makes the parts of a changed configuration.

    Attributes:
        current: The one that holds.
    """

    def __init__(self, first: Stage, run_dir: Path | None, remake: Remake) -> None:
        self.current = first
        self._run_dir, self._remake = run_dir, remake
        self._known = dict(first.request.configuration.streams)
        self._told, self._over = threading.Event(), threading.Event()
        self._following: Stage | None = None
        self._changed = threading.Event()

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Meanwhile a changed configuration suspends the dataflow."""
        settings = self.current.request.reload
        if settings is None:
            yield
            return
        thread = threading.Thread(
            target=self._watch, args=(settings,), name="configuration", daemon=True
        )
        with hangup_tells(self._told):
            thread.start()
            try:
                yield
            finally:
                self._over.set()
                self._told.set()
                thread.join(_JOIN_SECONDS)

    def next(self) -> bool:
        """Go on to the next configuration; False where the run has ended with this one."""
        following, before = self._following, self.current
        if following is None:
            return False
        assert before.request.recovery is not None
        changed = difference(before.request.configuration, following.request.configuration)
        note(following, before.suspension.reached, self._run_dir)
        tell(before, following, changed)
        self._known |= following.request.configuration.streams
        self.current, self._following = following, None
        self._changed.set()
        return True

    def _watch(self, settings: ReloadSettings) -> None:
        """Look for changes; one is taken up once it has stayed the same from one look to the next.

        An editor may write a file in several steps. What stands there at first is looked at too:
        it may have changed since the run has read it.
        """
        seen, taken = _fingerprint(self.current.request), None
        while not self._over.is_set():
            asked = self._told.wait(settings.poll_seconds)
            self._told.clear()
            if self._over.is_set():
                return
            if not asked and not settings.watch:
                continue
            found = _fingerprint(self.current.request)
            settled, seen = found == seen, found
            if asked or (settled and found != taken):
                taken = found
                self._take_up(settings, asked=asked)

    def _take_up(self, settings: ReloadSettings, *, asked: bool) -> None:
        """Take up what stands in the files now; the run goes on as before where it is at fault."""
        try:
            following = self._prepared(settings)
        except ConfigurationError as error:
            faults = [str(fault) for fault in error.faults]
            _log.error("the changed configuration is at fault; the old one holds", faults=faults)
        except (SightflowError, OSError) as error:
            _log.error("the changed configuration cannot hold; the old one does", error=str(error))
        else:
            if following is not None:
                self._suspend(following)
            elif asked:
                _log.info("the configuration is as it was")

    def _prepared(self, settings: ReloadSettings) -> Stage | None:
        """The changed configuration, ready to run; None where nothing has changed."""
        before = self.current
        configuration, text = config.load(settings.path)
        request = replace(before.request, configuration=configuration, text=text)
        if text == before.request.text and digests(request) == before.files:
            return None
        # A stream that comes back goes on where it was, so it must be the same one.
        known = {name: self._known[name] for name in configuration.streams if name in self._known}
        old = before.request.configuration
        check_change(
            old.model_copy(update={"streams": known | old.streams}), configuration, settings.path
        )
        manifest = manifest_of(request, self._run_dir)
        return Stage.of(request, manifest, self._remake(request, manifest))

    def _suspend(self, following: Stage) -> None:
        before = self.current
        changed = difference(before.request.configuration, following.request.configuration)
        self._changed.clear()
        self._following = following
        before.suspension.ask(frozenset(changed.removed), following.signatures)
        while not self._over.is_set() and not self._changed.wait(_LOOK_SECONDS):
            continue


@contextlib.contextmanager
def _temporary_store(began: Begun) -> Iterator[RecoverySettings]:
    """A store of states for a run that keeps none, in its folder or in the system's for such.

    Raises:
        LogError: it cannot be made.
    """
    with log_errors("made", began.run_dir or Path(tempfile.gettempdir())):
        made = tempfile.TemporaryDirectory(prefix=_STORE, dir=began.run_dir)
    with made as folder:
        settings = RecoverySettings(Path(folder))
        begin(settings, RunRecord(began.manifest.name, began.manifest.configuration_sha256, 1, ""))
        yield settings


def _fingerprint(request: RunRequest) -> tuple[tuple[str, int, int], ...]:
    """The size and time of the configuration's file and of those that it names."""
    assert request.reload is not None
    section = request.configuration.assertions
    names = [] if section is None else [*section.files, *filter(None, [section.calibration])]
    found = []
    for path in (request.reload.path, *(request.folder / name for name in names)):
        try:
            stat = path.stat()
        except OSError:
            # Between two steps of an editor; what is missing for good is told when it is read.
            found.append((str(path), -1, -1))
        else:
            found.append((str(path), stat.st_size, stat.st_mtime_ns))
    return tuple(found)
