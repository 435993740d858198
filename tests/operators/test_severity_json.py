from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from operators.severity import SeverityCalibration, SeveritySample, fit_severities
from operators.severity_json import calibration_from_json, calibration_to_json
from records import RecordError


def fitted() -> SeverityCalibration:
    rng = np.random.default_rng(0)
    return fit_severities(
        SeveritySample(
            name,
            float(rng.uniform(0.1, 1)),
            bool(rng.random() < 0.9),
            bool(rng.random() < 0.5),
            context,
        )
        for name in ("flicker", "appear")
        for context in ("car", "bus")
        for _ in range(40)
    )


def test_a_calibration_survives_json() -> None:
    calibration = replace(fitted(), apart=frozenset({"appear"}))
    text = json.dumps(calibration_to_json(calibration))
    assert calibration_from_json(json.loads(text)) == calibration
    assert calibration_from_json({"apart": [], "curves": []}) == SeverityCalibration()


CURVE = {"n": 0, "bins": []}
ENTRY = {"assertion": "flicker", "context": "", "model_wrong": CURVE, "correction_right": CURVE}


def whole(curves: object) -> dict[str, Any]:
    return {"apart": [], "curves": curves}


def bins(*steps: list[object]) -> dict[str, Any]:
    return whole([{**ENTRY, "model_wrong": {"n": 30, "bins": list(steps)}}])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([], "a calibration must be a map of apart, curves, got list"),
        ({"apart": 3, "curves": []}, "apart must be a list of at most 10000, got int"),
        ({"apart": ["a:b"], "curves": []}, "apart must be 1 to 200 printable characters"),
        (whole({}), "curves must be a list of at most 10000, got dict"),
        (whole([ENTRY] * 10_001), "curves must be a list of at most 10000, got 10001 items"),
        (whole([3]), r"curves\[0\] must be a map of assertion, context, .*, got int"),
        (whole([{**ENTRY, "assertion": ""}]), r"curves\[0\].assertion must be 1 to 200"),
        (whole([{**ENTRY, "context": 3}]), r"curves\[0\].context must be text, got 3"),
        (
            whole([{**ENTRY, "model_wrong": {"n": 1}}]),
            r"curves\[0\].model_wrong must be a map of bins, n, got \['n'\]",
        ),
        (bins([1.0, 0.5]), r"curves\[0\].model_wrong.bins\[0\] must be severity, probability"),
        (bins([1.0, 1.5, 0.0, 1.0, 30]), "probabilities must be in 0..1, got 1.5"),
        (bins([1.0, 0.5, 0.0, 1.0, -1]), r"bins\[0\] n must be a whole number of at least 0"),
        (
            bins([2.0, 0.5, 0.0, 1.0, 9], [1.0, 0.5, 0.0, 1.0, 9]),
            r"curves\[0\].model_wrong: bins must rise in severity",
        ),
    ],
)
def test_faults_say_where(value: object, text: str) -> None:
    with pytest.raises(RecordError, match=text):
        calibration_from_json(value)
