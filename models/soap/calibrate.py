"""What the runtime adds on this machine, found from real steps.

Messages timed by themselves say little of steps: there, caches are cold and ranks come late. So
the few constants of `machine.Runtime` are fitted such that simulated steps of some plans of some
nets last as long as the measured ones; other nets are then predicted with them.
"""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.optimize import least_squares

from models.soap.calibrate_steps import TimingSettings, time_steps
from models.soap.cost import MeasuredCosts
from models.soap.machine import Runtime, this_machine
from models.soap.simulate import Simulator
from records import RecordError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from models.soap.graph import Graph
    from models.soap.plan import Plan
    from models.soap.ranks import Ranks

MOST_CALIBRATION_BYTES = 65_536
"""The largest calibration that is read, bytes."""

PRIOR_WEIGHT = 0.03
"""How strongly a constant of which the plans say nothing is drawn to its typical value: the
residual, as a share of the step, that a factor of e away from it counts as."""

ROBUST_SCALE = 0.1
"""Relative errors far above this count less, since they come from disturbed measurements."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Constants of the runtime, and where they come from.

    Attributes:
        runtime: The constants.
        ranks: How many ranks there were.
        plans: How many plans were timed.
        error: Mean relative error of the plans that were fitted.
        date: When, YYYY-MM-DD.
        hardware: Where: processor, cores, software.
    """

    runtime: Runtime
    ranks: int
    plans: int
    error: float
    date: str
    hardware: Mapping[str, str]

    def save(self, path: Path) -> None:
        """Write it as JSON, in one piece."""
        written = path.with_suffix(".part")
        written.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")
        written.replace(path)

    @classmethod
    def load(cls, path: Path) -> Calibration:
        """Read what `save` wrote.

        Raises:
            RecordError: the file cannot be read or is no calibration.
        """
        try:
            with path.open("rb") as file:
                data = file.read(MOST_CALIBRATION_BYTES + 1)
            found = json.loads(data[:MOST_CALIBRATION_BYTES])
            return cls(**{**found, "runtime": Runtime(**found["runtime"])})
        except (OSError, OverflowError, TypeError, KeyError, ValueError, RecursionError) as error:
            raise RecordError(
                f"a calibration must be a file that was saved here, got '{path}': {error}. "
                "Calibrate again"
            ) from error


def calibrate(
    ranks: Ranks,
    cases: Sequence[tuple[Graph, Sequence[Plan]]],
    settings: TimingSettings | None = None,
) -> Calibration:
    """Time plans and fit the runtime's constants to them.

    Args:
        ranks: The ranks of this machine.
        cases: Graphs with their losses, and plans for as many devices as there are ranks; of
            all kinds, so that each constant shows: see `random_plans.sample_plans`.
        settings: How steps are timed.

    Raises:
        RecordError: there are no plans, or one does not fit.
    """
    simulators, measured = [], []
    for graph, plans in cases:
        costs = MeasuredCosts(graph, ranks)
        machine = this_machine(ranks.settings.count)
        simulators.append((Simulator(graph, machine, costs), plans))
        measured.append(np.array(time_steps(ranks, graph, plans, settings)))
    runtime, error = fit(simulators, measured)
    return Calibration(
        runtime,
        ranks.settings.count,
        sum(len(plans) for _, plans in cases),
        error,
        datetime.now(UTC).date().isoformat(),
        _hardware(),
    )


def fit(
    cases: Sequence[tuple[Simulator, Sequence[Plan]]], measured: Sequence[NDArray[np.float64]]
) -> tuple[Runtime, float]:
    """The constants with which simulated steps last as long as measured ones.

    Args:
        cases: Simulators of a machine with a runtime, and plans.
        measured: The step of each plan of each case, seconds.

    Returns:
        The constants, and the mean relative error that is left.

    Raises:
        RecordError: there are no plans.
    """
    wanted = np.concatenate([np.zeros(0), *measured])
    if not len(wanted):
        raise RecordError("a calibration needs plans, got none")
    typical = Runtime()
    names = [field.name for field in fields(Runtime)]
    start = np.log([getattr(typical, name) for name in names])

    def predicted(logs: NDArray[np.float64]) -> NDArray[np.float64]:
        runtime = Runtime(**dict(zip(names, np.exp(logs).tolist(), strict=True)))
        return np.array(
            [
                simulator.on(this_machine(len(simulator.machine.devices), runtime)).seconds(plan)
                for simulator, plans in cases
                for plan in plans
            ]
        )

    def residuals(logs: NDArray[np.float64]) -> NDArray[np.float64]:
        apart = np.log(predicted(logs) / wanted)
        return np.concatenate([apart, PRIOR_WEIGHT * (logs - start)])

    highest = np.where([name == "alone_factor" for name in names], 0.0, np.inf)
    solved = least_squares(
        residuals, start, bounds=(-np.inf, highest), loss="soft_l1", f_scale=ROBUST_SCALE,
        diff_step=1e-3, xtol=1e-4, ftol=1e-4,
    )  # fmt: skip
    logs = np.minimum(solved.x, highest)
    runtime = Runtime(**dict(zip(names, np.exp(logs).tolist(), strict=True)))
    return runtime, float(np.mean(np.abs(predicted(logs) / wanted - 1)))


def _hardware() -> dict[str, str]:
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": str(os.cpu_count()),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
