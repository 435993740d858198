from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from models.architecture import Architecture
from models.training import train_specialised, training_part
from models.training_settings import TrainSettings
from records import RecordError
from tests.support.squares import SIZE, street_squares

if TYPE_CHECKING:
    from models.specialised import SpecialisedModel

QUICK = TrainSettings(architecture=Architecture(size=SIZE), epochs=12, seconds=600)


@pytest.fixture(scope="module")
def model() -> SpecialisedModel:
    images, counts = street_squares()
    return train_specialised(images[:300], counts[:300], QUICK, predicate="car or person")


def test_learns_who_is_there_from_the_first_half(model: SpecialisedModel) -> None:
    images, counts = street_squares()
    there = counts[300:] >= 1
    right = (model.score(images[300:]) > 0.5) == there
    assert right.mean() > 0.9 > max(there.mean(), 1 - there.mean())
    assert set(model.metrics) == {
        "epochs",
        "frames",
        "seconds",
        "train_accuracy",
        "train_loss",
        "validation_accuracy",
        "validation_loss",
    }
    assert model.metrics["frames"] == 300
    assert model.what.provenance["predicate"] == "car or person"
    assert model.what.provenance["settings"]["architecture"]["size"] == SIZE


def test_learns_to_count() -> None:
    images, counts = street_squares()
    settings = replace(QUICK, most_counted=3, at_least=2, epochs=15)
    model = train_specialised(images[::2], counts[::2], settings)
    likely = model.counts(images[1::2]).argmax(axis=1)
    assert (likely == counts[1::2]).mean() > 0.8


def test_the_same_seed_gives_the_same_weights_whatever_the_global_generator_does(
    model: SpecialisedModel,
) -> None:
    images, counts = street_squares()
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    again = train_specialised(images[:300], counts[:300], QUICK)
    assert torch.equal(before, torch.random.get_rng_state())
    np.testing.assert_array_equal(again.counts(images), model.counts(images))
    other = train_specialised(images[:300], counts[:300], replace(QUICK, seed=1, epochs=1))
    assert (other.counts(images) != model.counts(images)).any()


def test_no_more_time_is_taken_than_is_given() -> None:
    images, counts = street_squares()
    threads = torch.get_num_threads()
    told: list[tuple[float, float]] = []
    settings = replace(QUICK, epochs=10_000, patience=10_000, seconds=0.5)
    model = train_specialised(
        images, counts, settings, lambda share, loss: told.append((share, loss))
    )
    assert model.metrics["seconds"] < 30
    assert 0 < told[-1][0] < 1
    assert min(loss for _, loss in told) == pytest.approx(model.metrics["validation_loss"])
    assert torch.get_num_threads() == threads


def test_a_camera_that_turned_brighter_is_still_understood(model: SpecialisedModel) -> None:
    images, counts = street_squares()
    brighter = np.clip(images[300:].astype(np.int16) + 10, 0, 255).astype(np.uint8)
    assert ((model.score(brighter) > 0.5) == (counts[300:] >= 1)).mean() > 0.85


def test_validation_frames_are_whole_blocks_in_time() -> None:
    seen = training_part(100, 0.2)
    assert np.flatnonzero(~seen).tolist() == [
        frame for block in range(5) for frame in range(20 * block + 16, 20 * block + 20)
    ]


@pytest.mark.parametrize(
    ("frames", "counts", "complaint"),
    [
        (20, np.zeros(20, dtype=np.int64), "got no for all 20"),
        (20, np.ones(20, dtype=np.int64), "got yes for all 20"),
        (20, np.ones(20), "counts must be integer (20,), one for each image, got float64 (20,)"),
        (20, np.arange(5), "counts must be integer (20,), one for each image, got int64 (5,)"),
        (4, np.arange(4), "training needs at least 10 frames, got 4"),
        (20, np.arange(20) - 1, "counts must be at least 0, got -1"),
    ],
)
def test_training_that_cannot_teach_is_refused(
    frames: int, counts: np.ndarray[tuple[int], np.dtype[np.int64]], complaint: str
) -> None:
    images = np.zeros((frames, SIZE, SIZE, 3), dtype=np.uint8)
    with pytest.raises(RecordError) as caught:
        train_specialised(images, counts, QUICK)
    assert complaint in str(caught.value)


def test_settings_out_of_range_are_refused() -> None:
    for fields, complaint in (
        ({"at_least": 2}, "at_least must be a whole number in 1..1, got 2"),
        ({"validation_share": 0.9}, "validation_share must be in 0.05..0.5, got 0.9"),
        ({"epochs": 1.5}, "epochs must be a whole number in 1..10000, got 1.5"),
        ({"dropout": float("nan")}, "dropout must be in 0.0..0.9, got nan"),
        ({"seconds": 0}, "seconds must be in 0.01..2592000.0, got 0"),
    ):
        with pytest.raises(RecordError) as caught:
            replace(QUICK, **fields)
        assert str(caught.value) == complaint
