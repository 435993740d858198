"""Model assertions: how often they are right, what corrections gain, what they cost.

Beside the precision of Kang et al. ("Model Assertions for Monitoring and Improving ML Models",
MLSys 2020, table 3: 50 findings of each assertion, judged by eye; other data and other models than
ours). Ours are judged by labels, all findings, as docs/assertions.md defines:

- *vtest*: yolox_nano and our tracker on every frame of the clip;
- *lidar*: boxes of a LIDAR and of a camera on KITTI tracking 0000 to 0010, calibrated for each
  recording on all others;
- *ecg*: a model of rhythm on records of CinC 2017 that neither training nor calibration saw;
- *health*: faults planted in clips, clocks and ECG, and hours of clean streams;
- *cost*: microseconds a frame with ten objects.

Run: ``python -m benchmarks.assertions FOLDER [MODEL]`` with the folder of assets and an ECG model
that ``evaluate ecg --save`` wrote; without one it is trained first, for some ten minutes. Writes
benchmarks/results/assertions.json and assertions.png.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.assertions_clean import measure_health
from benchmarks.assertions_cost import measure_cost
from benchmarks.assertions_picture import Example, draw, find_example
from benchmarks.hardware import hardware
from connectors.video import VideoSettings
from flows.evaluate.assertions import HALVES, OTHERS, AssertionStudy, Findings, find, report
from flows.evaluate.assertions_builtin import ASSERTIONS, NEED_LIDAR, View, make_assertions
from flows.evaluate.assertions_recording import Inputs, film, read_recordings
from flows.evaluate.ecg import EcgStudy, evaluate_ecg
from flows.evaluate.ecg_records import read_ecg_records
from flows.evaluate.truth import Status
from models.detectors import DetectorSettings, load_detector
from models.ecg import CLASSES, RATE_HZ, EcgModel
from models.ecg_data import split_records
from models.ecg_training import train_ecg
from records.finding import DETECTIONS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flows.evaluate.assertions_report import Fired

PUBLISHED = {
    "news": [1.0, 1.0],
    "class_change": [1.0, 1.0],
    "flicker": [0.96, 1.0],
    "multibox": [1.0, 1.0],
    "agree": [0.98, 0.98],
}
"""Precision in table 3 of the paper, the lower and the higher of its two readings: the model's
output is wrong, or that or the identifier is. "class_change" is its ECG assertion."""

RESULTS = Path(__file__).parent / "results"


def shares(fired: Iterable[Fired]) -> dict[str, Any]:
    """How often findings are right, whatever was calibrated."""
    judged = [one.judgement for one in fired if one.judgement.model_wrong is not None]
    corrected = [one for one in judged if one.correction_right is not None]
    return {
        "judged": len(judged),
        "model_wrong": sum(one.model_wrong is True for one in judged),
        "corrections": len(corrected),
        "corrections_right": sum(one.correction_right is True for one in corrected),
    }


def by_name(found: Findings, study: AssertionStudy) -> dict[str, Any]:
    """The same for each assertion, over all frames."""
    return {
        each.name: shares(one for one in found.fired if one.finding.assertion == each.name)
        for each in study.assertions
    }


def interpolated_boxes(found: Findings) -> dict[str, int]:
    """Of the boxes that "flicker" adds, how many find an object (intersection over union 0.5)."""
    right = wrong = 0
    for one in found.fired:
        correction, judge = one.finding.correction, found.judges[one.recording]
        if one.finding.assertion != "flicker" or correction is None:
            continue
        for place in correction.places:
            k = judge.place_of.get(place.sequence)
            if k is not None and place.box is not None:
                box = np.array(place.box, np.float32)
                status = judge.frames[DETECTIONS][k].status_at(box)
                right += status is Status.TRUE
                wrong += status is Status.FALSE
    return {"right": right, "wrong": wrong}


def measure_vtest(folder: Path) -> tuple[dict[str, Any], Example]:
    """The assertions on a video, and an example of a correction."""
    video = VideoSettings(uri=str(folder / "video" / "vtest.avi"))
    detector = load_detector(DetectorSettings("yolox_nano", classes=("person",)))
    recording = film(video, detector, Inputs(folder / "video" / "vtest.mot.txt", "person"))
    names = [name for name in ASSERTIONS if name not in NEED_LIDAR]
    study = AssertionStudy(make_assertions(names, View("person")), HALVES)
    found = find([recording], study)
    value = {
        "frames": len(recording.verdicts),
        "all_frames": by_name(found, study),
        "interpolated_boxes": interpolated_boxes(found),
        "second_half": report(found, study),
    }
    return value, find_example(found, video)


def measure_lidar(folder: Path) -> dict[str, Any]:
    """The assertions on camera and LIDAR."""
    lidar = folder / "lidar"
    inputs = Inputs(lidar / "truth", "car", lidar / "camera_car", lidar / "lidar_car")
    study = AssertionStudy(make_assertions(tuple(ASSERTIONS), View("car")), OTHERS)
    found = find(read_recordings(inputs), study)
    return {"all_frames": by_name(found, study), "each_after_the_others": report(found, study)}


def measure_ecg(folder: Path, trained: Path | None) -> dict[str, Any]:
    """The assertion on rhythms, and its corrections on unseen records."""
    data = folder / "ecg" / "cinc2017"
    signals = read_ecg_records(data, CLASSES, RATE_HZ).signals
    split = split_records([one.label for one in signals], EcgStudy().seed)
    if trained is None:
        model = train_ecg([signals[i] for i in split.train])
    else:
        model = EcgModel.load(trained)
        seen = model.what.provenance["train_records"]
        assert seen == [signals[i].name for i in split.train], "trained with the same split"
    return evaluate_ecg(data, signals, split, model, EcgStudy())


def bars(value: dict[str, Any]) -> list[dict[str, Any]]:
    """What was asked for, and what was found."""
    flicker, boxes = value["vtest"]["all_frames"]["flicker"], value["vtest"]["interpolated_boxes"]
    lidar, ecg = value["lidar"]["each_after_the_others"], value["ecg"]
    agree, vtest = lidar["assertions"]["agree"], value["vtest"]["second_half"]
    planted, clean = value["health"]["planted"], value["health"]["clean"]
    costs = value["cost"]["microseconds_per_frame"]
    gains = {"vtest": vtest, **{f"lidar {name}": one for name, one in lidar["recordings"].items()}}
    gain = min(one["accuracy_after"] - one["accuracy_before"] for one in gains.values())
    rows = [
        ("flicker, vtest: precision", ">=", 0.9, flicker["model_wrong"] / flicker["judged"]),
        ("flicker, vtest: interpolated box right", ">=", 0.8,
         boxes["right"] / (boxes["right"] + boxes["wrong"])),
        ("agree, lidar: precision", ">=", 0.85, agree["precision"]),
        ("agree, lidar: a LIDAR's box alone is false", ">=", 0.85,
         agree["contexts"]["lidar/drop"]["box_false"]),
        ("agree, lidar: false boxes of the LIDAR found", ">=", 0.7,
         agree["outputs"]["lidar"]["recall"]),
        ("corrections, boxes: least gain of F1 on a recording", ">=", 0.0, gain),
        ("corrections, ECG: gain of the windows' accuracy", ">", 0.0, ecg["gain"]),
        *((f"found within 10 s: {name}", ">=", 1.0, one["found_in_time"])
          for name, one in planted.items()),
        *((f"clean streams, alarms in {one['hours']} h: {name}", "<=", 0, one["alarms"])
          for name, one in clean.items()),
        ("microseconds a frame, as configured", "<", 50, costs["as configured"]),
        ("microseconds a frame, all without LIDAR", "<", 50, costs["all without LIDAR"]),
        ("microseconds a frame, agree", "<", 50, costs["agree"]),
    ]  # fmt: skip
    met = {">=": lambda a, b: a >= b, ">": lambda a, b: a > b, "<=": lambda a, b: a <= b,
           "<": lambda a, b: a < b}  # fmt: skip
    return [
        {"what": what, "must": f"{sign} {bar}", "got": round(got, 4), "met": met[sign](got, bar)}
        for what, sign, bar, got in rows
    ]


def main() -> None:
    """Measure, print, write and draw."""
    folder, begun = Path(sys.argv[1]), time.perf_counter()
    trained = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    cost = measure_cost()
    vtest, example = measure_vtest(folder)
    value: dict[str, Any] = {
        "date": datetime.now(UTC).date().isoformat(),
        "hardware": hardware(),
        "left_out": "swapped leads of one person: CinC 2017 has one lead",
        "published": {"source": "Kang et al., MLSys 2020, table 3", "precision": PUBLISHED},
        "vtest": vtest,
        "lidar": measure_lidar(folder),
        "ecg": measure_ecg(folder, trained),
        "health": measure_health(folder),
        "cost": cost,
    }
    value = {"seconds": round(time.perf_counter() - begun, 1), "bars": bars(value), **value}
    (RESULTS / "assertions.json").write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    draw(value, example, RESULTS / "assertions.png")
    for row in value["bars"]:
        mark = "met   " if row["met"] else "MISSED"
        sys.stdout.write(f"{mark} {row['what']}: {row['got']} (must be {row['must']})\n")


if __name__ == "__main__":
    main()
