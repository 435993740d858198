"""The assertions of a replay: those of the configuration that a recording has the input for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from flows.assertions import load_assertions
from flows.lidar import lidar_assertions

if TYPE_CHECKING:
    from pathlib import Path

    from flows.assertions import Assertions
    from flows.config import Configuration


def replayed_assertions(
    configuration: Configuration, folder: Path, *, frames: bool
) -> Assertions | None:
    """Make the assertions of a configuration for a replay; None where it has none.

    Args:
        configuration: The configuration.
        folder: Where its relative paths count from.
        frames: Whether frames are replayed; the input's checks need their pixels.

    Raises:
        ConfigurationError: a setting is wrong, or a file cannot be loaded.
    """
    section = configuration.assertions
    if section is None:
        return None
    every = load_assertions(section, folder, lidars=configuration.lidars)
    absent = not_replayed(configuration, frames=frames)
    return replace(
        every,
        health=tuple(one for one in every.health if one.name not in absent),
        outputs=tuple(one for one in every.outputs if one.name not in absent),
    )


def not_replayed(configuration: Configuration, *, frames: bool) -> tuple[str, ...]:
    """The names of the assertions that a replay does not run: it has no LIDARs, perhaps no frames.

    Args:
        configuration: The configuration.
        frames: Whether frames are replayed.
    """
    if configuration.assertions is None:
        return ()
    names = {one.name for one in lidar_assertions(configuration.lidars or {})}
    if not frames:
        names |= set(configuration.assertions.health)
    return tuple(sorted(names))
