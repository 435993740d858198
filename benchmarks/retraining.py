"""Retraining on ECG: learning curves of selections, and weak labels without people.

The full study of ``sightflow evaluate retraining --weak``, with more trials than the command's
usual ones. Records of the PhysioNet/CinC Challenge 2017; a quarter of them is for figures alone.
Each trial draws anew what is labelled at first, what is in the pool, and the probe set. All
selections of a trial begin with the same model, so differences pair by trial.

What was chosen beforehand (architecture, steps, the way weak labels are made) was chosen on records
that are not in the test part. Left out: other data sets, larger networks, training from scratch in
each round.

Run: ``python -m benchmarks.retraining FOLDER [--trials 30] [--workers 2]`` with a folder that holds
``ecg/cinc2017``. Writes benchmarks/results/retraining.json and retraining.png.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.hardware import hardware
from flows.commands.evaluate_ecg import ASSET_PATH
from flows.evaluate.ecg_records import read_ecg_records
from flows.evaluate.retraining import evaluate_retraining
from flows.evaluate.retraining_figures import gain_words
from flows.evaluate.retraining_report import picture_bytes
from flows.evaluate.retraining_rounds import SELECTORS
from flows.evaluate.retraining_study import RetrainingStudy, prepare
from models.ecg import CLASSES, RATE_HZ

TRIALS = 30
"""Trials of the full study."""

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Measure, print, write and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    begun = time.perf_counter()
    records = prepare(read_ecg_records(asked.folder / ASSET_PATH, CLASSES, RATE_HZ).signals)
    result = evaluate_retraining(
        records,
        RetrainingStudy(trials=asked.trials),
        tuple(SELECTORS),
        weak=True,
        workers=asked.workers,
        tell=lambda done: print(f"trial {done} of {asked.trials}", file=sys.stderr),
    )
    value = {
        "date": datetime.now(UTC).date().isoformat(),
        "hardware": hardware(),
        "seconds": round(time.perf_counter() - begun, 1),
        **result,
    }
    (RESULTS / "retraining.json").write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    (RESULTS / "retraining.png").write_bytes(picture_bytes(result))
    for name, one in result["selectors"].items():
        curve = "  ".join(f"{each['mean']:.2%}" for each in one["accuracy"])
        difference = one["difference_over_rounds"]
        print(f"{name:>12}  {curve}  {difference['mean']:+.2%} {difference['verdict']}")
    print(f"weak labels: {gain_words(result['weak']['relative_gain'])}")


if __name__ == "__main__":
    main()
