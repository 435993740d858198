"""From a configuration's retraining section to the settings of what nominates, admits and keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connectors.queue_file import QueueSettings
from connectors.queue_pictures import PictureSettings
from connectors.video import redact
from operators.assertions.api import CLASSIFICATION
from operators.assertions.class_change import ClassChange
from operators.retraining_settings import AdmissionSettings, NominationSettings
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flows.assertions import Assertions
    from flows.config import Configuration, RetrainingSection
    from operators.alerting import AlertOrigin
    from operators.assertions.api import Assertion

LEAST_HOLD_SECONDS = 1 / NANOSECONDS
"""With assertions frames wait at least until these have looked at the next one, seconds."""


def queue_settings(section: RetrainingSection) -> QueueSettings:
    """How much the queue keeps."""
    return QueueSettings(
        most_items=section.most_items,
        most_per_stream=section.most_per_stream,
        most_bytes=section.most_bytes,
        keep_seconds=section.keep_seconds,
        file_bytes_at_most=section.file_bytes_at_most,
        busy_seconds=section.busy_seconds,
    )


def picture_settings(section: RetrainingSection) -> PictureSettings:
    """How pictures are made."""
    return PictureSettings(
        around_box=section.crop == "box",
        side_at_most=section.crop_side_at_most,
        quality=section.jpeg_quality,
    )


def admission_settings(section: RetrainingSection) -> AdmissionSettings:
    """Which nominated items are admitted."""
    return AdmissionSettings(section.most_per_episode, section.near_bits)


def frame_nominations(
    configuration: Configuration, assertions: Assertions | None, origin: AlertOrigin
) -> NominationSettings:
    """Which frames are nominated.

    Args:
        configuration: The configuration, with a retraining section.
        assertions: What looks at the frames; None for nothing.
        origin: The reference detector, and the configuration's SHA-256.
    """
    watching = [] if assertions is None else assertions.outputs
    about_frames = [one for one in watching if not _is_about_signals(one)]
    uris = {name: redact(stream.uri) for name, stream in configuration.streams.items()}
    return _nominations(configuration, assertions, about_frames, origin.model, origin, uris)


def window_nominations(
    configuration: Configuration, assertions: Assertions | None, origin: AlertOrigin
) -> NominationSettings:
    """Which windows of signals are nominated; as for frames."""
    watching = () if assertions is None else assertions.outputs
    uris = {name: ", ".join(signal.records) for name, signal in configuration.signals.items()}
    model = "" if configuration.classifier is None else configuration.classifier.model
    return _nominations(configuration, assertions, watching, model, origin, uris)


def _nominations(
    configuration: Configuration,
    assertions: Assertions | None,
    watching: Iterable[Assertion],
    model: str,
    origin: AlertOrigin,
    uris: dict[str, str],
) -> NominationSettings:
    section = configuration.retraining
    assert section is not None, "asked only where there is a queue"
    hold_seconds = 0.0
    if assertions is not None:
        longest = max((one.window_seconds for one in watching), default=0.0)
        asked = longest if section.hold_seconds is None else section.hold_seconds
        hold_seconds = max(asked, LEAST_HOLD_SECONDS)
    return NominationSettings(
        random_seconds=section.random_seconds,
        reference_seconds=section.reference_seconds,
        hold_seconds=hold_seconds,
        most_places=section.most_places,
        clear_seconds=section.clear_seconds,
        ignored=frozenset() if assertions is None else assertions.health_names,
        seed=section.seed,
        uris=uris,
        model=model,
        configuration=origin.configuration,
    )


def _is_about_signals(assertion: Assertion) -> bool:
    """Whether it looks at classes of signals alone: frames need not wait for it."""
    return isinstance(assertion, ClassChange) and assertion.output == CLASSIFICATION
