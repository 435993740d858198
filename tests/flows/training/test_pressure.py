from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

import pytest

from flows.training.pressure import FILE_NAME, Pressure, PressureSettings
from records import RecordError, SightflowError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_flow_that_is_behind_makes_the_trainer_wait_until_the_file_is_stale(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "registry"
    settings = PressureSettings(poll_seconds=1e-9)
    flow, trainer = Pressure(folder, settings), Pressure(folder, settings)
    assert not trainer.busy
    flow.report(0.4)
    assert not (folder / FILE_NAME).exists()
    flow.report(0.6)
    assert trainer.busy
    for age in (10.0, -10.0):  # a file that is old, and one from before the clock was set back
        moment = time.time() - age
        os.utime(folder / FILE_NAME, (moment, moment))
        assert not trainer.busy
    flow.report(0.6)
    assert not trainer.busy  # it was touched a moment ago, so it is not touched again
    Pressure(folder, settings).report(0.6)
    assert trainer.busy


def test_the_trainer_looks_now_and_then_only(tmp_path: Path) -> None:
    trainer = Pressure(tmp_path, PressureSettings(poll_seconds=3600.0))
    assert not trainer.busy
    Pressure(tmp_path).report(9.0)
    assert not trainer.busy


def test_what_cannot_be_touched_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SightflowError, match=r"cannot be touched: .* check the permissions"):
        Pressure(tmp_path / "file").report(9.0)


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(RecordError) as caught:
        PressureSettings(touch_seconds=2.0)
    assert str(caught.value) == "stale_seconds must be above touch_seconds, 2.0, got 2.0"
    with pytest.raises(RecordError, match="lag_seconds must be above 0, got 0"):
        PressureSettings(lag_seconds=0)


def test_both_sides_work_from_threads_of_one_process(tmp_path: Path) -> None:
    flow = Pressure(tmp_path)
    threads = [threading.Thread(target=flow.report, args=(1.0,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Pressure(tmp_path).busy
