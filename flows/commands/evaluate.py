"""Commands that judge: evaluate cascade."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from connectors.video import VideoSettings
from flows.evaluate.cascade import evaluate_cascade, trained_cascade
from flows.evaluate.contract import ContractStudySettings, contract_study
from flows.evaluate.fitting import FitSettings
from flows.evaluate.optimise import Targets
from flows.evaluate.tuning import CascadeStudy
from flows.output import JsonOption, console, error_console, print_json
from flows.probe import count_frames
from flows.progress import download_progress, step_progress
from flows.trained import save_trained
from models.detectors import DetectorSettings, load_detector
from models.packet_training import PacketSettings
from models.training import TrainSettings
from operators.predicate import Predicate

VideoOption = Annotated[Path | None, typer.Option(help="A recorded video file.")]
"""The video that is judged on."""

TraceOption = Annotated[
    Path | None, typer.Option(help="A file of counts, one a line: study the contract on it.")
]
"""The trace that the contract is studied on."""


def cascade(
    *,
    video: VideoOption = None,
    class_name: Annotated[str, typer.Option("--class", help="The class to count.")] = "person",
    at_least: Annotated[int, typer.Option(min=1, help="The count from which it is a yes.")] = 1,
    zone: Annotated[
        str, typer.Option(help="Corners x1,y1,x2,y2,… in pixels; where objects must stand.")
    ] = "",
    target_recall: Annotated[
        float, typer.Option(min=0.01, max=0.9999, help="Least share of the yes frames to report.")
    ] = 0.95,
    target_precision: Annotated[
        float, typer.Option(min=0.01, max=0.9999, help="Least share of the reported to be right.")
    ] = 0.95,
    target_accuracy: Annotated[
        float, typer.Option(min=0, max=1, help="Least share of all frames to be right; 0 = any.")
    ] = 0.0,
    margin: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the allowed errors to plan with.")
    ] = 0.5,
    confidence: Annotated[
        float, typer.Option(min=0.5, max=0.9999, help="Of the certified bounds.")
    ] = 0.95,
    block_seconds: Annotated[
        float, typer.Option(min=0.1, help="Shortest block that certification counts as one.")
    ] = 60.0,
    detector: Annotated[str, typer.Option(help="The reference detector.")] = "auto",
    weights: Annotated[str | None, typer.Option(help="A local file of its weights.")] = None,
    score_at_least: Annotated[
        float, typer.Option(min=0, max=1, help="Boxes with a lower score do not count.")
    ] = 0.3,
    require_certificate: Annotated[
        bool, typer.Option("--require-certificate", help="Run only a plan that is certified.")
    ] = False,
    time_budget: Annotated[
        float, typer.Option(min=1, help="Most seconds of training for one small model.")
    ] = 60.0,
    save: Annotated[
        Path | None, typer.Option(help="A folder for the trained cascade, for 'sightflow run'.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of everything that is random.")] = 0,
    trace: TraceOption = None,
    repeats: Annotated[int, typer.Option(min=1, help="Repetitions of that study.")] = 200,
    json: JsonOption = False,
) -> None:
    """Find a cascade on the first half of a video, and judge it on the second.

    With --trace, study instead how often the accuracy contract is kept.
    """
    if (video is None) == (trace is None):
        raise typer.BadParameter("say --video FILE, or --trace FILE for the study of the contract")
    if trace is not None:
        settings = ContractStudySettings(
            trace=trace, repeats=repeats, seed=seed, target_recall=target_recall,
            target_precision=target_precision, confidence=confidence,
        )  # fmt: skip
        _print_studies(settings, json=json)
        return
    assert video is not None
    fit = FitSettings(
        packets=PacketSettings(seed=seed, seconds=time_budget),
        specialised=TrainSettings(seed=seed, seconds=time_budget),
    )
    study = CascadeStudy(
        video=VideoSettings(uri=str(video)),
        frames=count_frames(video),
        predicate=Predicate(class_name, at_least, _corners(zone)),
        targets=Targets(target_recall, target_precision, target_accuracy, margin),
        confidence=confidence,
        fit=fit,
        block_seconds=block_seconds,
        require_certificate=require_certificate,
    )
    wanted = DetectorSettings(
        model=detector, weights=weights, score_at_least=score_at_least, classes=(class_name,)
    )
    with download_progress("detector") as progress:
        loaded = load_detector(wanted, progress=progress)
    with error_console().status("") as status:
        found = evaluate_cascade(study, loaded, lambda step: status.update(f"{step} …"))
    saved = {} if save is None else {"saved": str(save)}
    if save is not None:
        save_trained(save, trained_cascade(study, found, loaded.name))
    if json:
        print_json({"ok": True, "detector": loaded.name, **found.report, **saved})
    else:
        console().print(_cascade_table(loaded.name, found.report))


def _print_studies(settings: ContractStudySettings, *, json: bool) -> None:
    """Study the contract without drift and with it, and print both."""
    studies: dict[str, dict[str, Any]] = {}
    for name, drift in (("steady", False), ("drifting", True)):
        with step_progress(f"{name}, repetitions", settings.repeats) as step:
            one = replace(settings, drift=drift)
            studies[name] = contract_study(one, lambda done, _: step(done))
    if json:
        print_json({"ok": True, **studies})
        return
    title = (
        f"How often the contract is kept: recall {settings.target_recall:.0%}, precision "
        f"{settings.target_precision:.0%} at {settings.confidence:.0%} confidence"
    )
    table = Table(title=title, title_justify="left")
    for column in ("Stream", "Rule", "Kept", "95 % interval", "Seen by the reference"):
        table.add_column(column)
    for name, study in studies.items():
        for rule, words in (("noscope", "in-sample"), ("sightflow", "certified and audited")):
            kept = study[rule]["kept_repetitions"]
            table.add_row(
                name,
                words,
                f"{kept['share']:.1%}",
                f"{kept['low']:.1%} to {kept['high']:.1%}",
                f"{study[rule]['mean_reference_share']:.1%}",
            )
    console().print(table)


def _corners(text: str) -> tuple[tuple[float, float], ...]:
    if not text:
        return ()
    try:
        numbers = [float(word) for word in text.split(",")]
    except ValueError:
        raise typer.BadParameter("--zone must be numbers: x1,y1,x2,y2,…") from None
    if len(numbers) % 2:
        raise typer.BadParameter("--zone must be pairs: x1,y1,x2,y2,…")
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))


def _accepted(contract: dict[str, Any]) -> str:
    """Which plan the contract may rest on, and how much video would tell more."""
    plan = " > ".join(contract["plan"]["stages"])
    if contract["accepted"]:
        return plan
    needed = contract["seconds_needed"]
    more = "no length of video would do" if needed is None else f"at least {needed / 60:.0f} min"
    return f"{plan} alone, until a plan is proven on more unseen video ({more})"


def _cascade_table(detector: str, result: dict[str, Any]) -> Table:
    table = Table(title="Judged on the second half, which tuning never saw", title_justify="left",
                  show_header=False)  # fmt: skip
    table.add_column("", style="bold")
    table.add_column("")
    certified, hold = result["certified"], result["hold_baseline"]
    rows = [
        ("question", result["predicate"]),
        ("plan", " > ".join(result["plan"]["stages"])),
        ("frames", f"{result['frames']}, {result['reference_calls']} of them seen by {detector}"),
        (
            "accuracy",
            (
                f"{result['frame_accuracy']:.2%} of frames, recall {result['recall']:.2%}, "
                f"precision {result['precision']:.2%}"
            ),
        ),
        (
            "certified",
            (
                f"recall at least {certified['recall_low']:.2%}, precision at least "
                f"{certified['precision_low']:.2%} at {certified['confidence']:.0%} confidence "
                f"({certified['blocks']} blocks of time)"
            ),
        ),
        ("the contract may use", _accepted(result["contract"])),
        ("speed", f"{result['fps']:.0f} frames/s, predicted {result['predicted_fps']:.0f}"),
        ("detector on every frame", f"{result['reference_fps']:.0f} frames/s"),
        ("speed-up", f"{result['speedup']:.1f}x"),
        (
            "every k-th frame and hold",
            (
                f"k = {hold['stride']}: {hold['frame_accuracy']:.2%} of frames, "
                f"{hold['speedup']:.1f}x"
            ),
        ),
        ("found in", f"{result['optimiser_seconds']:.0f} s"),
    ]
    for row in rows:
        table.add_row(*(escape(str(cell)) for cell in row))
    return table
