"""Targets: files of models, registries and plans."""

from __future__ import annotations

import hashlib
import json
import math
import tempfile
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from flows.trained import FILE_NAME, Certified, TrainedCascade, load_trained, save_trained
from models.architecture import Architecture, build_network
from models.certification import Contract
from models.checkpoint import Checkpoint, CheckpointFile
from models.ecg import EcgModel
from models.packet_features import SizeScale, feature_count
from models.packets import PacketModel
from models.registry import Registry
from models.soap.calibrate import Calibration
from models.soap.cost import MeasuredCosts
from models.soap.machine import Runtime
from models.soap.plan import Partition
from models.soap.plan import Plan as DevicePlan
from models.specialised import Specialisation, SpecialisedModel
from operators.difference import DifferenceSettings
from operators.plan import Plan
from operators.predicate import Predicate
from operators.severity import Curve, CurveBin, SeverityCalibration, SeverityCurves
from operators.severity_json import calibration_from_json, calibration_to_json
from records import DetectorError, RecordError
from tests.fuzz.mutation import Form
from tests.fuzz.target import Target
from tests.support.ecg import random_model as random_ecg
from tests.support.registries import Ticking, registry_with
from tests.support.soap import graph_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from models.soap.ranks import Ranks
    from tests.fuzz.target import Read

_REACH = 4
_METRICS = {"unseen_auc": 0.9, "unseen_gain": 0.5}


def specialised() -> SpecialisedModel:
    """A small model with random weights."""
    what = Specialisation(Architecture(layers=2, filters=16, dense=32, size=50), 3, 2, 30.0)
    rng = np.random.default_rng(0)
    network = build_network(what.architecture, what.most_counted)
    tensors = {
        name: rng.normal(size=tuple(value.shape)).astype(np.float32)
        for name, value in network.named_parameters()
    }
    tensors["mean"] = rng.uniform(0, 255, (3, 50, 50)).astype(np.float32)
    return SpecialisedModel(what, tensors, "cpu")


def packets() -> PacketModel:
    """A small packet model with random weights."""
    rng = np.random.default_rng(0)
    shapes = {"hidden_weight": (feature_count(_REACH), 16), "hidden_bias": (16,),
              "output_weight": (16,), "output_bias": (1,)}  # fmt: skip
    tensors = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    return PacketModel(_REACH, SizeScale((9.0, 5.0, 6.5), (0.3, 0.0, 1.1)), tensors, _METRICS, {})


def cascade() -> TrainedCascade:
    """A trained cascade without small models."""
    difference = DifferenceSettings(threshold=40.0, hold_seconds=math.inf)
    plans = (Plan(difference=difference, stride=2), Plan(difference=difference))
    certified = Certified(1, 0.81, 0.82, 40)
    return TrainedCascade(
        "yolox", Predicate("person", at_least=4), plans, Contract(0.8, 0.8, 0.9), certified
    )


def _files(save: Callable[[Path], None]) -> tuple[bytes, bytes]:
    """The weights and the manifest that a model writes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        save(path)
        return path.read_bytes(), path.with_suffix(".json").read_bytes()


def _models(
    name: str, save: Callable[[Path], None], load: Callable[[Path], object]
) -> tuple[Target, Target]:
    """The readers of a model's manifest, and of its weights with a manifest that agrees."""
    weights, manifest = _files(save)
    fields: dict[str, Any] = json.loads(manifest)

    def read_manifest(data: bytes, folder: Path) -> None:
        path = folder / "model.safetensors"
        path.write_bytes(weights)
        path.with_suffix(".json").write_bytes(data)
        load(path)

    def read_weights(data: bytes, folder: Path) -> None:
        path = folder / "model.safetensors"
        path.write_bytes(data)
        told = fields | {"weights_sha256": hashlib.sha256(data).hexdigest()}
        path.with_suffix(".json").write_text(json.dumps(told), encoding="utf-8")
        load(path)

    errors = (DetectorError,)
    words = (b'"shape":[', b'"F16"', b'"data_offsets":[0,', b"__metadata__")
    return (
        Target.of(f"manifests of {name}", [manifest], read_manifest, Form.JSON, errors=errors),
        Target.of(f"weights of {name}", [weights], read_weights, Form.BYTES, words, errors),
    )


def _trained(data: bytes, folder: Path) -> None:
    (folder / FILE_NAME).write_bytes(data)
    load_trained(folder)


