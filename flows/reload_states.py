"""What of the states of a flow's operators still fits when its settings have changed.

A state goes on unchanged where the settings of its step are the same. Where they are not, alerts
keep the episodes of rules that watch the same, assertions what they know where they are the same,
and the cascade the frames that wait for a decision. All else begins anew.
"""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import file_digest, sha256
from typing import TYPE_CHECKING, Any

from flows.assertions_loading import BUILT_IN
from flows.model_reference import registry_name
from operators.alerting import EpisodeState
from operators.routing import StreamState
from operators.stream_cascade import CascadeState

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pydantic import BaseModel

    from flows.assertions import Assertions
    from flows.config import Configuration
    from operators.assertions.monitor import MonitorState

_RULES = "rules"
_CASCADE = "cascade"
_ASSERTIONS = "answer_assertions"
_HEALTH = "health"


def windows_step(name: str) -> str:
    """The first part of the steps of a section of windows; the engine allows no dots in it.

    >>> windows_step("hall.north")
    'windows_hall:north'
    """
    return "windows_" + name.replace(".", ":")


def file_digests(configuration: Configuration, folder: Path) -> dict[str, str]:
    """SHA-256 of each file that a configuration names: of assertions and trained cascades.

    Args:
        configuration: The configuration.
        folder: Where its relative paths count from.

    Raises:
        OSError: one cannot be read.
    """
    section = configuration.assertions
    names = [] if section is None else [*section.files, section.calibration]
    trained = [configuration.cascade.trained]
    trained += [stream.trained for stream in configuration.streams.values()]
    names += [name for name in trained if registry_name(name) is None]
    return {name: _digest(folder / name) for name in dict.fromkeys(names) if name is not None}


def _digest(path: Path) -> str:
    if not path.is_dir():
        with path.open("rb") as file:
            return file_digest(file, "sha256").hexdigest()
    found = [f"{one.name}:{_digest(one)}\n" for one in sorted(path.iterdir()) if one.is_file()]
    return sha256("".join(found).encode()).hexdigest()


def signatures(
    configuration: Configuration, assertions: Assertions | None, files: Mapping[str, str]
) -> dict[str, str]:
    """The settings of each part of a flow whose states depend on them, by its first step.

    Args:
        configuration: The configuration.
        assertions: Its assertions; None without.
        files: The digests of its files.
    """
    detector = configuration.detector.model_dump_json()
    told = {
        _CASCADE: json.dumps(_cascades(configuration, files)),
        _RULES: json.dumps([_watched(one) for one in configuration.alerts]),
        "track": _text(configuration.track),
    }
    for section in configuration.windows:
        step = windows_step(section.name)
        told[f"{step}_observe"] = told[f"{step}_window"] = section.model_dump_json() + detector
    return told if assertions is None else told | _assertion_signatures(assertions, files)


def _assertion_signatures(assertions: Assertions, files: Mapping[str, str]) -> dict[str, str]:
    """The same of assertions; those of files are taken to change with any of the files."""
    section = assertions.section
    alerts = section.alerts
    own = json.dumps(dict(files), sort_keys=True)
    built_in = {str(name): settings for name, settings in section.outputs.items()}
    checks = {
        one.name: _json(built_in.get(one.name)) if one.name in BUILT_IN else own
        for one in assertions.outputs
    }
    return {
        _ASSERTIONS: json.dumps(checks),
        _HEALTH: _json(section.health),
        "corrections": _json([section.correct, section.hold_seconds]),
        "answer_alerts": _json(None if alerts is None else alerts.false_alarms_per_day),
    }


def _cascades(configuration: Configuration, files: Mapping[str, str]) -> dict[str, str]:
    """The settings of all streams' cascades, and what each stream has of its own, by stream."""
    section, detector = configuration.cascade, configuration.detector
    shared = section.model_dump_json() + detector.model_dump_json()
    own = {
        name: f"{one.trained} {files.get(one.trained)}"
        for name, one in configuration.streams.items()
        if one.trained is not None
    }
    return {"": f"{shared} {files.get(section.trained or '')}"} | own


def _json(value: object) -> str:
    # Settings of assertions may hold what YAML knows and JSON does not.
    return json.dumps(value, default=str)


def part_of(step: str) -> str:
    """The first step of the part of a flow that a step belongs to.

    >>> part_of("street.rules.episodes")
    'rules'
    """
    return step.split(".")[1]


def fitting(step: str, before: str, now: str, state: Any) -> Any:  # noqa: ANN401 - any step's state
    """What of a state fits the settings that hold now; None for nothing.

    Args:
        step: The step's identity.
        before: The signature of the settings that it was made with.
        now: The signature of those that hold.
        state: The state.
    """
    if before == now:
        return state
    part = part_of(step)
    if part == _RULES:
        return _fitting_rules(json.loads(before), json.loads(now), state)
    if part == _CASCADE:
        return _fitting_cascades(json.loads(before), json.loads(now), state)
    if part == _ASSERTIONS:
        return _fitting_checks(json.loads(before), json.loads(now), state)
    return None


def _watched(rule: BaseModel) -> list[Any]:
    """A rule's name, and what it counts where; its figures may change under an open episode."""
    values = rule.model_dump()
    return [values["name"], values["class_name"], sorted(values["streams"])]


def _text(section: BaseModel | None) -> str:
    return "" if section is None else section.model_dump_json()


def _fitting_rules(
    before: list[Any], now: list[Any], states: tuple[EpisodeState, ...]
) -> tuple[EpisodeState, ...]:
    known = {json.dumps(rule): state for rule, state in zip(before, states, strict=True)}
    return tuple(known.get(json.dumps(rule), EpisodeState()) for rule in now)


def _fitting_cascades(
    before: Mapping[str, str], now: Mapping[str, str], states: Mapping[str, CascadeState]
) -> dict[str, CascadeState]:
    """Frames that were taken and not decided are decided in any case."""
    same = before[""] == now[""]
    return {
        stream: state if same and before.get(stream) == now.get(stream) else _waiting(state)
        for stream, state in states.items()
    }


def _waiting(state: CascadeState) -> CascadeState:
    return CascadeState(StreamState(waiting=state.router.waiting, before=state.router.before))


def _fitting_checks(
    before: Mapping[str, str], now: Mapping[str, str], state: MonitorState
) -> MonitorState:
    changed = {name for name, text in now.items() if before.get(name) != text}
    return replace(
        state,
        checks={name: one for name, one in state.checks.items() if name not in changed},
        failing={name: one for name, one in state.failing.items() if name not in changed},
    )
