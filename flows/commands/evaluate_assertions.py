"""The command that judges model assertions: evaluate assertions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from connectors.video import VideoSettings
from flows.evaluate.assertions import (
    HALVES,
    AssertionStudy,
    calibration_of,
    find,
    report,
    save_calibration,
)
from flows.evaluate.assertions_builtin import ASSERTIONS, NEED_LIDAR, View, make_assertions
from flows.evaluate.assertions_recording import (
    Inputs,
    Recording,
    film,
    read_recordings,
    with_lidar,
)
from flows.evaluate.truth_files import field_count
from flows.output import JsonOption, console, note, print_json
from flows.probe import count_frames
from flows.progress import download_progress, step_progress
from models.detectors import DetectorSettings, load_detector

TruthOption = Annotated[
    Path, typer.Option(help="Labels, KITTI's or MOT's: a file, or a folder of them.")
]
"""The truth."""


def assertions(
    *,
    truth: TruthOption,
    detections: Annotated[
        Path | None,
        typer.Option(help="Boxes: a file, a folder of them, or a run's directory."),
    ] = None,
    lidar: Annotated[
        Path | None, typer.Option(help="The LIDAR's boxes: a file, or a folder of them.")
    ] = None,
    video: Annotated[
        Path | None, typer.Option(help="A video to detect and track on, in place of boxes.")
    ] = None,
    assertion: Annotated[
        list[str] | None,
        typer.Option(help=f"One of {', '.join(ASSERTIONS)}; repeat for more. All that apply."),
    ] = None,
    class_name: Annotated[
        str, typer.Option("--class", help="The class; car with KITTI's labels, else person.")
    ] = "",
    recording: Annotated[
        list[str] | None, typer.Option(help="A recording of the folder; repeat for more. All.")
    ] = None,
    fps: Annotated[float, typer.Option(min=0.001, help="Frames a second of files, Hz.")] = 10.0,
    split: Annotated[
        str, typer.Option(help="Calibrate on first 'halves', or on the 'others' recordings.")
    ] = HALVES,
    score_at_least: Annotated[
        float, typer.Option(min=0, max=1, help="Boxes with a lower score are not used.")
    ] = 0.4,
    apply_at: Annotated[
        float, typer.Option(min=0, max=1, help="Probability from which corrections apply.")
    ] = 0.75,
    width: Annotated[int, typer.Option(min=1, help="Width of the LIDAR's image, pixels.")] = 1242,
    height: Annotated[int, typer.Option(min=1, help="Height of the LIDAR's image, pixels.")] = 375,
    detector: Annotated[str, typer.Option(help="The detector for a video.")] = "auto",
    weights: Annotated[str | None, typer.Option(help="A local file of its weights.")] = None,
    save: Annotated[
        Path | None,
        typer.Option(
            help="Where to write the calibration, fitted on all recordings, for "
            "'assertions.calibration' of a configuration."
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Judge assertions against truth: precision, recall, corrections, what they cost."""
    if (video is None) == (detections is None):
        raise typer.BadParameter("say --detections PATH, or --video FILE")
    wanted = class_name or ("person" if field_count(_one(truth)) > 1 else "car")
    names = tuple(recording or ())
    if video is not None:
        inputs = Inputs(truth, wanted)
        recordings = [_film(video, inputs, detector, weights)]
    else:
        assert detections is not None
        camera, own = with_lidar(detections, wanted)
        lidar = lidar or own
        recordings = read_recordings(Inputs(truth, wanted, camera, lidar, fps, names))
    chosen = tuple(assertion or (n for n in ASSERTIONS if lidar is not None or n not in NEED_LIDAR))
    if lidar is None and NEED_LIDAR & set(chosen):
        raise typer.BadParameter(f"{', '.join(NEED_LIDAR & set(chosen))} needs --lidar")
    made = make_assertions(chosen, View(wanted, width, height))
    study = AssertionStudy(made, split, score_at_least, apply_at)
    for faults in (one for each in recordings for one in each.faults if one.count):
        note(f"warning: {faults}")
    with step_progress("recordings", len(recordings)) as step:
        found = find(recordings, study, step)
    result = report(found, study)
    if save is not None:
        save_calibration(calibration_of(found), save)
        result["calibration"] = {"file": str(save), "fitted_on": "all recordings"}
    faulty = sum(faults.count for each in recordings for faults in each.faults)
    result = {"ok": True, "class": wanted, "split": split, "faulty_lines": faulty, **result}
    if json:
        print_json(result)
    else:
        _print(result)


def _one(path: Path) -> Path:
    """The file itself, or the first of a folder."""
    if path.is_dir():
        return next((one for one in sorted(path.iterdir()) if one.is_file()), path)
    return path


def _film(video: Path, inputs: Inputs, detector: str, weights: str | None) -> Recording:
    settings = DetectorSettings(model=detector, weights=weights, classes=(inputs.class_name,))
    with download_progress("detector") as progress:
        loaded = load_detector(settings, progress=progress)
    with step_progress("frames", count_frames(video)) as step:
        return film(VideoSettings(uri=str(video)), loaded, inputs, step)


def _print(result: dict[str, Any]) -> None:
    title = (
        f"{result['frames']} frames of {len(result['recordings'])} recordings; F1 of the boxes "
        f"{_share(result['accuracy_before'])}, corrected {_share(result['accuracy_after'])}"
    )
    table = Table(title=title, title_justify="left")
    table.add_column("Assertion", no_wrap=True, min_width=11)
    for column in ("Fires", "Precision", "Recall", "Correction right", "Applied", "µs a frame"):
        table.add_column(column, justify="right")
    for name, one in result["assertions"].items():
        table.add_row(
            name,
            f"{one['fires']:,}",
            _share(one["precision"]),
            _share(one["recall"]),
            _share(one["correction_right"]),
            f"{one['applied']:,}",
            f"{one['microseconds_per_frame']:.0f}",
        )
    console().print(table)


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"
