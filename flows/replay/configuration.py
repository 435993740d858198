"""Configurations as replays take them: other inputs, and outputs of their own."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from connectors.lines import STANDARD_OUTPUT
from flows import config
from flows.config import Configuration, EventLogSection, SinksSection
from flows.config.document import read_document
from records import ConfigurationError

if TYPE_CHECKING:
    from flows.config import JsonLinesSection

NOT_NEEDED = re.compile(r"streams\.[^.]*\.uri|detector\.weights|metrics(\..*)?")
"""Keys whose faults do not keep a recording from being replayed: where it came from, and what
stood beside the run."""

NOT_DELIVERED = re.compile(r"sinks\.webhooks.*|kafka.*|retraining.*")
"""Keys whose faults do not matter where nothing is delivered."""


def load_for_replay(path: Path, *, deliver: bool) -> tuple[Configuration, str]:
    """Load a configuration whose own inputs need not be there.

    Args:
        path: The file.
        deliver: Whether webhooks and Kafka are to be written to.

    Returns:
        The configuration, and the file's text.

    Raises:
        ConfigurationError: something else is wrong with it.
    """
    try:
        return config.load(path)
    except ConfigurationError as error:
        bars = [
            fault
            for fault in error.faults
            if not NOT_NEEDED.fullmatch(fault.key)
            and (deliver or not NOT_DELIVERED.fullmatch(fault.key))
        ]
        if bars:
            raise ConfigurationError(bars) from None
    text = path.read_text(encoding="utf-8-sig")
    document = read_document(text, str(path), os.environ)
    return Configuration.model_validate(document.value), text


def kept_sinks(configuration: Configuration, run_dir: Path, *, deliver: bool) -> Configuration:
    """The configuration with the sinks of a replay: nothing of a live run is added to.

    The event log is always written. JSON lines go to files of the same names in the run's folder.
    Webhooks, Kafka and the retraining queue are left out unless they are asked for.

    Args:
        configuration: The configuration.
        run_dir: The replay's folder.
        deliver: Whether these are written to.
    """
    sinks = configuration.sinks
    taken: set[str] = set()
    changed = SinksSection(
        event_log=sinks.event_log or EventLogSection(),
        json_lines=[_moved(lines, run_dir, taken) for lines in sinks.json_lines],
        console=sinks.console,
        webhooks=sinks.webhooks if deliver else [],
    )
    kafka = configuration.kafka
    if kafka is not None:
        writes = deliver and kafka.write is not None
        kafka = kafka.model_copy(update={"read": None}) if writes else None
    queue = configuration.retraining if deliver else None
    return configuration.model_copy(update={"sinks": changed, "kafka": kafka, "retraining": queue})


def left_out_sinks(configuration: Configuration) -> tuple[str, ...]:
    """What of the configuration's sinks a replay leaves out unless it is to deliver."""
    kafka = configuration.kafka
    writes = kafka is not None and kafka.write is not None
    return (
        ("webhooks",) * bool(configuration.sinks.webhooks)
        + ("kafka",) * writes
        + ("retraining",) * (configuration.retraining is not None)
    )


def no_sinks(configuration: Configuration) -> Configuration:
    """The configuration without any sink."""
    nothing = SinksSection(event_log=None, console=None)
    return configuration.model_copy(update={"sinks": nothing, "kafka": None, "retraining": None})


def _moved(lines: JsonLinesSection, run_dir: Path, taken: set[str]) -> JsonLinesSection:
    if lines.path == STANDARD_OUTPUT:
        return lines
    name = Path(lines.path).name
    while name in taken:
        name = f"other-{name}"
    taken.add(name)
    return lines.model_copy(update={"path": str(run_dir.resolve() / name)})
