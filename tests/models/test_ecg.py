from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.ecg import CLASSES, EcgDescription, EcgModel, ecg_tensors
from models.ecg_network import WINDOW, EcgArchitecture, EcgNetwork
from models.ecg_training import EcgTrainSettings, train_ecg
from operators.ecg_stream import EcgStream, EcgStreamSettings
from records import (
    DetectorError,
    EventKind,
    Reading,
    RecordError,
    SignalClassifier,
    StreamEvent,
)
from tests.support.ecg import hearts, readings

if TYPE_CHECKING:
    from pathlib import Path

SMALL = EcgArchitecture((4, 4, 6, 8), kernel=3, last_kernel=3, dropout=0.1)


def random_model(architecture: EcgArchitecture = SMALL) -> EcgModel:
    """A model with random weights, and batch normalisation that is not the identity."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = EcgNetwork(architecture, len(CLASSES))
        network(torch.randn(8, 1, 4096))
    return EcgModel(EcgDescription(architecture), ecg_tensors(network))


MODEL = random_model()
SIGNAL = np.random.default_rng(0).normal(0, 0.3, 40 * WINDOW + 99).astype(np.float32)
WHOLE = MODEL.classify(SIGNAL)


def test_there_is_one_output_every_256_samples() -> None:
    assert isinstance(MODEL, SignalClassifier)
    assert (MODEL.window, MODEL.rate_hz, MODEL.classes) == (256, 300.0, ("N", "A", "O", "~"))
    assert WHOLE.shape == (40, 4)
    assert WHOLE.dtype == np.float32
    assert np.allclose(WHOLE.sum(axis=1), 1, atol=1e-6)
    assert MODEL.classify(SIGNAL[:255]).shape == (0, 4)


@pytest.mark.parametrize(
    "architecture",
    [SMALL, EcgArchitecture((4, 6, 8, 8), kernel=9, last_kernel=5)],
)
def test_an_output_depends_on_the_stated_context_and_no_more(
    architecture: EcgArchitecture,
) -> None:
    model = random_model(architecture)
    length = 2 * model.context + 3
    signal = np.random.default_rng(1).normal(0, 0.3, length * WINDOW).astype(np.float32)
    before = model.classify(signal)[model.context + 1]
    for place in (0, length - 1):
        changed = signal.copy()
        changed[place * WINDOW : (place + 1) * WINDOW] = 0
        assert np.allclose(model.classify(changed)[model.context + 1], before, atol=1e-5)
    # It does depend on its neighbours, on both sides.
    for place in (model.context, model.context + 2):
        changed = signal.copy()
        changed[place * WINDOW : (place + 1) * WINDOW] = 0
        assert not np.allclose(model.classify(changed)[model.context + 1], before, atol=1e-7)


@settings(max_examples=20)
@given(st.integers(1, 3000), st.integers(1, 20))
def test_a_stream_says_what_the_model_says_of_the_whole(size: int, new_windows: int) -> None:
    logic = EcgStream(EcgStreamSettings(new_windows=new_windows), MODEL)
    ended = StreamEvent("bed", 10**12, EventKind.ENDED)
    items: list[Reading | StreamEvent] = [*readings(SIGNAL, size, rate_hz=300.0), ended]
    found = [
        one.probabilities
        for item in items
        if (batch := logic.on_item(item)) is not None
        for one in batch.classifications
    ]
    assert np.allclose(found, WHOLE, atol=1e-5)


def test_missing_samples_give_probabilities_all_the_same() -> None:
    assert np.isfinite(MODEL.classify(np.full(3000, np.nan, np.float32))).all()


@pytest.mark.parametrize(
    ("signal", "got"),
    [
        (np.zeros((2, 300), np.float32), "float32 (2, 300)"),
        (np.zeros(300), "float64 (300,)"),
        ([0.0], "list (1,)"),
    ],
)
def test_a_signal_is_checked(signal: Any, got: str) -> None:
    with pytest.raises(RecordError) as caught:
        MODEL.classify(signal)
    assert str(caught.value) == f"signal must be float32 (n,), got {got}"


def test_a_model_is_saved_and_read(tmp_path: Path) -> None:
    path = tmp_path / "ecg.safetensors"
    what = replace(MODEL.what, metrics={"train_loss": 0.5}, provenance={"train_records": ["A1"]})
    EcgModel(what, MODEL._tensors).save(path)
    loaded = EcgModel.load(path)
    assert np.array_equal(loaded.classify(SIGNAL), WHOLE)
    assert loaded.what == what


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("classes", "NA", "ValueError: classes must be 2 to 1024 names, got 'NA'"),
        ("classes", ["N"], "ValueError: classes must be 2 to 1024 names, got ['N']"),
        ("rate_hz", 0, "DetectorError: rate_hz must be above 0, got 0.0"),
        ("architecture", {"channels": [4, 4, 6, 999]},
         "ValueError: channels must be 4 whole numbers in 1..256, got (4, 4, 6, 999)"),
        ("architecture", [], "KeyError: 'channels'"),
        ("metrics", {"loss": "low"}, "ValueError: could not convert string to float: 'low'"),
    ],
)  # fmt: skip
def test_a_manifest_that_describes_no_model_is_refused(
    tmp_path: Path, field: str, value: Any, reason: str
) -> None:
    path = tmp_path / "ecg.safetensors"
    MODEL.save(path)
    manifest = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps({**manifest, field: value}))
    with pytest.raises(DetectorError) as caught:
        EcgModel.load(path)
    assert str(caught.value) == (
        f"{tmp_path}/ecg.json does not describe a model ({reason}). Train the model again"
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"channels": (4, 4, 4)}, "channels must be 4 whole numbers in 1..256, got (4, 4, 4)"),
        ({"kernel": 4}, "kernel must be one of (3, 5, 7, 9), got 4"),
        ({"last_kernel": 3.0}, "last_kernel must be one of (3, 5, 7, 9), got 3.0"),
        ({"dropout": 1}, "dropout must be in 0..0.9, got 1"),
    ],
)
def test_an_architecture_is_checked(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(DetectorError) as caught:
        EcgArchitecture(**fields)
    assert str(caught.value) == message


def test_a_description_is_checked() -> None:
    with pytest.raises(DetectorError) as caught:
        EcgDescription(classes=("N", "N"))
    assert str(caught.value) == "classes must be at least 2 different names, got ('N', 'N')"


TINY = EcgTrainSettings(
    EcgArchitecture((8, 8, 8, 8), kernel=5, dropout=0.1),
    epochs=3,
    batch_size=4,
    crop_windows=6,
    learning_rate=0.01,
    seed=3,
)


CLASS_NAMES = ("even", "uneven")


def test_training_repeats_itself_and_leaves_other_draws_alone() -> None:
    before = torch.random.get_rng_state()
    told: list[tuple[int, float]] = []
    records = hearts(9)
    model = train_ecg(records, TINY, lambda *one: told.append(one), CLASS_NAMES)
    again = train_ecg(records, TINY, None, CLASS_NAMES)
    other = train_ecg(records, replace(TINY, seed=4), None, CLASS_NAMES)
    signal = records[0].signal
    assert np.array_equal(model.classify(signal), again.classify(signal))
    assert not np.array_equal(model.classify(signal), other.classify(signal))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert [epoch for epoch, _ in told] == [1, 2, 3]
    assert model.what.metrics["records"] == 9
    assert model.what.metrics["train_loss"] == told[-1][1]
    assert model.what.provenance["train_records"] == [one.name for one in records]


def test_training_tells_even_hearts_from_uneven_ones() -> None:
    settings = replace(TINY, epochs=30, batch_size=8)
    model = train_ecg(hearts(24), settings, None, CLASS_NAMES)
    unseen = hearts(10, seed=7)
    right = [model.classify(one.signal).mean(axis=0).argmax() == one.label for one in unseen]
    assert sum(right) >= 9


def test_what_cannot_be_trained_on_is_said() -> None:
    def refused(records: list[Any]) -> str:
        with pytest.raises(RecordError) as caught:
            train_ecg(records, TINY, None, ("even", "uneven"))
        return str(caught.value)

    some = hearts(4)
    assert refused(some[:3]) == "training needs at least batch_size records, 4, got 3"
    assert refused([*some, replace(some[0], label=2)]) == "label of H000 must be in 0..1, got 2"
    assert refused([*some, replace(some[0], signal=some[0].signal[:255])]) == (
        "signal of H000 must have at least 256 samples, got 255"
    )
    assert refused([some[0]] * 4) == "training needs records of at least 2 classes, got only even"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"epochs": 0}, "epochs must be a whole number in 1..10000, got 0"),
        ({"batch_size": 2.5}, "batch_size must be a whole number in 2..4096, got 2.5"),
        ({"learning_rate": 0}, "learning_rate must be in 1e-06..1.0, got 0"),
        ({"smoothing": True}, "smoothing must be in 0.0..0.5, got True"),
    ],
)
def test_training_settings_are_checked(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError) as caught:
        EcgTrainSettings(**fields)
    assert str(caught.value) == message
