from __future__ import annotations

import itertools
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.packet_features import SizeScale, bands, feature_count, packet_features
from models.packet_training import signal, train_packets
from models.packets import BLOCK, PacketModel
from models.training_settings import PacketSettings
from records import DetectorError, RecordError
from tests.support.packet_runs import PacketRun, write_run

if TYPE_CHECKING:
    from pathlib import Path

QUICK = PacketSettings(reach=20, steps=80, seconds=600)


@pytest.fixture(scope="module")
def street_run(tmp_path_factory: pytest.TempPathFactory) -> PacketRun:
    return write_run(tmp_path_factory.mktemp("packets"))


@pytest.fixture(scope="module")
def model(street_run: PacketRun) -> PacketModel:
    return train_packets(
        *street_run.part(0, 800), street_run.positive[:800], QUICK, predicate="car or person"
    )


def random_model(reach: int, seed: int) -> PacketModel:
    rng = np.random.default_rng(seed)
    shapes = {
        "hidden_weight": (feature_count(reach), 16),
        "hidden_bias": (16,),
        "output_weight": (16,),
        "output_bias": (1,),
    }
    tensors = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    scale = SizeScale((9.0, 5.0, 6.5), (0.3, 0.0, 1.1))
    return PacketModel(reach, scale, tensors, {"unseen_auc": 0.9, "unseen_gain": 0.5}, {})


def random_run(frames: int, seed: int) -> PacketRun:
    rng = np.random.default_rng(seed)
    draws = rng.random((2, frames))
    return PacketRun(
        np.exp(rng.normal(6, 2, frames)).astype(np.int64),
        draws[0] < 0.1,
        (draws[0] >= 0.1) & (draws[0] < 0.6),
        draws[1] < 0.5,
    )


def test_learns_who_is_there_from_packets_of_the_first_half(
    street_run: PacketRun, model: PacketModel
) -> None:
    scores = model.score(*street_run.part(0, 1600))
    told = signal(scores[800:], street_run.positive[800:])
    assert told["unseen_auc"] > 0.95
    assert told["unseen_accuracy"] > max(0.93, street_run.positive[800:].mean())
    assert model.informative
    assert set(model.metrics) == {
        "base_rate",
        "frames",
        "seconds",
        "steps",
        "unseen_accuracy",
        "unseen_auc",
        "unseen_gain",
        "unseen_log_loss",
    }


def test_packets_that_tell_nothing_are_called_uninformative(street_run: PacketRun) -> None:
    noise = np.random.default_rng(0).integers(50, 500, 800)
    _, keyframe, reordered = street_run.part(0, 800)
    model = train_packets(noise, keyframe, reordered, street_run.positive[:800], QUICK)
    assert not model.informative


def test_the_same_seed_gives_the_same_scores(street_run: PacketRun, model: PacketModel) -> None:
    part, positive = street_run.part(0, 800), street_run.positive[:800]
    again = train_packets(*part, positive, QUICK)
    np.testing.assert_array_equal(again.score(*part), model.score(*part))
    other = train_packets(*part, positive, replace(QUICK, seed=1))
    assert (other.score(*part) != model.score(*part)).any()


def test_no_more_time_is_taken_than_is_given(street_run: PacketRun) -> None:
    told: list[tuple[float, float]] = []
    model = train_packets(
        *street_run.part(0, 800),
        street_run.positive[:800],
        PacketSettings(steps=100_000, seconds=0.3),
        lambda share, loss: told.append((share, loss)),
    )
    assert model.metrics["seconds"] < 30
    assert 0 < told[-1][0] < 1
    assert min(loss for _, loss in told) == pytest.approx(model.metrics["unseen_log_loss"])


@given(
    st.integers(1, 400),
    st.integers(2, 50),
    st.integers(0, 1000),
    st.lists(st.integers(0, 400), max_size=6),
)
def test_a_stream_scored_piece_by_piece_has_the_scores_of_the_whole(
    frames: int, reach: int, seed: int, cuts: list[int]
) -> None:
    model, run = random_model(reach, seed), random_run(frames, seed)
    whole = model.score(*run.part(0, frames))
    edges = sorted({0, frames, *(cut for cut in cuts if cut < frames)})
    pieces = []
    for start, stop in itertools.pairwise(edges):
        low, high = max(0, start - reach), min(frames, stop + reach)
        pieces.append(model.score_window(*run.part(low, high), start - low, stop - low))
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


def test_long_runs_are_scored_in_blocks_that_agree() -> None:
    model, run = random_model(40, 0), random_run(BLOCK + 500, 0)
    whole = model.score(*run.part(0, BLOCK + 500))
    around = model.score_window(*run.part(BLOCK - 100, BLOCK + 100), 40, 160)
    np.testing.assert_array_equal(around, whole[BLOCK - 60 : BLOCK + 60])


