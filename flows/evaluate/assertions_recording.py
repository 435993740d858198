"""Recordings to judge assertions on: what a camera, and perhaps a LIDAR, said, and the truth."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from connectors.lidar import ScanSettings, read_camera_boxes, read_scans
from connectors.log_manifest import MANIFEST_NAME
from connectors.replay import EventLog
from connectors.video import VideoSettings, read_video
from flows.evaluate.truth import FrameTruth
from flows.evaluate.truth_files import field_count, read_mot_boxes, read_truth
from operators.join import Join
from operators.join_settings import JoinSettings, SensorBatch
from operators.track import Track, TrackSettings
from records import (
    UNTRACKED,
    Detections,
    Frame,
    RecordError,
    SourceError,
    Stage,
    Verdict,
    VerdictBatch,
)
from records.range_boxes import SOLID_FIELDS, RangeBoxes
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from connectors.lidar_files import FileFaults
    from operators.assertions.api import Moment
    from records import Detector

LIDAR = "lidar"
"""The name of the LIDAR's stream and output."""

CAMERA_FIELDS = 6
"""Fields of a line of camera boxes: frame, corners, score."""

SCAN_FIELDS = 15
"""Fields of a line of LIDAR boxes."""

SUFFIXES = (".txt", ".csv")
"""How files of boxes and labels end."""

WANTED = " or ".join(SUFFIXES)

BATCH_FRAMES = 8
"""Frames in one call of a detector."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """Where recordings lie.

    Attributes:
        truth: A file of labels, or a folder with one for each recording.
        class_name: The class that is judged.
        detections: A file of boxes, a folder with one for each recording, or a run's directory;
            None with a video.
        lidar: A file of LIDAR boxes, or a folder with one for each recording; None for none.
        rate_hz: Frames a second, of files, which hold no times.
        names: The recordings to take; all when empty.
    """

    truth: Path
    class_name: str
    detections: Path | None = None
    lidar: Path | None = None
    rate_hz: float = 10.0
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.rate_hz > 0:
            raise RecordError(f"rate_hz must be above 0, got {self.rate_hz}")


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """One recording: n frames.

    Attributes:
        name: Its name.
        verdicts: What the camera's detector said, with tracks, by frame.
        scans: What the LIDAR said, by frame; None where there was none.
        truth: What is true, by frame.
        faults: Lines of its files that could not be understood.
    """

    name: str
    verdicts: tuple[Verdict, ...]
    scans: tuple[RangeBoxes, ...] | None
    truth: tuple[FrameTruth, ...]
    faults: tuple[FileFaults, ...] = ()

    def moments(self) -> list[Moment]:
        """The moments that assertions see: the verdicts joined with the scans."""
        partners = () if self.scans is None else (LIDAR,)
        join = Join(JoinSettings({self.name: partners}))
        batches = []
        for k, verdict in enumerate(self.verdicts):
            if self.scans is not None:
                batches.append(join.on_item(SensorBatch(self.name, LIDAR, (self.scans[k],))))
            batches.append(join.on_item(VerdictBatch(self.name, (verdict,))))
        batches.append(join.flush())
        return [moment for batch in batches if batch is not None for moment in batch.moments]


def read_recordings(inputs: Inputs) -> list[Recording]:
    """Read all recordings of a folder, or the one of a file, in order of their names.

    Raises:
        SourceError: a file is missing or cannot be read.
        LogError: a run's directory cannot be read.
    """
    assert inputs.detections is not None
    if (inputs.detections / MANIFEST_NAME).is_file():
        return _logged(inputs.detections, inputs)
    files = _files(inputs.detections, inputs.names)
    return [_read(name, path, inputs) for name, path in files.items()]


def with_lidar(detections: Path, class_name: str) -> tuple[Path, Path | None]:
    """The folders of camera and LIDAR boxes, where a folder holds both, as the class's name says.

    >>> from pathlib import Path
    >>> with_lidar(Path("boxes.txt"), "car")
    (PosixPath('boxes.txt'), None)
    """
    camera, lidar = (detections / f"{name}_{class_name}" for name in ("camera", "lidar"))
    return (camera, lidar) if camera.is_dir() and lidar.is_dir() else (detections, None)


def film(
    video: VideoSettings,
    detector: Detector,
    inputs: Inputs,
    progress: Callable[[int], None] | None = None,
) -> Recording:
    """Run a detector and a tracker on every frame of a video.

    Args:
        video: The video.
        detector: The detector.
        inputs: The truth and the class.
        progress: Called with the number of frames done.

    Raises:
        SourceError: the video or the truth cannot be read.
    """
    truth, faults = read_truth(inputs.truth, inputs.class_name)
    frames: Iterator[Frame] = (
        item for item in read_video("video", video) if isinstance(item, Frame)
    )
    verdicts: list[Verdict] = []
    while batch := list(islice(frames, BATCH_FRAMES)):
        found = detector.detect([frame.pixels.rgb() for frame in batch])
        verdicts += [
            _verdict("video", frame.sequence, frame.time_ns, one.of_classes([inputs.class_name]))
            for frame, one in zip(batch, found, strict=True)
        ]
        if progress is not None:
            progress(len(verdicts))
    if not verdicts:
        raise SourceError(f"{video.uri} has no frame that can be read")
    truths = _padded(truth, len(verdicts))[: len(verdicts)]
    return Recording("video", _tracked(verdicts, inputs), None, truths, (faults,))


def _read(name: str, path: Path, inputs: Inputs) -> Recording:
    """Read one recording of files."""
    truth, truth_faults = read_truth(_beside(inputs.truth, name), inputs.class_name)
    boxes, faults = _read_boxes(path, inputs)
    scans, all_faults = None, [truth_faults, faults]
    frames = max(len(truth), len(boxes))
    if inputs.lidar is not None:
        file = read_scans(_beside(inputs.lidar, name), ScanSettings(LIDAR, inputs.rate_hz))
        frames = max(frames, len(file.frames))
        scans = _all_scans(file.frames, frames, inputs)
        all_faults.append(file.faults)
    boxes += [Detections.empty()] * (frames - len(boxes))
    verdicts = [
        _verdict(name, k, round(k * NANOSECONDS / inputs.rate_hz), one)
        for k, one in enumerate(boxes)
    ]
    return Recording(
        name, _tracked(verdicts, inputs), scans, _padded(truth, frames), tuple(all_faults)
    )


def _logged(folder: Path, inputs: Inputs) -> list[Recording]:
    """Read the verdicts of each stream of a run; the truth is taken by the number of the frame."""
    log = EventLog.open(folder)
    recordings = []
    for stream in log.streams:
        if inputs.names and stream not in inputs.names:
            continue
        truth, faults = read_truth(_beside(inputs.truth, stream), inputs.class_name)
        logged = (record for record in log.records(stream) if isinstance(record, Verdict))
        verdicts = [
            replace(verdict, answer=verdict.answer.of_classes([inputs.class_name]))
            for verdict in logged
        ]
        known = _padded(truth, max((one.sequence for one in verdicts), default=-1) + 1)
        truths = tuple(known[verdict.sequence] for verdict in verdicts)
        recordings.append(Recording(stream, _tracked(verdicts, inputs), None, truths, (faults,)))
    return recordings


def _read_boxes(path: Path, inputs: Inputs) -> tuple[list[Detections], FileFaults]:
    """Read a file of boxes in the image: the camera's, a LIDAR's or MOT's."""
    fields = field_count(path)
    if fields == CAMERA_FIELDS:
        camera = read_camera_boxes(path, inputs.class_name)
        return list(camera.frames), camera.faults
    if fields == SCAN_FIELDS:
        scans = read_scans(path, ScanSettings(LIDAR, inputs.rate_hz))
        wanted = [inputs.class_name]
        return [scan.boxes.of_classes(wanted) for scan in scans.frames], scans.faults
    return read_mot_boxes(path, inputs.class_name)


