"""Estimators judged on traces, and what is said of traces and proxies that are wrong."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy.stats import binom

from flows.cli import main
from flows.evaluate.aggregate import ESTIMATORS, AggregateStudy, evaluate_aggregate
from flows.evaluate.proxies import make_proxy
from flows.evaluate.traces import read_presence, read_trace
from records import ConfigurationError, RecordError, SourceError

if TYPE_CHECKING:
    from pathlib import Path


def traffic(frames: int = 60_000, seed: int = 0) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Objects that come and go: each is there for some seconds at 30 Hz."""
    rng = np.random.default_rng(seed)
    counts = np.zeros(frames + 400)
    for start in rng.integers(0, frames, frames // 150):
        counts[start : start + int(rng.integers(30, 300))] += 1
    return counts[:frames]


def call(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main(["evaluate", "aggregate", *words])
    out, err = capsys.readouterr()
    return int(caught.value.code or 0), out, err


def test_every_estimator_is_judged() -> None:
    values = traffic()
    proxies = make_proxy("synthetic:rho2=0.9", values, np.random.default_rng(1))
    done: list[int] = []
    study = AggregateStudy(window=6000, calls=100, repeats=3, seed=2)
    result = evaluate_aggregate(values, proxies, study, done.append)
    assert (result["windows"], result["frames"], done) == (30, 60_000, [1, 2, 3])
    assert result["proxy_rho2"] == pytest.approx(0.9, abs=0.02)
    assert set(result["estimators"]) == set(ESTIMATORS)
    for name, one in result["estimators"].items():
        assert set(one) >= {
            "rmse", "half_width", "coverage", "coverage_low", "coverage_high", "calls",
            "calls_to_error",
        }, name  # fmt: skip
        assert one["calls"] == 100
        assert one["coverage_low"] <= one["coverage"] <= one["coverage_high"]
        assert one["coverage"] * 30 >= binom.ppf(1e-4, 30, 0.95), name
        assert set(one["calls_to_error"]) == {"0.1", "0.01"}
        assert one["within_error"]["0.1"] == 1.0, name
        assert one["calls_to_error"]["0.1"] <= one["calls_to_error"]["0.01"] <= 60_000
    errors = {name: one["rmse"] for name, one in result["estimators"].items()}
    assert errors["jittered"] < errors["ppi"] < errors["uniform"]
    again = evaluate_aggregate(values, proxies, study)
    assert again == result


def test_without_a_proxy_cells_alone_help() -> None:
    study = AggregateStudy(window=6000, calls=200, estimators=("uniform", "jittered"), repeats=4)
    result = evaluate_aggregate(traffic(), None, study)
    assert result["proxy_rho2"] is None
    assert result["estimators"]["jittered"]["rmse_to_uniform"] < 0.6


def test_the_command_prints_a_table_and_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "counts.csv.gz"
    path.write_bytes(gzip.compress("\n".join(map(str, traffic(12_000))).encode()))
    words = ["--trace", str(path), "--fps", "30", "--window", "100", "--calls", "50"]
    code, out, _ = call(capsys, *words, "--json", "--proxy", "synthetic:rho2=.5,ar=.99")
    assert code == 0
    assert json.loads(out)["windows"] == 4
    code, out, _ = call(capsys, *words, "--estimator", "jittered,uniform")
    assert code == 0
    assert "jittered" in out
    assert call(capsys, *words, "--estimator", "best")[0] == 1
    assert call(capsys, *words, "--proxy", "synthetic:rho=1")[0] == 3
    assert call(capsys, "--trace", str(tmp_path / "gone"))[0] == 1


def test_proxies() -> None:
    values, rng = traffic(), np.random.default_rng(0)
    slow = make_proxy("synthetic:rho2=0.25,ar=0.99,sign=-1", values, rng)
    assert np.corrcoef(slow, values)[0, 1] == pytest.approx(-0.5, abs=0.1)
    noise = slow + values
    assert np.corrcoef(noise[1:], noise[:-1])[0, 1] > 0.98
    assert make_proxy("constant", values, rng).tolist() == [1.0] * len(values)
    assert abs(np.corrcoef(make_proxy("noise", values, rng), values)[0, 1]) < 0.05
    for text, problem in (
        ("synthetic:rho2=2", "rho2 must be above 0 and at most 1"),
        ("synthetic:ar=1", "ar must be in 0..1"),
        ("synthetic:sign=3", "sign must be 1 or -1"),
        ("synthetic:rho2=x", "could not convert"),
        ("synthetic:x=1", "has 'x', which is none of rho2, ar, sign"),
    ):
        with pytest.raises(ConfigurationError, match=problem):
            make_proxy(text, values, rng)


def test_traces(tmp_path: Path) -> None:
    text, array = tmp_path / "a.txt", tmp_path / "a.npy"
    text.write_text("1\n2.5\n0\n", encoding="utf-8")
    np.save(array, np.array([1, 2, 0]))
    assert read_trace(text).tolist() == [1.0, 2.5, 0.0]
    assert read_trace(array).tolist() == [1.0, 2.0, 0.0]
    proxy = make_proxy(str(text), read_trace(array), np.random.default_rng(0))
    assert proxy.tolist() == [1.0, 2.5, 0.0]
    with pytest.raises(ConfigurationError, match="holds 3 values, and the trace 5"):
        make_proxy(str(text), np.zeros(5), np.random.default_rng(0))
    for content, problem in (
        ("1\nx\n", "must hold one number a line, got b'x' as entry 2"),
        ("", "is empty"),
        ("1\nnan\n", "must hold finite numbers, got nan as entry 2"),
    ):
        text.write_text(content, encoding="utf-8")
        with pytest.raises(SourceError, match=problem):
            read_trace(text)
    np.save(array, np.zeros((2, 2)))
    with pytest.raises(SourceError, match=r"must be an array of numbers \(n,\), got float64"):
        read_trace(array)
    np.save(array, np.array([{}]), allow_pickle=True)
    with pytest.raises(SourceError, match=r"must be an array of numbers \(n,\), got object"):
        read_trace(array)
    text.write_text("1\n0\n", encoding="utf-8")
    assert read_presence(text).tolist() == [True, False]


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(RecordError, match=r"calls must be in 2\.\.10 \(frames of a window\), got"):
        AggregateStudy(window=10, calls=11)
    with pytest.raises(RecordError, match="estimator must be one of uniform, jittered"):
        AggregateStudy(window=10, calls=5, estimators=("x",))
    with pytest.raises(RecordError, match="must hold at least 10 frames, got 5"):
        evaluate_aggregate(np.zeros(5), None, AggregateStudy(window=10, calls=5))
