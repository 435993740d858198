"""Checks across keys, and against the world outside: files, environment, the detector's classes.

They look at the plain values, so that they find their faults even when other keys are wrong.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from typing import TYPE_CHECKING, Any

from connectors.outbound import parse_url
from connectors.video.uri import parse_uri
from connectors.webhook_settings import (
    FEWEST_SECRET_BYTES,
    MOST_SECRET_BYTES,
    SECRET_PREFIX,
    is_secret,
)
from flows.config.check_assertions import check_assertions
from flows.config.check_cascade import check_cascade
from flows.config.check_kafka import check_kafka
from flows.config.check_models import check_models
from flows.config.check_paths import check_folder
from flows.config.check_retraining import check_retraining
from flows.config.check_signals import check_signals
from flows.config.check_training import check_training
from flows.config.check_ui import check_ui
from flows.config.document import REFERENCE, mapping
from flows.config.faults import show
from flows.config.model import FROM_KAFKA, StreamSection
from flows.model_reference import registry_name
from models.detectors import class_names_of
from models.detectors.settings import SILHOUETTE
from records import DetectorError, RecordError

if TYPE_CHECKING:
    from pathlib import Path

    from flows.config.document import Document
    from flows.config.document import Path as KeyPath


def cross_check(document: Document, folder: Path) -> None:
    """Add the faults that no single key shows.

    Args:
        document: The document; faults are added to it.
        folder: Where relative paths count from.
    """
    value = document.value or {}
    for name, stream in mapping(value.get("streams")).items():
        _check_stream(document, ("streams", name), mapping(stream), folder)
    _check_detector(document, mapping(value.get("detector")), folder)
    _check_predicate(document, value)
    check_cascade(document, value, folder)
    check_models(document, value, folder)
    check_kafka(document, value, folder)
    check_assertions(document, value, folder)
    check_signals(document, value, folder)
    check_training(document, value)
    check_retraining(document, value, folder)
    check_ui(document, value)
    _check_alerts(document, value)
    _check_windows(document, value)
    sinks = mapping(value.get("sinks"))
    _check_outputs(document, sinks, folder)
    webhooks = [mapping(webhook) for webhook in _list(sinks.get("webhooks"))]
    urls = [webhook.get("url") for webhook in webhooks]
    for place, webhook in enumerate(webhooks):
        _check_webhook(document, ("sinks", "webhooks", place), webhook)
        if isinstance(urls[place], str) and urls[place] in urls[:place]:
            remedy = "Keep one of them, with the secrets of all."
            problem = "is the URL of two webhooks"
            document.fault(("sinks", "webhooks", place, "url"), "", problem, remedy)


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _texts(value: object) -> list[tuple[int, str]]:
    return [(place, text) for place, text in enumerate(_list(value)) if isinstance(text, str)]


def _check_stream(document: Document, path: KeyPath, stream: dict[str, Any], folder: Path) -> None:
    uri = stream.get("uri")
    if isinstance(uri, str) and uri and uri != FROM_KAFKA:
        _check_uri(document, (*path, "uri"), uri, folder)
    defaults = StreamSection.model_fields
    batch = stream.get("batch_frames", defaults["batch_frames"].default)
    memory = stream.get("frames_in_memory", defaults["frames_in_memory"].default)
    if isinstance(batch, int) and isinstance(memory, int) and batch > memory:
        document.fault(
            (*path, "frames_in_memory"),
            str(memory),
            f"must be at least batch_frames, which is {batch}",
            "Raise frames_in_memory or lower batch_frames.",
        )


def _check_uri(document: Document, path: KeyPath, uri: str, folder: Path) -> None:
    try:
        address = parse_uri(uri)
    except RecordError as error:
        document.fault(path, show(document, path, uri), "is no input", f"The {error}.")
        return
    if address.path is not None:
        _check_input(document, path, str(address.path), folder)


def _check_input(document: Document, path: KeyPath, text: str, folder: Path) -> None:
    problem = ""
    try:
        if not (folder / text).exists():
            problem = "does not exist"
        elif not os.access(folder / text, os.R_OK):
            problem = "may not be read"
    except (OSError, ValueError):
        problem = "is no usable path"
    if problem:
        remedy = f"Relative paths count from {folder.resolve()}."
        document.fault(path, show(document, path, text), problem, remedy)


def _check_detector(document: Document, detector: dict[str, Any], folder: Path) -> None:
    model = detector.get("model", "auto")
    if not isinstance(model, str):
        return
    try:
        class_names_of(model)
    except DetectorError as error:
        path: KeyPath = ("detector", "model")
        document.fault(path, show(document, path, model), "is no detector", f"The {error}.")
        return
    weights = detector.get("weights")
    if weights is None and model == SILHOUETTE:
        remedy = "Name a picture of the empty scene."
        document.fault(("detector", "weights"), "", "is missing", remedy)
    if isinstance(weights, str) and registry_name(weights) is None:
        _check_input(document, ("detector", "weights"), weights, folder)
    for place, name in _texts(detector.get("classes")):
        _check_class(document, ("detector", "classes", place), name, model)


def _check_predicate(document: Document, value: dict[str, Any]) -> None:
    predicate = mapping(mapping(value.get("cascade")).get("predicate"))
    counted = predicate.get("class")
    if isinstance(counted, str):
        path: KeyPath = ("cascade", "predicate", "class")
        _check_counted(document, path, counted, mapping(value.get("detector")))


def _check_counted(
    document: Document, path: KeyPath, counted: str, detector: dict[str, Any]
) -> None:
    """Check that the detector knows a class and keeps it."""
    kept = [name for _, name in _texts(detector.get("classes"))]
    if kept and counted not in kept:
        remedy = f"Add it to detector.classes, or use one of {', '.join(kept)}."
        document.fault(path, repr(counted), "is not kept by the detector", remedy)
    elif isinstance(model := detector.get("model", "auto"), str):
        _check_class(document, path, counted, model)


def _check_class(document: Document, path: KeyPath, name: str, model: str) -> None:
    try:
        vocabulary = class_names_of(model)
    except DetectorError:
        return  # told of at detector.model
    if vocabulary is not None and name not in vocabulary:
        remedy = f"{model} knows: {', '.join(sorted(vocabulary))}."
        document.fault(path, show(document, path, name), "is no class of the detector", remedy)


def _check_alerts(document: Document, value: dict[str, Any]) -> None:
    detector = mapping(value.get("detector"))
    streams = mapping(value.get("streams"))
    alerts = [mapping(alert) for alert in _list(value.get("alerts"))]
    names = Counter(alert.get("name") for alert in alerts if isinstance(alert.get("name"), str))
    for place, alert in enumerate(alerts):
        path: KeyPath = ("alerts", place)
        name, counted = alert.get("name"), alert.get("class")
        if isinstance(name, str) and names[name] > 1:
            document.fault(
                (*path, "name"), repr(name), "names two rules", "Give each rule its own name."
            )
        if isinstance(counted, str):
            _check_counted(document, (*path, "class"), counted, detector)
        for inner, stream in _texts(alert.get("streams")):
            if stream not in streams and not mapping(value.get("kafka")).get("read"):
                remedy = f"Use one of {', '.join(streams) or 'those under streams'}."
                document.fault((*path, "streams", inner), repr(stream), "is no stream", remedy)


def _check_windows(document: Document, value: dict[str, Any]) -> None:
    streams = [mapping(one) for one in mapping(value.get("streams")).values()]
    sections = [mapping(one) for one in _list(value.get("windows"))]
    names = Counter(one.get("name") for one in sections if isinstance(one.get("name"), str))
    for place, section in enumerate(sections):
        path: KeyPath = ("windows", place)
        name = section.get("name")
        if isinstance(name, str) and names[name] > 1:
            document.fault((*path, "name"), repr(name), "names two windows", "Give each its own.")
        for inner, counted in _texts(section.get("classes")):
            detector = mapping(value.get("detector"))
            _check_counted(document, (*path, "classes", inner), counted, detector)
        size, slide = section.get("size_seconds", 60.0), section.get("slide_seconds")
        if isinstance(size, int | float) and isinstance(slide, int | float) and slide > 0:
            panes = round(size / slide)
            if panes < 1 or not math.isclose(panes * slide, size):
                problem = f"does not divide size_seconds, which is {size}"
                document.fault((*path, "slide_seconds"), str(slide), problem, "Take one that does.")
        trained = mapping(value.get("cascade")).get("trained")
        if section.get("proxy_stride") is not None and not trained:
            problem = "needs the model of a trained cascade"
            document.fault((*path, "proxy_stride"), "", problem, "Add cascade.trained.")
        if section.get("in_zone") is True and not any(one.get("zone") for one in streams):
            remedy = "Give a stream its zone, or remove in_zone."
            document.fault((*path, "in_zone"), "true", "needs a stream with a zone", remedy)


def _check_outputs(document: Document, sinks: dict[str, Any], folder: Path) -> None:
    directory = mapping(sinks.get("event_log")).get("directory")
    if isinstance(directory, str):
        check_folder(document, ("sinks", "event_log", "directory"), directory, folder / directory)
    for place, lines in enumerate(_list(sinks.get("json_lines"))):
        path = mapping(lines).get("path")
        if isinstance(path, str) and path != "-":
            key: KeyPath = ("sinks", "json_lines", place, "path")
            if _is_folder(folder / path):
                document.fault(key, repr(path), "is a folder", "Name a file.")
            else:
                check_folder(document, key, path, (folder / path).parent)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False  # what is no usable path is told of by `check_folder`


def _check_webhook(document: Document, path: KeyPath, webhook: dict[str, Any]) -> None:
    url = webhook.get("url")
    if isinstance(url, str):
        try:
            parse_url(url)
        except RecordError as error:
            inner = (*path, "url")
            remedy = f"A{str(error)[1:]}."
            document.fault(inner, show(document, inner, url), "is no address", remedy)
    for place, secret in _texts(webhook.get("secrets")):
        _check_secret(document, (*path, "secrets", place), secret)


def _check_secret(document: Document, path: KeyPath, secret: str) -> None:
    written = document.written.get(path, "")
    if not REFERENCE.fullmatch(written):
        document.fault(
            path,
            show(document, path, secret),
            "must not stand in the file",
            "Keep it in the environment and write ${NAME} here.",
        )
    elif secret and not is_secret(secret):
        document.fault(
            path,
            written,
            "stands for no signing secret",
            f"It must be {SECRET_PREFIX} and then base64 of {FEWEST_SECRET_BYTES} to "
            f"{MOST_SECRET_BYTES} bytes.",
        )
