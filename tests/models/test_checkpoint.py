from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from models.architecture import Architecture
from models.checkpoint import Checkpoint, CheckpointFile
from models.ecg_network import EcgArchitecture
from models.ecg_training import EcgTrainSettings, train_ecg
from models.training import train_specialised
from models.training_settings import TrainSettings
from records import DetectorError, RecordError
from tests.support.ecg import hearts
from tests.support.squares import SIZE, street_squares

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

QUICK = TrainSettings(architecture=Architecture(size=SIZE), epochs=5, patience=5, seconds=600)
ECG = EcgTrainSettings(
    EcgArchitecture((4, 4, 6, 8), kernel=3, last_kernel=3), epochs=4, batch_size=4, crop_windows=6
)


class EndedError(Exception):
    """As if the process had ended there."""


def ends_after(epochs: int) -> Callable[[float, float], None]:
    told: list[float] = []

    def progress(*seen: float) -> None:
        told.append(seen[0])
        if len(told) == epochs:
            raise EndedError

    return progress


def same(one: Mapping[str, NDArray[np.float32]], other: Mapping[str, NDArray[np.float32]]) -> bool:
    return one.keys() == other.keys() and all(
        np.array_equal(one[name], other[name]) for name in one
    )


@pytest.mark.parametrize("depthwise", [False, True])
def test_a_specialised_training_that_is_resumed_gives_the_same_weights(
    tmp_path: Path, *, depthwise: bool
) -> None:
    images, counts = street_squares()
    images, counts = images[:120], counts[:120]
    architecture = Architecture(layers=4, size=SIZE, depthwise=depthwise)
    settings = replace(QUICK, architecture=architecture)
    whole = train_specialised(images, counts, settings)
    file = CheckpointFile(tmp_path / "deep" / "checkpoint")
    for epochs in (1, 2):
        with pytest.raises(EndedError):
            train_specialised(
                images, counts, settings, ends_after(epochs), checkpoint=file
            )  # fmt: skip
    left: list[float] = []
    resumed = train_specialised(
        images, counts, settings, lambda share, _: left.append(share), checkpoint=file
    )
    assert left == [0.8, 1.0]
    assert same(resumed.tensors, whole.tensors)
    assert resumed.metrics["epochs"] == whole.metrics["epochs"]
    file.remove()
    file.remove()
    assert file.load("any") is None


def test_an_ecg_training_that_is_resumed_gives_the_same_weights(tmp_path: Path) -> None:
    records = hearts(12)
    whole = train_ecg(records, ECG, classes=("N", "A"))
    file = CheckpointFile(tmp_path / "checkpoint")
    with pytest.raises(EndedError):
        train_ecg(records, ECG, ends_after(2), ("N", "A"), checkpoint=file)
    told: list[int] = []
    resumed = train_ecg(
        records, ECG, lambda epoch, _: told.append(epoch), ("N", "A"), checkpoint=file
    )
    assert told == [3, 4]
    assert same(resumed.tensors, whole.tensors)
    assert resumed.what.metrics["train_loss"] == whole.what.metrics["train_loss"]


def test_a_training_goes_on_from_a_model(tmp_path: Path) -> None:
    images, counts = street_squares()
    images, counts = images[:120], counts[:120]
    first = train_specialised(images, counts, QUICK)
    gentle = replace(QUICK, epochs=1, learning_rate=1e-6)
    same_again = train_specialised(images, counts, gentle, initial=first)
    np.testing.assert_allclose(same_again.score(images), first.score(images), atol=1e-3)
    file = CheckpointFile(tmp_path / "checkpoint")
    train_specialised(images, counts, gentle, checkpoint=file)
    told: list[float] = []
    # The checkpoint is that of a training from another beginning.
    train_specialised(
        images, counts, gentle, lambda share, _: told.append(share), initial=first,
        checkpoint=file,
    )  # fmt: skip
    assert told == [1.0]
    ecg = train_ecg(hearts(12), ECG, classes=("N", "A"))
    barely = replace(ECG, epochs=1, learning_rate=1e-6)
    gone_on = train_ecg(hearts(12), barely, classes=("N", "A"), initial=ecg)
    weights = [name for name in ecg.tensors if name.endswith("weight")]
    assert all(np.allclose(ecg.tensors[name], gone_on.tensors[name], atol=1e-3) for name in weights)


def test_a_training_ends_when_it_is_enough() -> None:
    images, counts = street_squares()
    asked: list[bool] = []

    def enough() -> bool:
        asked.append(True)
        return len(asked) == 3

    told: list[float] = []
    train_specialised(images, counts, QUICK, lambda one, _: told.append(one), enough=enough)
    assert (len(asked), told) == (3, [0.2])
    epochs: list[int] = []
    train_ecg(hearts(12), ECG, lambda one, _: epochs.append(one), ("N", "A"), enough=lambda: True)
    assert epochs == [1]


def test_models_of_another_shape_are_no_beginning() -> None:
    images, counts = street_squares()
    first = train_specialised(images[:50], counts[:50], replace(QUICK, epochs=1))
    with pytest.raises(RecordError) as caught:
        train_specialised(images, counts, replace(QUICK, most_counted=2), initial=first)
    assert str(caught.value) == (
        "initial must be of the shape 2x16-32-50px and count to 2, got 2x16-32-50px and 1. "
        "Train without it"
    )
    ecg = train_ecg(hearts(12), replace(ECG, epochs=1), classes=("N", "A"))
    with pytest.raises(RecordError, match="initial must have the shape and classes"):
        train_ecg(hearts(12), ECG, classes=("N", "O"), initial=ecg)


def test_a_damaged_checkpoint_is_told(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    file = CheckpointFile(path)
    file.save("key", Checkpoint({"a": torch.ones(3)}, {"epochs": 2}))
    found = file.load("key")
    assert found is not None
    assert (found.tensors["a"].tolist(), found.values) == ([1.0, 1.0, 1.0], {"epochs": 2})
    assert file.load("another") is None
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DetectorError, match=r"is damaged .*Remove it; the training then begins"):
        file.load("key")
    (tmp_path / "plain").touch()
    with pytest.raises(DetectorError, match="cannot be written: File exists"):
        CheckpointFile(tmp_path / "plain" / "checkpoint").save("key", Checkpoint({}, {}))
