"""Checks of the Kafka section: its values fit each other, secrets stay out of the file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from connectors.kafka.topics import HOLDS, TopicKind, kind_of_topic
from flows.config.document import REFERENCE, mapping
from flows.config.kafka_section import KafkaSection
from flows.config.model import FROM_KAFKA
from flows.kafka import kafka_settings, read_settings, write_settings
from records import RecordError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flows.config.document import Document
    from flows.config.document import Path as KeyPath

_FILES = ("ca_file", "certificate_file", "key_file")


def check_kafka(document: Document, value: dict[str, Any], folder: Path) -> None:
    """Add the faults of the Kafka section, and of streams that want one.

    Args:
        document: The document; faults are added to it.
        value: Its plain values.
        folder: Where relative paths count from.
    """
    section, streams = mapping(value.get("kafka")), mapping(value.get("streams"))
    reads = bool(mapping(section.get("read")))
    if not streams and not reads and not mapping(value.get("signals")):
        remedy = "Name a stream with its uri, a signal, or what is read under kafka.read."
        document.fault(("streams",), "", "there is no input", remedy)
    for name, stream in streams.items():
        if mapping(stream).get("uri") == FROM_KAFKA and not reads:
            key: KeyPath = ("streams", name, "uri")
            document.fault(key, FROM_KAFKA, "needs kafka.read", "Say there which topics are read.")
    if section:
        _check_secrets(document, section)
        _check_files(document, section, folder)
        _check_settings(document, section, folder)
        _check_loop(document, section)


def _check_secrets(document: Document, section: dict[str, Any]) -> None:
    for name in ("username", "password"):
        path: KeyPath = ("kafka", name)
        secret = section.get(name)
        if isinstance(secret, str) and not REFERENCE.fullmatch(document.written.get(path, "")):
            remedy = "Keep it in the environment and write ${NAME} here."
            document.fault(path, "", "must not stand in the file", remedy)


def _check_files(document: Document, section: dict[str, Any], folder: Path) -> None:
    for name in _FILES:
        file = section.get(name)
        if isinstance(file, str) and not (folder / file).is_file():
            remedy = f"Relative paths count from {folder.resolve()}."
            document.fault(("kafka", name), repr(file), "is no file", remedy)


def _check_settings(document: Document, plain: dict[str, Any], folder: Path) -> None:
    """Let the parts that take the settings say what they think of them."""
    try:
        section = KafkaSection.model_validate(plain)
    except ValidationError:
        return  # told of already
    asked: list[tuple[KeyPath, Callable[[], object]]] = [
        (("kafka",), lambda: kafka_settings(section, folder))
    ]
    if (read := section.read) is not None:
        asked.append((("kafka", "read"), lambda: read_settings(read)))
    if section.write is not None:
        asked.append((("kafka", "write"), lambda: write_settings(section, "flow")))
    for path, make in asked:
        try:
            make()
        except RecordError as error:
            document.fault(path, "", "has values that do not fit", f"The {error}.")


def _check_loop(document: Document, section: dict[str, Any]) -> None:
    """A topic that is both read and written would feed the flow with its own records."""
    if section.get("write") is None or not mapping(section.get("read")):
        return
    prefix = section.get("topic_prefix", "sightflow")
    write = mapping(section["write"])
    kinds = write.get("kinds", ["verdict", "event", "estimate", "alert"])
    for topic, told in mapping(mapping(section["read"]).get("topics")).items():
        held = told or kind_of_topic(topic)
        if held not in tuple(TopicKind) or topic != f"{prefix}.{held}":
            continue  # another flow's topic, or none of ours
        if set(HOLDS[TopicKind(str(held))]) & set(kinds):
            remedy = "Give what is written another topic_prefix, or take the kind out of its kinds."
            problem = "is read and written by the same flow"
            document.fault(("kafka", "read", "topics", topic), "", problem, remedy)
