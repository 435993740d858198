from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from connectors.log_manifest import Manifest, write_manifest
from flows import config
from flows.replay import OpenOptions, open_recording
from flows.replay.inputs import LogInput, VideoInput
from records import SightflowError, SourceError
from tests.support.logs import run_dir_of

if TYPE_CHECKING:
    from pathlib import Path

    from flows.replay import ReplayInput
    from tests.support.recordings import Town


def opened(town: Town, recording: Path | str, options: OpenOptions | None = None) -> ReplayInput:
    configuration, _ = config.load(town.write())
    return open_recording(str(recording), configuration, town.folder, options)


def told(town: Town, recording: Path | str, options: OpenOptions | None = None) -> str:
    with pytest.raises(SightflowError) as error:
        opened(town, recording, options)
    return str(error.value)


def test_a_folder_of_videos(town: Town, tmp_path: Path) -> None:
    shutil.copy(town.videos / "gate.mp4", tmp_path)
    (tmp_path / "till").mkdir()
    shutil.copy(town.videos / "till.mp4", tmp_path / "till" / "1.mp4")
    for name in ("notes.txt", ".hidden"):
        (tmp_path / name).touch()
    found = opened(town, tmp_path)
    assert isinstance(found, VideoInput)
    assert (found.streams, found.left_out) == (("gate", "till"), ("notes",))
    settings = found.settings()
    assert settings["gate"].uri == str(tmp_path / "gate.mp4")
    assert settings["till"].uri == str(tmp_path / "till")
    assert settings["gate"].frames_in_memory >= 48
    assert found.notes() == {"left_out": ["notes"]}


def test_videos_that_are_named(town: Town, tmp_path: Path) -> None:
    shutil.copy(town.videos / "gate.mp4", tmp_path / "gate.mp4")
    (tmp_path / "gate.mkv").touch()
    assert told(town, tmp_path) == (
        f"stream gate must have one video, got {tmp_path / 'gate.mkv'}, {tmp_path / 'gate.mp4'}; "
        "choose with --stream gate=FILE"
    )
    named = OpenOptions(videos={"gate": "gate.mp4", "till": str(town.videos / "till.mp4")})
    found = opened(town, tmp_path, named)
    assert isinstance(found, VideoInput)
    assert found.settings()["till"].uri == str(town.videos / "till.mp4")
    assert told(town, tmp_path, OpenOptions(videos={"door": "x"})) == (
        "the configuration has no stream 'door'; it has gate, till"
    )


def test_a_single_video_needs_a_configuration_of_one_stream(town: Town, tmp_path: Path) -> None:
    assert told(town, town.videos / "gate.mp4") == (
        "a single video needs a configuration of one stream, this one has gate, till; put the "
        "videos into a folder, each with its stream's name"
    )
    path = tmp_path / "one.yaml"
    path.write_text("version: 1\nname: n\nstreams: {door: {uri: 'webcam:0', live: true}}\n")
    configuration, _ = config.load(path)
    found = open_recording(str(town.videos / "gate.mp4"), configuration, tmp_path)
    assert isinstance(found, VideoInput)
    assert not found.settings()["door"].is_live


def test_an_event_log(town: Town) -> None:
    found = opened(town, town.log)
    assert isinstance(found, LogInput)
    assert (found.streams, found.left_out, found.model) == (("gate", "till"), (), "silhouette")
    assert told(town, town.log, OpenOptions(videos={"gate": "x"})) == (
        f"{town.log} holds no videos; leave out --stream and --decode"
    )
    runs = town.log.parent
    assert told(town, runs) == f"{runs} holds runs; name one of them, such as {town.log}"


def test_the_videos_of_an_event_log(town: Town) -> None:
    found = opened(town, town.log, OpenOptions(decode=True))
    assert isinstance(found, VideoInput)
    # The configuration's links lead to the folder of videos.
    assert found.settings()["gate"].uri == str(town.videos / "gate.mp4")


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        (
            "rtsp://me:secret@camera/main",
            "the frames of stream gate were not kept, they came from rtsp://***@camera/main; "
            "replay its verdicts without --decode, or name a recording with --stream gate=FILE",
        ),
        (
            "'kafka:'",
            "the frames of stream gate were not kept, they came from kafka:; replay its verdicts "
            "without --decode, or name a recording with --stream gate=FILE",
        ),
        (
            "gone.mp4",
            "the video of stream gate, gone.mp4, is not there any more; name it with "
            "--stream gate=FILE, or replay the verdicts without --decode",
        ),
    ],
)
def test_videos_of_an_event_log_that_are_gone(
    town: Town, tmp_path: Path, uri: str, message: str
) -> None:
    text = f"version: 1\nname: n\nstreams:\n  gate: {{uri: {uri}}}\n"
    run_dir = tmp_path / "run"
    (run_dir / "log").mkdir(parents=True)
    write_manifest(run_dir, Manifest("n", "run", 0, text, ("gate",)))
    assert told(town, run_dir, OpenOptions(decode=True)) == message
    named = OpenOptions(decode=True, videos={"gate": str(town.videos / "gate.mp4")})
    assert isinstance(opened(town, run_dir, named), VideoInput)


def test_a_log_of_a_configuration_that_cannot_be_read(town: Town, tmp_path: Path) -> None:
    text = "streams: {gate: {uri: 3}}"
    run_dir = tmp_path / "run"
    (run_dir / "log").mkdir(parents=True)
    write_manifest(run_dir, Manifest("n", "run", 0, text, ("gate",)))
    assert told(town, run_dir, OpenOptions(decode=True)) == (
        f"{run_dir} has a configuration of stream gate that this release cannot read: Input should "
        "be a valid string; replay a folder that holds its video"
    )


def test_what_is_no_recording(town: Town, tmp_path: Path) -> None:
    assert told(town, "nowhere") == (
        "a recording must be a run's folder, a folder of videos, a video or "
        "kafka://host:port/topic, got 'nowhere', which is not there"
    )
    assert told(town, tmp_path) == (
        f"{tmp_path} holds no stream of the configuration, which has gate, till; it holds none"
    )
    assert told(town, town.videos, OpenOptions(decode=True)) == (
        f"--decode must be given with an event log, got {town.videos}"
    )
    other = run_dir_of(tmp_path / "other", ["door"])
    (other / "log").mkdir()
    assert told(town, other) == (
        f"{other} holds no stream of the configuration, which has gate, till; it holds door"
    )


def test_only_logs_and_topics_may_hold_streams_that_are_not_named(
    town: Town, tmp_path: Path
) -> None:
    path = tmp_path / "kafka.yaml"
    path.write_text(
        "version: 1\nname: n\nkafka: {servers: ['a:9092'], read: {topics: {x.frames: frames}}}\n"
    )
    configuration, _ = config.load(path)
    assert open_recording(str(town.log), configuration, tmp_path).streams == ("gate", "till")
    with pytest.raises(SourceError, match="holds no stream of the configuration, which has none"):
        open_recording(str(town.videos), configuration, tmp_path)
