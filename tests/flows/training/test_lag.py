from __future__ import annotations

import time
from typing import TYPE_CHECKING

from flows.config import Configuration
from flows.training.lag import LagWatch, lag_watch
from flows.training.pressure import Pressure, PressureSettings
from records import Detections, EventKind, Stage, StreamEvent, Verdict
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from pathlib import Path


def verdict(seconds: float) -> Verdict:
    time_ns = round(seconds * NANOSECONDS)
    return Verdict("gate", 0, time_ns, Stage.REFERENCE, 0.0, Detections.empty())


def configuration(streams: dict[str, object], models: object) -> Configuration:
    values = {"version": 1, "name": "flow", "streams": streams, "models": models}
    return Configuration.model_validate(values)


def test_a_paced_stream_that_falls_behind_makes_the_trainer_wait(tmp_path: Path) -> None:
    now = [100.0]
    paced = configuration({"gate": {"uri": "gate.mp4", "speed": 4}}, {"directory": "models"})
    lag = lag_watch(paced, tmp_path, lambda: round(now[0] * NANOSECONDS))
    assert lag is not None
    trainer = Pressure(tmp_path / "models", PressureSettings(poll_seconds=1e-9))
    lag.observe("gate", [verdict(0)])
    now[0] = 102.4
    lag.observe("gate", [verdict(8), StreamEvent("gate", 8, EventKind.OPENED)])
    assert not trainer.busy  # 0.4 s behind
    lag.observe("hall", [verdict(0)])
    assert not trainer.busy  # a stream without a pace says nothing
    now[0] = 102.6
    lag.observe("gate", [verdict(8)])
    assert trainer.busy


def test_live_streams_are_followed_too_and_files_as_fast_as_can_be_are_not(tmp_path: Path) -> None:
    streams: dict[str, object] = {
        "camera": {"uri": "rtsp://camera.local/main"},
        "file": {"uri": "gate.mp4"},
        "played": {"uri": "gate.mp4", "live": True},
        "sent": {"uri": "kafka:"},
    }
    lag = lag_watch(configuration(streams, {"directory": "models"}), tmp_path, time.time_ns)
    assert isinstance(lag, LagWatch)
    assert lag._paces == {"camera": 1.0, "played": 1.0}
    assert lag_watch(configuration(streams, None), tmp_path, time.time_ns) is None
