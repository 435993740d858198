from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from connectors.video import VideoSettings
from flows.evaluate.assertions_recording import Inputs, film, read_recordings, with_lidar
from flows.evaluate.truth import Tally, judge
from models.detectors import DetectorSettings, load_detector
from records import RecordError, SourceError
from records.range_boxes import RangeBoxes
from tests.support.logs import run_dir_of, write_log
from tests.support.sensors import cars, verdict

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.scenes import Street

LABEL = "{} 7 Car 0 1 -1.5 10 20 30 40 1.5 1.6 3.9 -4.5 1.75 13.5 -2.0\n"
SCAN = "{},2,12,20,32,40,0.0,1.5,1.6,4.0,-4.5,1.5,13.5,0.25,-1.7\n"


def write(folder: Path, name: str, lines: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(lines, encoding="utf-8")
    return folder


def folders(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Two recordings of camera, LIDAR and truth, of different lengths."""
    camera = write(tmp_path / "camera_car", "a.txt", "0,10,20,30,40,0.5\nnonsense\n")
    write(tmp_path / "camera_car", "b.txt", "1,1,2,3,4,0.5\n")
    lidar = write(tmp_path / "lidar_car", "a.txt", SCAN.format(1))
    write(tmp_path / "lidar_car", "b.txt", SCAN.format(0))
    truth = write(tmp_path / "truth", "a.txt", LABEL.format(2))
    write(tmp_path / "truth", "b.txt", LABEL.format(0))
    return camera, lidar, truth


def test_camera_lidar_and_truth_are_of_one_length_and_joined_by_time(tmp_path: Path) -> None:
    camera, lidar, truth = folders(tmp_path)
    inputs = Inputs(truth, "car", camera, lidar, rate_hz=10, names=("a",))
    (found,) = read_recordings(inputs)
    assert (found.name, len(found.verdicts), len(found.scans or ()), len(found.truth)) == (
        "a", 3, 3, 3,
    )  # fmt: skip
    assert [len(verdict.answer) for verdict in found.verdicts] == [1, 0, 0]
    assert [len(frame.objects) for frame in found.truth] == [0, 0, 1]
    assert [faults.count for faults in found.faults] == [0, 1, 0]
    moments = found.moments()
    assert [moment.sequence for moment in moments] == [0, 1, 2]
    scans = [moment.outputs["lidar"] for moment in moments]
    assert [len(scan) for scan in scans if isinstance(scan, RangeBoxes)] == [0, 1, 0]


def test_all_recordings_of_a_folder_and_what_is_missing(tmp_path: Path) -> None:
    camera, lidar, truth = folders(tmp_path)
    assert [one.name for one in read_recordings(Inputs(truth, "car", camera))] == ["a", "b"]
    with pytest.raises(SourceError, match=r"camera_car must hold recordings c, got a, b$"):
        read_recordings(Inputs(truth, "car", camera, names=("c",)))
    (truth / "b.txt").unlink()
    with pytest.raises(SourceError, match=r"truth must hold b\.txt or \.csv, as the boxes"):
        read_recordings(Inputs(truth, "car", camera))
    with pytest.raises(SourceError, match="must be a file of boxes, a folder of them or a run's"):
        read_recordings(Inputs(truth, "car", tmp_path / "none"))
    with pytest.raises(RecordError, match="^rate_hz must be above 0, got 0$"):
        Inputs(truth, "car", camera, rate_hz=0)
    assert with_lidar(tmp_path, "car") == (camera, lidar)
    assert with_lidar(camera, "car") == (camera, None)


def test_files_of_a_lidar_and_of_mot_are_boxes_too(tmp_path: Path) -> None:
    _, lidar, truth = folders(tmp_path)
    (of_lidar,) = read_recordings(Inputs(truth / "a.txt", "car", lidar / "a.txt"))
    assert [len(verdict.answer) for verdict in of_lidar.verdicts] == [0, 1, 0]
    mot = write(tmp_path / "mot", "m.csv", "1,5,10,20,20,20,0.75\n2,5,11,20,20,20,0.75\n")
    (of_mot,) = read_recordings(Inputs(mot / "m.csv", "person", mot))
    assert [verdict.answer.tracks.tolist() for verdict in of_mot.verdicts] == [[5], [5]]


def test_boxes_without_tracks_get_some(tmp_path: Path) -> None:
    lines = "".join(f"{k},10,20,60,80,0.9\n" for k in range(5))
    camera = write(tmp_path / "boxes", "a.txt", lines)
    truth = write(tmp_path / "truth", "a.txt", LABEL.format(0))
    (found,) = read_recordings(Inputs(truth, "car", camera))
    assert [verdict.answer.tracks.tolist() for verdict in found.verdicts] == [
        [-1], [1], [1], [1], [1],
    ]  # fmt: skip


def test_an_event_log_is_judged_by_the_numbers_of_its_frames(tmp_path: Path) -> None:
    run = run_dir_of(tmp_path / "run")
    seen = [verdict(k, 100 * k, cars([(10, 20, 30, 40)])) for k in (1, 2)]
    write_log(run, seen)
    truth = write(tmp_path / "truth", "gate.txt", LABEL.format(2))
    (found,) = read_recordings(Inputs(truth, "car", run))
    assert [one.sequence for one in found.verdicts] == [1, 2]
    assert [len(frame.objects) for frame in found.truth] == [0, 1]
    assert read_recordings(Inputs(truth, "car", run, names=("door",))) == []


def test_a_video_is_detected_tracked_and_judged(scene: Street, tmp_path: Path) -> None:
    lines = [
        f"{k},{n},{x1},{y1},{x2 - x1},{y2 - y1},1\n"
        for k, found in enumerate(scene.truth[:60], 1)
        for n, (x1, y1, x2, y2) in enumerate(found.of_classes(["person"]).boxes.tolist(), 1)
    ]
    truth = write(tmp_path / "truth", "t.txt", "".join(lines)) / "t.txt"
    detector = load_detector(
        DetectorSettings(
            model="silhouette", weights=str(scene.folder / "empty.png"), classes=("person",)
        )
    )
    settings = VideoSettings(uri=str(scene.folder / "scene.mp4"), frames_at_most=60)
    done: list[int] = []
    found = film(settings, detector, Inputs(truth, "person"), done.append)
    assert (len(found.verdicts), len(found.truth), done[-1]) == (60, 60, 60)
    tally = Tally.of(
        judge(one.answer, frame) for one, frame in zip(found.verdicts, found.truth, strict=True)
    )
    assert tally.accuracy > 0.7
    assert (np.concatenate([one.answer.tracks for one in found.verdicts]) >= 1).any()
