"""The command that judges the ECG model: evaluate ecg."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from flows.evaluate.ecg import EcgStudy, evaluate_ecg
from flows.evaluate.ecg_records import read_ecg_records
from flows.output import JsonOption, console, print_json
from flows.progress import step_progress
from models.assets import FOLDER_VARIABLE
from models.ecg import CLASSES, RATE_HZ, EcgModel
from models.ecg_data import LabelledSignal, Split, split_records
from models.ecg_training import EcgTrainSettings, train_ecg
from records import RecordError

ASSET_PATH = Path("ecg", "cinc2017")
"""Where the records of the challenge lie in a folder of assets."""

DataOption = Annotated[
    Path | None,
    typer.Option(
        help="A folder of WFDB records with REFERENCE.csv; "
        f"{ASSET_PATH.as_posix()} in ${FOLDER_VARIABLE} by default."
    ),
]
"""Where the records lie."""

ModelOption = Annotated[
    Path | None, typer.Option(help="A trained model (.safetensors); trained anew by default.")
]
"""A trained model."""


def ecg(
    *,
    data: DataOption = None,
    model: ModelOption = None,
    save: Annotated[
        Path | None, typer.Option(help="Where to write the trained model (.safetensors).")
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Passes of training over the records.")] = (
        EcgTrainSettings().epochs
    ),
    block_seconds: Annotated[
        float, typer.Option(min=0.01, help="Length of the blocks that are streamed, seconds.")
    ] = EcgStudy().block_seconds,
    new_windows: Annotated[
        int, typer.Option(min=1, help="Windows that must be ready before the model runs.")
    ] = EcgStudy().new_windows,
    change_seconds: Annotated[
        float, typer.Option(min=0.1, help="A class must last so long, or not change back.")
    ] = EcgStudy().change_seconds,
    confidence: Annotated[
        float, typer.Option(min=0.5, max=0.9999, help="That corrections pay, to apply them.")
    ] = EcgStudy().confidence,
    seed: Annotated[int, typer.Option(min=0, help="Of the split and of everything random.")] = 0,
    json: JsonOption = False,
) -> None:
    """Train a model of ECG rhythm, and judge it and its corrections on unseen records."""
    if save is not None and save.suffix != ".safetensors":
        raise typer.BadParameter(f"--save must end with .safetensors, got {save}")
    study = EcgStudy(
        change_seconds=change_seconds,
        confidence=confidence,
        block_seconds=block_seconds,
        new_windows=new_windows,
        seed=seed,
    )
    folder = _folder(data)
    records = read_ecg_records(folder, CLASSES, RATE_HZ)
    split = split_records([one.label for one in records.signals], seed)
    if model is None:
        settings = EcgTrainSettings(epochs=epochs, seed=seed)
        used = _trained([records.signals[i] for i in split.train], settings)
    else:
        used = EcgModel.load(model)
        _check_unseen(used, records.signals, split)
    if save is not None:
        used.save(save)
    with step_progress("records", len(split.validation) + len(split.test)) as step:
        result = evaluate_ecg(folder, records.signals, split, used, study, step)
    result["records"]["train"] = len(split.train)
    about = {
        "seed": seed,
        "unusable": list(records.unusable),
        "training": dict(used.what.metrics),
    }
    if json:
        print_json({"ok": True, "data": str(folder), **result, **about})
    else:
        console().print(_table(result))


def _folder(data: Path | None) -> Path:
    if data is not None:
        return data
    assets = os.environ.get(FOLDER_VARIABLE, "")
    if not assets:
        raise typer.BadParameter(f"say --data DIR, or set {FOLDER_VARIABLE} to a folder of assets")
    return Path(assets) / ASSET_PATH


def _trained(signals: list[LabelledSignal], settings: EcgTrainSettings) -> EcgModel:
    with step_progress("epochs", settings.epochs) as step:
        return train_ecg(signals, settings, lambda epoch, _: step(epoch))


def _check_unseen(model: EcgModel, signals: tuple[LabelledSignal, ...], split: Split) -> None:
    """Refuse a model that was trained on records it would be judged by."""
    if (model.classes, model.rate_hz) != (CLASSES, RATE_HZ):
        raise RecordError(
            f"the model must have the classes {', '.join(CLASSES)} at {RATE_HZ:g} Hz, "
            f"got {', '.join(model.classes)} at {model.rate_hz:g} Hz"
        )
    trained = model.what.provenance.get("train_records")
    if not isinstance(trained, list):
        raise RecordError("the model's manifest must list its train_records. Train it again")
    judged = {signals[i].name for i in (*split.validation, *split.test)}
    seen = sorted(judged.intersection(map(str, trained)))
    if seen:
        raise RecordError(
            f"the model was trained on {len(seen)} of the records that it would be judged by, "
            f"{seen[0]} among them. Say the --seed that it was trained with"
        )


def _table(result: dict[str, Any]) -> Table:
    changes = result["class_change"]
    table = Table(
        title=f"{result['windows']:,} windows of {result['records']['test']} records that neither "
        "training nor calibration saw",
        title_justify="left",
    )
    table.add_column("", style="bold")
    for column in ("As the model says", "Corrected"):
        table.add_column(column, justify="right")
    pairs = [("accuracy", "accuracy of windows"), ("record_accuracy", "accuracy of records")]
    for field, words in pairs:
        table.add_row(words, f"{result[field]:.2%}", f"{result[f'{field}_corrected']:.2%}")
    for name, score in result["f1_per_class"].items():
        after = result["f1_per_class_corrected"][name]
        table.add_row(f"F1 of {name}, windows", _decimal(score), _decimal(after))
    low, high = result["gain_interval"]
    table.caption = (
        f"Corrections change the accuracy of windows by {result['gain']:+.2%} "
        f"({low:+.2%} to {high:+.2%}). The class changed back too soon {changes['fires']} times, "
        f"in {changes['stretches']} stretches; {changes['applied']} were corrected."
    )
    return table


def _decimal(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