def _trained_sample() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        save_trained(Path(folder), cascade())
        return (Path(folder) / FILE_NAME).read_bytes()


def _calibration(data: bytes, _: Path) -> None:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise RecordError("no JSON") from error
    calibration_to_json(calibration_from_json(value))


def _calibration_sample() -> bytes:
    curve = Curve(20, (CurveBin(0.5, 0.25, 0.1, 0.5, 10), CurveBin(2.0, 0.75, 0.5, 0.9, 10)))
    known = {("flicker", ""): SeverityCurves(curve, curve), ("appear", "car"): SeverityCurves()}
    return json.dumps(calibration_to_json(SeverityCalibration(known, frozenset({"x"})))).encode()


def _registry_file(name: str) -> Target:
    """A registry of two versions, of which one file is damaged."""

    @contextmanager
    def opened(folder: Path) -> Iterator[Read]:
        registry = registry_with(folder, 2)
        registry.promote("gate", 1)
        registry.propose("gate", 2)
        path = folder / "models" / "gate" / name

        def read(data: bytes) -> None:
            path.write_bytes(data)
            found = Registry(folder / "models", Ticking())
            found.names()
            found.pointers("gate")
            found.history("gate")
            found.versions("gate")
            found.folder("gate", 1)

        yield read

    with tempfile.TemporaryDirectory() as made:
        registry = registry_with(Path(made), 2)
        registry.promote("gate", 1)
        registry.propose("gate", 2)
        sample = (Path(made) / "models" / "gate" / name).read_bytes()
    form = Form.TEXT if name.endswith("l") else Form.JSON
    return Target(f"registry's {name.rpartition('/')[2]}", [sample], opened, form,
                  errors=(DetectorError,))  # fmt: skip


def _plan(data: bytes, _: Path) -> None:
    graph = graph_of("perceptron")
    plan = DevicePlan.from_json(data.decode("utf-8", "replace"))
    plan.check(graph)
    plan.to_json()


def _plan_sample() -> bytes:
    groups = graph_of("perceptron").groups
    parts = {name: Partition(((),) * len(inner), (0,)) for name, inner in groups.items()}
    return DevicePlan(2, parts).to_json().encode()


def _costs(data: bytes, folder: Path) -> None:
    (folder / "costs.json").write_bytes(data)
    # Nothing is measured, so no ranks are needed.
    MeasuredCosts(graph_of("perceptron"), cast("Ranks", None), folder / "costs.json")


def _runtime(data: bytes, folder: Path) -> None:
    (folder / "runtime.json").write_bytes(data)
    Calibration.load(folder / "runtime.json")


_RUNTIME = Calibration(Runtime(), 2, 24, 0.1, "2026-05-01", {"processor": "x"})


def _checkpoint(data: bytes, folder: Path) -> None:
    (folder / "training.safetensors").write_bytes(data)
    CheckpointFile(folder / "training.safetensors").load("key")


def _checkpoint_sample() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "training.safetensors"
        CheckpointFile(path).save("key", Checkpoint({"a": torch.ones(2, 3)}, {"steps": 3}))
        return path.read_bytes()


TARGETS = (
    *_models("specialised models", specialised().save,
             lambda path: SpecialisedModel.load(path, "cpu")),
    *_models("ECG models", random_ecg().save, EcgModel.load),
    *_models("packet models", packets().save, PacketModel.load),
    Target.of("trained cascades", [_trained_sample()], _trained, Form.JSON,
              errors=(DetectorError,)),
    Target.of("severity calibrations", [_calibration_sample()], _calibration, Form.JSON,
              errors=(RecordError,)),
    *map(_registry_file, ("versions/1/version.json", "state.json", "history.jsonl")),
    Target.of("plans of devices", [_plan_sample()], _plan, Form.JSON, errors=(RecordError,)),
    Target.of("measured costs", [b'{"linear 5 7": [0.001, 0.002]}'], _costs, Form.JSON,
              errors=(RecordError,)),
    Target.of("runtime calibrations", [json.dumps(asdict(_RUNTIME)).encode()], _runtime,
              Form.JSON, errors=(RecordError,)),
    Target.of("checkpoints", [_checkpoint_sample()], _checkpoint, Form.BYTES,
              (b'"dtype":"F32"', b'"shape":[', b"__metadata__"), (DetectorError,)),
)  # fmt: skip
"""The targets of this module."""