def test_a_score_depends_on_no_frame_beyond_the_reach() -> None:
    model, run = random_model(10, 1), random_run(100, 1)
    before = model.score(*run.part(0, 100))
    run.coded_bytes[50] *= 1000
    changed = np.flatnonzero(model.score(*run.part(0, 100)) != before)
    assert changed.min() == 40
    assert changed.max() == 60


def test_features_are_means_over_bands_of_each_kind() -> None:
    sizes = np.array([99, 9, 999, 9], dtype=np.int64)
    keyframe = np.array([True, False, False, False])
    reordered = np.array([False, True, False, True])
    centre = float(np.log(10.0))
    scale = SizeScale((centre, centre, centre), (centre, centre, 0.0))
    features = packet_features(sizes, keyframe, reordered, scale, 2)
    assert bands(2) == ((-2, 2),)
    expected = [[1, 0, 0, 0], [1, 1, 1, 0], [0, 1, 0, 1], [0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    np.testing.assert_allclose(features, np.array(expected, dtype=np.float32), atol=1e-3)


def test_saved_and_loaded_it_is_the_same(
    tmp_path: Path, street_run: PacketRun, model: PacketModel
) -> None:
    path = tmp_path / "models" / "gate.safetensors"
    model.save(path)
    loaded = PacketModel.load(path)
    part = street_run.part(0, 1600)
    np.testing.assert_array_equal(loaded.score(*part), model.score(*part))
    assert (loaded.reach, loaded.scale, loaded.metrics) == (20, model.scale, model.metrics)
    assert loaded.provenance == model.provenance
    assert loaded.provenance["predicate"] == "car or person"
    assert loaded.name == "packets-20"
    assert loaded.informative


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"reach": 10**9}, "reach must be in 2..10000, got 1000000000"),
        ({"hidden": True}, "hidden must be in 1..4096, got True"),
        ({"scale": {"centre": [1, 2]}}, "not enough values to unpack (expected 3, got 2)"),
        ({"scale": {"centre": [1, 2, 3], "width": [0, 0, float("inf")]}}, "must be finite"),
        ({"metrics": {}}, "metrics must hold unseen_auc, unseen_gain"),
        ({"metrics": 5}, "AttributeError"),
    ],
)
def test_a_manifest_that_describes_no_model_is_refused(
    tmp_path: Path, change: dict[str, object], complaint: str
) -> None:
    path = tmp_path / "gate.safetensors"
    random_model(20, 0).save(path)
    manifest = path.with_suffix(".json")
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), **change}))
    with pytest.raises(DetectorError) as caught:
        PacketModel.load(path)
    assert complaint in str(caught.value)
    assert "gate.json does not describe a model" in str(caught.value)


def test_wrong_packets_are_refused() -> None:
    model = random_model(10, 0)
    sizes, keyframe, reordered = random_run(5, 0).part(0, 5)
    for given_run, complaint in (
        (
            (sizes.astype(float), keyframe, reordered),
            "coded_bytes must be integer (n,), one value a frame, got float64 (5,)",
        ),
        (
            (sizes, keyframe[:4], reordered),
            "keyframe must be bool (n,), one value a frame, got bool (4,)",
        ),
        (
            (sizes, keyframe, sizes),
            "reordered must be bool (n,), one value a frame, got int64 (5,)",
        ),
        ((sizes - 10**9, keyframe, reordered), None),
    ):
        with pytest.raises(RecordError) as caught:
            model.score(*given_run)
        expected = complaint or f"coded_bytes must be at least 0, got {sizes.min() - 10**9}"
        assert str(caught.value) == expected
    with pytest.raises(RecordError) as caught:
        model.score_window(sizes, keyframe, reordered, 3, 6)
    assert str(caught.value) == "start and stop must hold 0 <= start <= stop <= 5, got 3 and 6"
    assert len(model.score(sizes[:0], keyframe[:0], reordered[:0])) == 0


def test_training_that_cannot_teach_is_refused() -> None:
    run = random_run(40, 0)
    with pytest.raises(RecordError) as caught:
        train_packets(*run.part(0, 40), np.ones(40, dtype=bool))
    assert str(caught.value) == (
        "training needs frames of both answers, got yes for all 40. "
        "Label a longer part of the stream"
    )
    with pytest.raises(RecordError) as caught:
        train_packets(*run.part(0, 4), run.positive[:4])
    assert str(caught.value) == "training needs at least 16 frames, got 4"
    with pytest.raises(RecordError) as caught:
        PacketSettings(reach=1)
    assert str(caught.value) == "reach must be a whole number in 2..10000, got 1"
    with pytest.raises(RecordError) as caught:
        train_packets(*run.part(0, 40), run.positive[:39])
    assert str(caught.value) == "positive must be bool (40,), one value a frame, got bool (39,)"
