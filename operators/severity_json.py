"""The calibration of severities as plain JSON values, to be kept beside a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from operators.severity import Curve, CurveBin, SeverityCalibration, SeverityCurves
from records import RecordError
from records.checks import check_count, check_finite, check_name

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_CURVES = 10_000
"""The most pairs of assertion and context in one calibration."""

MOST_STEPS = 1000
"""The most steps of one curve."""

_KINDS = ("model_wrong", "correction_right")


def calibration_to_json(calibration: SeverityCalibration) -> dict[str, Any]:
    """The assertions that are apart, and one map for each assertion and context, in order."""
    curves = [
        {"assertion": assertion, "context": context}
        | {kind: _curve_to_json(getattr(curves, kind)) for kind in _KINDS}
        for (assertion, context), curves in sorted(calibration.curves.items())
    ]
    return {"apart": sorted(calibration.apart), "curves": curves}


def calibration_from_json(value: object) -> SeverityCalibration:
    """The calibration of `calibration_to_json`'s values.

    Raises:
        RecordError: they are no calibration; the message says where.
    """
    whole = _fields("a calibration", value, {"apart", "curves"})
    apart = _listed("apart", whole["apart"], MOST_CURVES)
    for name in apart:
        check_name("apart", name)
    found: dict[tuple[str, str], SeverityCurves] = {}
    for place, each in enumerate(_listed("curves", whole["curves"], MOST_CURVES)):
        where = f"curves[{place}]"
        fields = _fields(where, each, {"assertion", "context", *_KINDS})
        check_name(f"{where}.assertion", fields["assertion"])
        if not isinstance(fields["context"], str):
            raise RecordError(f"{where}.context must be text, got {fields['context']!r}")
        curves = [_curve_from_json(f"{where}.{kind}", fields[kind]) for kind in _KINDS]
        found[fields["assertion"], fields["context"]] = SeverityCurves(*curves)
    return SeverityCalibration(found, frozenset(map(str, apart)))


def _curve_to_json(curve: Curve) -> dict[str, Any]:
    steps = [[step.severity, step.probability, step.low, step.high, step.n] for step in curve.bins]
    return {"n": curve.n, "bins": steps}


def _curve_from_json(where: str, value: object) -> Curve:
    fields = _fields(where, value, {"n", "bins"})
    check_count(f"{where}.n", fields["n"])
    steps = []
    for place, step in enumerate(_listed(f"{where}.bins", fields["bins"], MOST_STEPS)):
        name = f"{where}.bins[{place}]"
        if not isinstance(step, list | tuple) or len(step) != len(CurveBin.__slots__):
            raise RecordError(f"{name} must be severity, probability, low, high and n")
        severity, probability, low, high, n = step
        check_finite(f"{name} severity", severity)
        check_count(f"{name} n", n)
        for share in (probability, low, high):
            check_finite(f"{name} probability", share)
            if not 0 <= share <= 1:
                raise RecordError(f"{name} probabilities must be in 0..1, got {share}")
        steps.append(CurveBin(severity, probability, low, high, n))
    try:
        return Curve(fields["n"], tuple(steps))
    except RecordError as error:
        raise RecordError(f"{where}: {error}") from error


def _listed(where: str, value: object, most: int) -> list[object]:
    if not isinstance(value, list) or len(value) > most:
        got = f"{len(value)} items" if isinstance(value, list) else type(value).__name__
        raise RecordError(f"{where} must be a list of at most {most}, got {got}")
    return value


def _fields(where: str, value: object, names: set[str]) -> Mapping[str, Any]:
    if not isinstance(value, dict) or value.keys() != names:
        got = sorted(map(str, value)) if isinstance(value, dict) else type(value).__name__
        raise RecordError(f"{where} must be a map of {', '.join(sorted(names))}, got {got}")
    return value
