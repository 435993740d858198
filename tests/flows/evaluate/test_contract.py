from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from flows.evaluate.contract import KEPT_MEANS, ContractStudySettings, contract_study
from flows.evaluate.contract_trial import LADDER, Part, audited_frames
from flows.evaluate.traces import read_presence
from operators.audit import Audit
from records import RecordError, SourceError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """Ninety minutes at 10 Hz: cars that come and go, a third of the time in view."""
    rng = np.random.default_rng(0)
    runs = [np.full(rng.integers(20, 80), count) for _ in range(600) for count in (0, 0, 2)]
    path = tmp_path / "cars.csv.gz"
    path.write_bytes(gzip.compress("\n".join(map(str, np.concatenate(runs)[:54_000])).encode()))
    return path


def small(trace: Path, *, drift: bool) -> ContractStudySettings:
    return ContractStudySettings(
        trace,
        frames_per_second=10.0,
        target_recall=0.8,
        target_precision=0.8,
        repeats=12,
        stretch_seconds=5000.0,
        signal=0.8,
        drift=drift,
        drift_noise=3.0,
        cell_seconds=2.0,
    )


def test_the_study_is_plain_json_and_repeats_itself(trace: Path) -> None:
    told: list[tuple[int, int]] = []
    settings = small(trace, drift=False)
    result = contract_study(settings, lambda done, of: told.append((done, of)))
    assert json.loads(json.dumps(result)) == result == contract_study(settings)
    assert told == [(number, 12) for number in range(1, 13)]
    assert {key: value for key, value in result.items() if not isinstance(value, dict)} == {
        "trace": "cars.csv.gz", "repetitions": 12, "seed": 0, "drift": False,
        "target_recall": 0.8, "target_precision": 0.8, "confidence": 0.95,
        "kept_means": KEPT_MEANS,
    }  # fmt: skip
    ours = result["sightflow"]
    assert sum(ours["rungs"]) + ours["reference_only"] == 12
    assert len(ours["rungs"]) == len(LADDER)


def test_certification_keeps_what_the_in_sample_rule_breaks(trace: Path) -> None:
    result = contract_study(small(trace, drift=False))
    assert result["noscope"]["kept"] is False
    assert result["noscope"]["kept_repetitions"]["share"] < 0.9
    assert result["sightflow"]["kept"] is True
    assert result["noscope"]["mean_reference_share"] < result["sightflow"]["mean_reference_share"]
    assert result["sightflow"]["mean_reference_share"] < 1


def test_under_drift_the_audit_alarms_and_the_reference_takes_over(trace: Path) -> None:
    result = contract_study(small(trace, drift=True))
    ours, alarms = result["sightflow"], result["sightflow"]["alarms"]
    assert result["noscope"]["kept_repetitions"]["share"] == 0
    assert alarms["raised"] - alarms["false"] >= 0.9 * alarms["repetitions_audited"]
    assert 0 < alarms["delay_audited_frames"]["median"] < 200
    assert ours["lowest_recall"] > result["noscope"]["mean_recall"]


def test_the_audited_frames_are_those_that_the_audit_wants() -> None:
    times_ns = np.cumsum(np.random.default_rng(2).integers(10**7, 10**9, 3000)).astype(np.int64)
    part = Part(np.zeros(3000, np.float32), np.zeros(3000, np.bool_), times_ns)
    settings = ContractStudySettings(Path("unread.csv"), cell_seconds=3.0)
    audit = Audit(settings.audit(9), "study")
    wanted = [n for n, time_ns in enumerate(times_ns.tolist()) if audit.wants(time_ns, n)]
    assert audited_frames(settings, part, 9).tolist() == wanted


def presence(path: Path, text: str, at_least: int = 1) -> NDArray[np.bool_]:
    path.write_text(text)
    return read_presence(path, at_least)


def test_traces_are_read(tmp_path: Path) -> None:
    path = tmp_path / "counts.csv"
    assert presence(path, "0\n1\n3\n").tolist() == [False, True, True]
    assert presence(path, "0\n1\n3", at_least=2).tolist() == [False, False, True]
    assert presence(path, "").tolist() == []


def test_bad_traces_are_told(tmp_path: Path) -> None:
    path = tmp_path / "counts.csv"
    with pytest.raises(SourceError) as told:
        presence(path, "0\n1\ncar\n")
    assert str(told.value) == (
        f"the trace {path} must hold one whole number a line, got b'car' as entry 3"
    )
    with pytest.raises(SourceError, match="cannot be read"):
        read_presence(tmp_path / "none.csv")
    packed = tmp_path / "broken.csv.gz"
    packed.write_bytes(gzip.compress(b"1\n" * 10_000)[:-12])
    with pytest.raises(SourceError, match="cannot be read"):
        read_presence(packed)
    short = presence(path, "1\n" * 10)
    assert short.size == 10
    with pytest.raises(RecordError) as short_told:
        contract_study(ContractStudySettings(path))
    assert str(short_told.value) == (
        "the trace holds 10 frames, a stretch needs 432000; "
        "give a longer trace or a smaller stretch_seconds"
    )


def test_settings_out_of_range_are_told(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="^noise_seconds must be finite and above 0, got 0$"):
        ContractStudySettings(tmp_path, noise_seconds=0)
    with pytest.raises(RecordError, match="^signal must be finite, got inf$"):
        ContractStudySettings(tmp_path, signal=float("inf"))
    with pytest.raises(RecordError, match="^repeats and at_least must be at least 1"):
        ContractStudySettings(tmp_path, repeats=0)
    with pytest.raises(RecordError, match="^parts must be 4 shares above 0 that sum to 1"):
        ContractStudySettings(tmp_path, parts=(0.5, 0.2, 0.2, 0.2))
    with pytest.raises(RecordError, match="^every part must hold a frame; give a larger"):
        ContractStudySettings(tmp_path, stretch_seconds=0.1)
    with pytest.raises(RecordError, match="^cell_seconds must last a frame, got 0.01$"):
        ContractStudySettings(tmp_path, cell_seconds=0.01)
    with pytest.raises(RecordError, match="^target_recall must be between 0 and 1, got 2$"):
        ContractStudySettings(tmp_path, target_recall=2)
