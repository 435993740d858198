"""How good the search for plans is, on published machines and in real steps.

- *optimum*: graphs that are small enough to try every plan: what each method finds over the best.
- *quality*: the default search beside FlexFlow's chain (two temperatures) for as long, on
  simulated clusters; the picture shows the best step over time.
- *speed-up*: simulated steps on the clusters of FlexFlow, section 8, for AlexNet, Inception-v3 and
  a translator, over data parallel; the paper measured 1.2 to 3.3. Also told is the speed-up over
  the faster of it and a ring whose messages cost no time beside computing.
- *measured*: AlexNet for small images on two processes of this machine: one device, data parallel,
  torch's DistributedDataParallel and the best plans, in turns.

Run: ``python -m benchmarks.soap_search [--quick] [--only PART]``. Writes
benchmarks/results/soap_search.json and soap_search.png.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torchvision
from matplotlib.figure import Figure

from benchmarks.hardware import hardware
from benchmarks.soap_search_ddp import DdpTrial
from flows.plan import PlanRequest, make_plan
from flows.plan_models import plan_model
from models.soap import nets
from models.soap.adopt import AdoptSettings
from models.soap.candidates import CandidateSettings
from models.soap.cost import AnalyticCosts
from models.soap.machine import Machine
from models.soap.machines_published import find_machine
from models.soap.plan import data_parallel
from models.soap.planned import rivals
from models.soap.ranks import Ranks, RankSettings
from models.soap.search import Found, Method, SearchSettings, search
from models.soap.simulate import Simulator
from models.soap.training import PlannedTraining
from models.soap.training_settings import LossSettings, OptimiserSettings
from models.specialised import torch_threads

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from models.soap.graph import Graph
    from models.soap.training import Example

RESULTS = Path(__file__).parent / "results"
"""Where results go."""

METHODS = {
    "default": SearchSettings(Method.DEFAULT),
    "mcmc, 50 a second": SearchSettings(Method.MCMC, beta=50.0),
    "mcmc, 2000 a second": SearchSettings(Method.MCMC, beta=2000.0),
}
"""What is compared. The paper gives no temperature; its code takes 0.05 a millisecond."""

SECONDS, QUICK_SECONDS = 60.0, 4.0
"""Time of one search, seconds."""

DEEP_FACTOR = 5
"""Inception-v3 has five times the operators of the others, and gets as many times the time."""

TURNS, STEPS = 30, 5
"""Turns of the measured steps, and steps in each."""

BATCH = 16
"""Samples of a measured step."""


def _alexnet() -> tuple[nn.Module, list[torch.Tensor], LossSettings]:
    return torchvision.models.alexnet().train(), [torch.zeros(256, 3, 224, 224)], LossSettings()


def _inception() -> tuple[nn.Module, list[torch.Tensor], LossSettings]:
    model = torchvision.models.inception_v3(aux_logits=False, init_weights=False).train()
    return model, [torch.zeros(64, 3, 299, 299)], LossSettings()


def _translator() -> tuple[nn.Module, list[torch.Tensor], LossSettings]:
    words = torch.zeros((64, 20), dtype=torch.int64)
    return nets.Translator(32_000, 1024).train(), [words, words], LossSettings(class_axis=-1)


def _perceptron() -> tuple[nn.Module, list[torch.Tensor], LossSettings]:
    return nets.perceptron(4096, 4096, 1000, 1), [torch.zeros(64, 4096)], LossSettings()


NETS: dict[str, Callable[[], tuple[nn.Module, list[torch.Tensor], LossSettings]]] = {
    "alexnet": _alexnet,
    "translator": _translator,
    "inception_v3": _inception,
}
"""The networks of the paper that are planned for: with their batch of the paper, 64 or 256."""


def graph_of(make: Callable[[], tuple[nn.Module, list[torch.Tensor], LossSettings]]) -> Graph:
    """A network's graph, without memory for its weights."""
    with torch.device("meta"):
        model, inputs, loss = make()
    return loss.graph(model, inputs)


def simulator(graph: Graph, name: str, devices: int) -> Simulator:
    """The first devices of a published machine."""
    machine = find_machine(name)
    some = Machine(machine.name, machine.devices[:devices], machine.links, machine.runtime)
    return Simulator(graph, some, AnalyticCosts(graph, some))


