"""References to models of the registry in a configuration: ``registry:NAME``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flows.config import Configuration

REGISTRY = "registry:"
"""What such a reference begins with."""


def registry_name(text: str | None) -> str | None:
    """The model's name in a reference to the registry; None for a file or folder, or nothing.

    >>> registry_name("registry:gate"), registry_name("cascades/gate")
    ('gate', None)
    """
    if text is None or not text.startswith(REGISTRY):
        return None
    return text.removeprefix(REGISTRY)


def cascade_reference(configuration: Configuration, stream: str) -> str | None:
    """The name of the registry's cascade that a stream follows; None where it follows none."""
    section = configuration.streams.get(stream)
    own = None if section is None else section.trained
    return registry_name(own or configuration.cascade.trained)
