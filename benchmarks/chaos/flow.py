"""A run of Sightflow between two topics, started again whenever it fails."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import numpy as np

from benchmarks.chaos.bars import ROOT, ended, run_command
from connectors.replay import EventLog
from flows.picture import write_picture
from records import EventKind, StreamEvent

if TYPE_CHECKING:
    from pathlib import Path

    from connectors.kafka import KafkaSettings

CONFIGURATION = """\
version: 1
name: {name}
kafka:
  servers: ["{server}"]
  topic_prefix: {prefix}
  request_timeout_seconds: 10
  delivery_timeout_seconds: 20
  read: {{topics: {{{topic}: detections}}, watch_seconds: 2}}
  write: {{kinds: [verdict, event], transactions: {transactions}}}
detector: {{model: silhouette, weights: empty.png}}
track: null
sinks: {{console: null, event_log: {log}}}
"""
"""Reads detections, and writes them as verdicts."""

_SIDE = 64


@dataclass
class TopicFlow:
    """A run that reads detections from one topic and writes verdicts to another.

    Attributes:
        folder: Holds its configuration, and what it keeps.
        source: The topic that it reads.
        target: How the broker is reached; its prefix is that of the topics written.
        transactions: Whether each epoch is a transaction.
        recover: Whether it goes on where it was when it is started again.
        logged: Whether it keeps an event log.
        starts: How often it was started.
    """

    folder: Path
    source: str
    target: KafkaSettings
    transactions: bool = True
    recover: bool = True
    logged: bool = True
    starts: int = 0
    _process: subprocess.Popen[bytes] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        write_picture(self.folder / "empty.png", np.zeros((_SIDE, _SIDE, 3), np.uint8))
        text = CONFIGURATION.format(
            name=self.folder.name,
            server=self.target.servers,
            prefix=self.target.topic_prefix,
            topic=self.source,
            transactions=str(self.transactions).lower(),
            log="{}" if self.logged else "null",
        )
        self._configuration.write_text(text, encoding="utf-8")
        self._start()

    @property
    def log(self) -> Path:
        """The file of what it prints."""
        return self.folder / "printed"

    @property
    def told(self) -> str:
        """What the run printed."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    @property
    def pid(self) -> int:
        """The number of its process."""
        return self._process.pid

    @property
    def failed(self) -> bool:
        """Whether it has ended by itself."""
        return self._process.poll() is not None

    def keep(self) -> None:
        """Start it again if it has failed, as a supervisor would."""
        if self.failed:
            self._start()

    def end(self) -> int:
        """End it in order; its exit code."""
        return ended(self._process, self.log, interrupt=True)

    def missing(self) -> int:
        """How many numbers of its streams it said did not come."""
        (run_dir,) = (self.folder / "runs").iterdir()
        return sum(
            event.count
            for event in EventLog.open(run_dir).records()
            if isinstance(event, StreamEvent)
            and (event.kind, event.reason) == (EventKind.DROPPED, "missing")
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    @property
    def _configuration(self) -> Path:
        return self.folder / "flow.yaml"

    def _start(self) -> None:
        words = ["--recover", str(self.folder / "recovery")] if self.recover else []
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - this project's own command
                run_command(self._configuration, *words),
                cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip
        self.starts += 1