def optimum(seconds: float) -> list[dict[str, Any]]:
    """What each method finds where every plan can be tried."""
    graph, rows = graph_of(_perceptron), []
    for devices, most in ((2, 64), (4, 12), (8, 8)):
        predictor, few = simulator(graph, "p100", devices), CandidateSettings(most)
        every = search(
            graph,
            predictor,
            devices,
            SearchSettings(Method.EXHAUSTIVE, seconds=3600, candidates=few),
        )
        for name, settings in METHODS.items():
            limited = replace(settings, seconds=min(seconds, 10.0), candidates=few)
            found = search(graph, predictor, devices, limited)
            rows.append(
                {
                    "devices": devices,
                    "plans": every.evaluated,
                    "method": name,
                    "over_optimum": found.seconds / every.seconds,
                    "evaluated": found.evaluated,
                }
            )
            _say(f"optimum, {devices} devices, {name}: {rows[-1]['over_optimum']:.4f}")
    return rows


def quality(seconds: float) -> list[dict[str, Any]]:
    """What each method finds in the same time."""
    rows = []
    for net, devices in (("alexnet", 4), ("alexnet", 16), ("translator", 4), ("translator", 16)):
        graph = graph_of(NETS[net])
        for name, settings in METHODS.items():
            predictor = simulator(graph, "p100", devices)  # a new one: nothing is known yet
            found = search(graph, predictor, devices, replace(settings, seconds=seconds))
            rows.append({"net": net, "devices": devices, "method": name, **_found(found)})
            _say(f"quality, {net} on {devices}, {name}: {found.seconds * 1e3:.3f} ms")
    return rows


def speedups(seconds: float, *, quick: bool) -> list[dict[str, Any]]:
    """Simulated steps over data parallel."""
    sizes = {"p100": (4, 8, 16), "k80": (4, 16, 32, 64)}
    rows = []
    for net, make in NETS.items():
        graph, deep = graph_of(make), net == "inception_v3"
        for cluster, counts in sizes.items():
            for devices in counts:
                if devices > (4 if quick else 16 if deep else 64):
                    continue
                predictor = simulator(graph, cluster, devices)
                budget = seconds * (DEEP_FACTOR if deep else 1)
                found = search(graph, predictor, devices, SearchSettings(seconds=budget))
                ring = ring_seconds(predictor, devices)
                row = {"net": net, "cluster": cluster, "devices": devices, **_found(found)}
                row["over_data_parallel"] = found.data_parallel / found.seconds
                row["over_ring"] = min(ring, found.data_parallel) / found.seconds
                row["ring_seconds"] = ring
                rows.append(row)
                _say(
                    f"speed-up, {net} on {devices} {cluster}: {row['over_data_parallel']:.2f} over "
                    f"data parallel, {row['over_ring']:.2f} over a ring, if faster"
                )
    return rows


def ring_seconds(predictor: Simulator, devices: int) -> float:
    """Data parallel with a ring all-reduce that costs nothing beside computing: a lower bound.

    A ring moves 2 (n - 1) / n of the parameters over its slowest link (Patarasuk and Yuan,
    "Bandwidth optimal all-reduce algorithms for clusters of workstations", 2009).
    """
    machine, graph = predictor.machine, predictor.graph
    busy = dict.fromkeys(range(devices), 0.0)
    for task in predictor.run(data_parallel(graph, devices)).tasks:
        if isinstance(task.place, int):
            busy[task.place] += task.end - task.start
    n_bytes = 4 * sum(torch.Size(parameter.shape).numel() for parameter in graph.parameters)
    share = 2 * (devices - 1) / devices
    pairs = [(i, (i + 1) % devices) for i in range(devices)]
    slowest = max(machine.transfer_seconds(*pair, n_bytes) for pair in pairs)
    return max(*busy.values(), share * slowest)


