"""Planned training, part 1: does the simulator know how long a plan's step takes?

Five networks, each under plans from regular to wild, run real training steps on two processes
over gloo. The runtime's constants are fitted on one network; the steps of the others are then
predicted, and compared with what was measured. Plans take turns, so that a disturbance of the
machine hits all alike, and medians count.

Of each network: the mean relative error, the rank correlation of Spearman, and the regret, by
which the plan that is predicted to be the fastest is slower than the one that is.

Left out: more ranks than cores, GPUs, and networks whose step takes seconds.

Run: ``python -m benchmarks.soap [PLANS] [NETWORK...]`` on a machine that does nothing else; 24
plans of each of all networks without arguments. Writes benchmarks/results/soap.json and soap.png.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
import torch
from scipy.stats import spearmanr

from benchmarks.hardware import hardware
from models.architecture import Architecture, build_network
from models.ecg_network import EcgArchitecture, EcgNetwork
from models.soap import nets
from models.soap.calibrate import fit
from models.soap.calibrate_steps import TimingSettings, time_steps
from models.soap.cost import MeasuredCosts
from models.soap.machine import Runtime, this_machine
from models.soap.random_plans import sample_plans
from models.soap.ranks import Ranks, RankSettings
from models.soap.simulate import Simulator
from models.soap.trace import trace

mpl.use("agg")
from matplotlib import pyplot as plt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import nn

    from models.soap.graph import Graph
    from models.soap.plan import Plan

RANKS = 2
"""How many processes: one for each core of the machine that the bars are for."""

PLANS = 24
"""Plans of each network."""

FITTED = "alexnet"
"""The network whose steps the constants are fitted on."""

TIMING = TimingSettings(rounds=7, round_seconds=0.25)
"""How steps are timed."""

TASK_SECONDS = 3600.0
"""The longest that all steps of a network may take, seconds."""

BARS = {"mean_error": 0.12, "spearman": 0.88, "regret": 0.02}
"""What is aimed at on networks that were not fitted: at most, at least, at most."""

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Case:
    """A network to plan for.

    Attributes:
        build: Makes it.
        shapes: Shapes of its inputs.
        whole: Whether they are whole numbers.
        class_axis: The axis of the classes of its output.
    """

    build: Callable[[], nn.Module]
    shapes: tuple[tuple[int, ...], ...]
    whole: bool = False
    class_axis: int = 1

    def graph(self) -> Graph:
        """The network with its loss, as a graph."""
        torch.manual_seed(0)
        kind = torch.int64 if self.whole else torch.float32
        with warnings.catch_warnings():
            # torch.export warns of what LSTMs do to their own attributes.
            warnings.simplefilter("ignore", UserWarning)
            model = self.build().train()
            graph = trace(model, [torch.zeros(shape, dtype=kind) for shape in self.shapes])
        return graph.with_cross_entropy(class_axis=self.class_axis)


CASES = {
    "alexnet": Case(lambda: nets.alexnet(16, 10), ((16, 3, 64, 64),)),
    "perceptron": Case(lambda: nets.perceptron(256, 512, 10, 3), ((128, 256),)),
    "inception": Case(lambda: nets.inception(16, 10), ((16, 3, 48, 48),)),
    "specialised": Case(
        lambda: build_network(Architecture(layers=4, size=50), 3).to_empty(device="cpu"),
        ((32, 3, 50, 50),),
    ),
    "ecg": Case(lambda: EcgNetwork(EcgArchitecture(), 4), ((16, 1, 2048),)),
    "translator": Case(
        lambda: nets.Translator(500, 96), ((16, 8), (16, 7)), whole=True, class_axis=-1
    ),
}
"""The networks by name; parameters are drawn anew before steps are timed."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A network, its plans, and what was measured.

    Attributes:
        name: The network.
        simulator: Simulates it.
        plans: The plans.
        seconds: The step of each.
        spent: What measuring took: operators, then steps, seconds.
    """

    name: str
    simulator: Simulator
    plans: Sequence[Plan]
    seconds: NDArray[np.float64]
    spent: tuple[float, float]


def measure(ranks: Ranks, name: str, count: int) -> Measured:
    """Measure the operators of a network's plans, then the plans' steps."""
    graph = CASES[name].graph()
    plans, costs = sample_plans(graph, RANKS, count), MeasuredCosts(graph, ranks)
    begin = time.perf_counter()
    costs.prepare(
        (node, box)
        for plan in plans
        for node in graph.nodes
        for box in plan.partitions[node.group].boxes(node.operator.dimensions)
    )
    middle = time.perf_counter()
    seconds = np.array(time_steps(ranks, graph, plans, TIMING))
    spent = (middle - begin, time.perf_counter() - middle)
    return Measured(name, Simulator(graph, this_machine(RANKS), costs), plans, seconds, spent)


def judge(measured: Measured, runtime: Runtime) -> dict[str, Any]:
    """Compare predicted with measured steps of a network."""
    simulator = measured.simulator.on(this_machine(RANKS, runtime))
    predicted = np.array([simulator.seconds(plan) for plan in measured.plans])
    chosen = measured.seconds[int(np.argmin(predicted))]
    return {
        "network": measured.name,
        "fitted": measured.name == FITTED,
        "mean_error": float(np.mean(np.abs(predicted / measured.seconds - 1))),
        "bias": float(np.mean(predicted / measured.seconds - 1)),
        "spearman": float(spearmanr(predicted, measured.seconds)[0]),
        "regret": float(chosen / measured.seconds.min() - 1),
        "single_seconds": float(measured.seconds[0]),
        "data_parallel_seconds": float(measured.seconds[1]),
        "measuring_operators_seconds": measured.spent[0],
        "measuring_steps_seconds": measured.spent[1],
        "predicted": predicted.tolist(),
        "measured": measured.seconds.tolist(),
    }


def draw(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw predicted against measured steps of each network."""
    figure, axes = plt.subplots(
        1, len(rows), figsize=(3.6 * len(rows), 3.8), squeeze=False, layout="constrained"
    )
    for axis, row in zip(axes[0], rows, strict=True):
        measured, predicted = 1e3 * np.array([row["measured"], row["predicted"]])
        ends = np.array(
            [min(measured.min(), predicted.min()), max(measured.max(), predicted.max())]
        )
        axis.plot(ends, ends, color="silver", linewidth=1)
        axis.plot(measured[2:], predicted[2:], "o", markersize=4, color="tab:blue", label="plans")
        axis.plot(measured[0], predicted[0], "^", color="tab:red", label="one device")
        axis.plot(measured[1], predicted[1], "s", color="tab:green", label="data parallel")
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_xlabel("measured step, ms")
        fitted = " (fitted)" if row["fitted"] else ""
        axis.set_title(
            f"{row['network']}{fitted}\nerror {row['mean_error']:.1%}, rank correlation "
            f"{row['spearman']:.2f}",
            fontsize=9,
        )
        axis.grid(visible=True, which="both", alpha=0.25)
    axes[0][0].set_ylabel("predicted step, ms")
    axes[0][0].legend(fontsize=8)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def tell(row: dict[str, Any]) -> None:
    """Print the figures of a network."""
    sys.stdout.write(
        f"{row['network']:>12}{' (fitted)' if row['fitted'] else '':<10} "
        f"error {row['mean_error']:.3f} (bias {row['bias']:+.3f})  spearman {row['spearman']:.3f}  "
        f"regret {row['regret']:.3f}  one device {1e3 * row['single_seconds']:.1f} ms  "
        f"data parallel {1e3 * row['data_parallel_seconds']:.1f} ms\n"
    )


def main() -> None:
    """Measure, fit, predict, print, write and draw."""
    torch.set_num_threads(1)
    count = int(sys.argv[1]) if len(sys.argv) > 1 else PLANS
    names = [FITTED, *(name for name in sys.argv[2:] or CASES if name != FITTED)]
    with Ranks(RankSettings(RANKS, task_seconds=TASK_SECONDS)) as ranks:
        measured = [measure(ranks, name, count) for name in names]
    fitted = measured[0]
    runtime, _ = fit([(fitted.simulator, fitted.plans)], [fitted.seconds])
    rows = [judge(one, runtime) for one in measured]
    value = {
        "date": datetime.now(UTC).date().isoformat(),
        "hardware": hardware(),
        "ranks": RANKS,
        "timing": asdict(TIMING),
        "bars": BARS,
        "runtime": asdict(runtime),
        "networks": rows,
    }
    value = json.loads(json.dumps(value), parse_float=lambda text: float(f"{float(text):.5g}"))
    (RESULTS / "soap.json").write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    draw(rows, RESULTS / "soap.png")
    for row in rows:
        tell(row)


if __name__ == "__main__":
    main()