def _all_scans(scans: Sequence[RangeBoxes], frames: int, inputs: Inputs) -> tuple[RangeBoxes, ...]:
    """The boxes of the class in each scan, and empty scans behind them up to so many frames."""
    wanted = [
        scan.select(np.array([name == inputs.class_name for name in scan.boxes.classes], bool))
        for scan in scans
    ]
    none, flat = Detections.empty(), np.empty((0, len(SOLID_FIELDS)), np.float32)
    rest = (
        RangeBoxes(LIDAR, k, round(k * NANOSECONDS / inputs.rate_hz), none, flat)
        for k in range(len(scans), frames)
    )
    return (*wanted, *rest)


def _padded(truth: Sequence[FrameTruth], frames: int) -> tuple[FrameTruth, ...]:
    return (*truth, *(FrameTruth.empty() for _ in range(frames - len(truth))))


def _verdict(name: str, sequence: int, time_ns: int, answer: Detections) -> Verdict:
    score = float(answer.scores.max()) if len(answer) else 0.0
    return Verdict(name, sequence, time_ns, Stage.REFERENCE, score, answer)


def _tracked(verdicts: Sequence[Verdict], inputs: Inputs) -> tuple[Verdict, ...]:
    """Give the boxes tracks, unless some have one already."""
    if any((verdict.answer.tracks != UNTRACKED).any() for verdict in verdicts):
        return tuple(verdicts)
    track = Track(TrackSettings(rate_hz=inputs.rate_hz))
    return track.on_item(VerdictBatch("recording", tuple(verdicts))).verdicts


def _files(path: Path, names: Sequence[str]) -> dict[str, Path]:
    """The recordings of a folder, or the file itself, by name."""
    if path.is_dir():
        found = {one.stem: one for one in sorted(path.iterdir()) if one.suffix in SUFFIXES}
    elif path.is_file():
        found = {path.stem: path}
    else:
        raise SourceError(f"{path} must be a file of boxes, a folder of them or a run's directory")
    missing = sorted(set(names) - set(found))
    if missing or not found:
        raise SourceError(
            f"{path} must hold recordings {', '.join(missing) or 'in files ' + WANTED}, "
            f"got {', '.join(found) or 'none'}"
        )
    return {name: file for name, file in found.items() if not names or name in names}


def _beside(path: Path, name: str) -> Path:
    """The file of a recording in a folder, or the file itself."""
    if not path.is_dir():
        return path
    choices = [path / f"{name}{suffix}" for suffix in SUFFIXES]
    found = next((choice for choice in choices if choice.is_file()), None)
    if found is None:
        raise SourceError(f"{path} must hold {name}{WANTED}, as the boxes of that recording do")
    return found