def measured(seconds: float, *, quick: bool) -> dict[str, Any]:
    """Real steps on two processes, in turns."""
    model, optimiser = plan_model("alexnet"), OptimiserSettings()
    result = make_plan(PlanRequest(model, BATCH, 2, search=SearchSettings(seconds=seconds)))
    plans = rivals(result.graph, result.found, 2)
    network = model.network()
    example = model.example(network, BATCH)
    turns = AdoptSettings().least_turns if quick else TURNS
    with Ranks(RankSettings(2)) as ranks, torch_threads(1), ExitStack() as stack:
        steps: dict[str, Callable[[], float]] = {}
        for name, plan in plans.items():
            training = PlannedTraining(network, example, model.loss, optimiser, plan, ranks)
            stack.enter_context(training)
            steps[name] = _stepper(training, example)
        ddp = stack.enter_context(closing(DdpTrial("alexnet", example, optimiser, ranks)))
        steps["torch DDP"] = lambda: ddp.step(example)
        times: dict[str, list[float]] = {name: [] for name in steps}
        for _ in range(turns + 1):
            for name, step in steps.items():
                began = time.perf_counter()
                for _ in range(STEPS):
                    step()
                times[name].append((time.perf_counter() - began) / STEPS)
    found = {name: _spread(each[1:]) for name, each in times.items()}
    for name, each in found.items():
        _say(f"measured, {name}: {each['median'] * 1e3:.2f} ms")
    return {
        "net": "alexnet, 64 pixels",
        "batch": BATCH,
        "turns": turns,
        "steps_a_turn": STEPS,
        "predicted": {"single": result.found.single, "data_parallel": result.found.data_parallel,
                      "found": result.found.seconds},
        "seconds": found,
    }  # fmt: skip


def _stepper(training: PlannedTraining, example: Example) -> Callable[[], float]:
    return lambda: training.step(example.inputs, example.targets)


def _spread(times: list[float]) -> dict[str, float]:
    low, middle, high = statistics.quantiles(times, n=4)
    return {"median": middle, "lower_quartile": low, "upper_quartile": high}


def _found(found: Found) -> dict[str, Any]:
    return {
        "seconds": found.seconds,
        "single": found.single,
        "data_parallel": found.data_parallel,
        "evaluated": found.evaluated,
        "elapsed": found.elapsed,
        "complete": found.complete,
        "history": [[i.evaluated, round(i.elapsed, 3), i.seconds] for i in found.history],
    }


def draw(rows: list[dict[str, Any]]) -> Figure:
    """The best step over the time of the search, for each net and number of devices."""
    cases = sorted({(row["net"], row["devices"]) for row in rows})
    figure = Figure(figsize=(9.0, 6.5), layout="constrained")
    for place, (net, devices) in enumerate(cases, 1):
        axes = figure.add_subplot(2, 2, place)
        for row in rows:
            if (row["net"], row["devices"]) == (net, devices):
                times = [0.05, *(max(0.05, t) for _, t, _ in row["history"][1:]), row["elapsed"]]
                best = [s * 1e3 for _, _, s in row["history"]]
                axes.step(times, [*best, best[-1]], where="post", label=row["method"])
        axes.set(xscale="log", title=f"{net}, {devices} P100", xlabel="seconds of search",
                 ylabel="predicted step, ms")  # fmt: skip
        axes.legend(fontsize="small", frameon=False)
    return figure


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    """Measure, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="small, and nothing is written")
    parts = ("optimum", "quality", "speedups", "measured")
    parser.add_argument("--only", choices=parts, help="one part; the others stay as written")
    options = parser.parse_args()
    seconds = QUICK_SECONDS if options.quick else SECONDS
    torch.set_num_threads(1)
    made: dict[str, Callable[[], Any]] = {
        "optimum": lambda: optimum(seconds),
        "quality": lambda: quality(seconds),
        "speedups": lambda: speedups(seconds, quick=options.quick),
        "measured": lambda: measured(seconds, quick=options.quick),
    }
    path = RESULTS / "soap_search.json"
    result = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for part in parts:
        if options.only in {None, part}:
            result[part] = made[part]()
    if options.quick:
        return
    result |= {"date": datetime.now(UTC).date().isoformat(), "hardware": hardware()}
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    if "quality" in result:
        draw(result["quality"]).savefig(RESULTS / "soap_search.png", dpi=110)


if __name__ == "__main__":
    main()
