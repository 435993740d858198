"""The plan of a round's training: how its work is parted over devices."""

from __future__ import annotations

import json
import math
import os
from typing import TYPE_CHECKING, Any

import structlog

from models.planned_steps import Planning
from models.soap.planned import AUTO, DATA_PARALLEL, SINGLE, PlanChoice

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from flows.training.kinds import RoundData
    from flows.training.settings import TrainingJob
    from models.soap.planned import Opened

MOST_DEVICES = 8
"""The most processes that a training beside a running flow takes."""

DECISION = "plan.json"
"""The file in a round's folder that tells which plan runs; a round that goes on keeps to it."""

ADOPTED = "adopted.json"
"""The file in a round's folder that holds a plan that was searched for."""

_log = structlog.get_logger()


def plan_of(job: TrainingJob) -> dict[str, Any]:
    """What is known of the plan before the training, plain JSON values."""
    return {"asked": job.section.plan, "executed": SINGLE}


def executed_plan(data: RoundData) -> dict[str, Any]:
    """The plan that was asked for and the one that ran, plain JSON values.

    Where several were tried also their predicted and measured steps, seconds; where one device
    was taken at once, or devices were lost, the reason.
    """
    return {**plan_of(data.job), **_decision(data.folder)}


def planning_of(data: RoundData) -> Planning | None:
    """How a round's training is to be planned; None for this process alone."""
    section = data.job.section
    how, decided = section.plan, _decision(data.folder)
    if SINGLE in (how, decided.get("executed")):
        return None
    if how not in {AUTO, DATA_PARALLEL}:
        how = str(data.job.folder / how)
    elif decided:
        adopted = data.folder / ADOPTED
        how = str(adopted) if adopted.is_file() else DATA_PARALLEL
    cores = len(os.sched_getaffinity(0))
    devices = max(1, min(cores // section.threads, MOST_DEVICES))
    choice = PlanChoice(how, devices, threads=section.threads)
    return Planning(choice, lambda opened: _decide(data.folder, opened, decided))


def _decide(folder: Path, opened: Opened, before: Mapping[str, Any]) -> None:
    """Write down what was opened; what was measured before a kill is kept."""
    told: dict[str, Any] = {**before, "executed": opened.name}
    if opened.plan is not None and opened.plan.devices > 1:
        _replace(folder / ADOPTED, opened.plan.to_json())
        told["devices"] = opened.plan.devices
        # The file of an adopted plan is no name to show.
        told["executed"] = before.get("executed") or opened.name
    if opened.reason:
        told["reason"] = opened.reason
    if opened.adoption is not None:
        measured = opened.adoption.measured
        told["measured_seconds"] = {name: each.seconds for name, each in measured.items()}
        told["predicted_seconds"] = {
            name: seconds if math.isfinite(seconds) else None
            for name, seconds in opened.predicted.items()
        }
    _replace(folder / DECISION, json.dumps(told))
    _log.info("plan", **told)


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def _decision(folder: Path) -> dict[str, Any]:
    """What was decided before; empty where nothing was, or it cannot be read."""
    try:
        found = json.loads((folder / DECISION).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        _log.warning("the training is planned anew", reason=str(error))
        return {}
    return found if isinstance(found, dict) else {}
