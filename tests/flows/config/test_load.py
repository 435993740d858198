from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from flows import config
from records import ConfigurationError
from tests.support.configurations import ENVIRONMENT, SECRET, WHOLE, broken

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "clip.mp4").write_bytes(b"not looked into by validation")
    return tmp_path


def faults(text: str, folder: Path, environment: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        config.parse(text, "a.yaml", folder, ENVIRONMENT if environment is None else environment)
    return [str(fault) for fault in caught.value.faults]


def test_every_key_is_read(folder: Path) -> None:
    got = config.parse(WHOLE, "a.yaml", folder, ENVIRONMENT)
    assert got.name == "street"
    assert got.streams["gate"].start == datetime(2026, 5, 1, 8, tzinfo=UTC)
    assert got.streams["till"].stall_seconds == 6
    assert got.cascade.difference is not None
    assert (got.cascade.difference.threshold, got.cascade.difference.hold_seconds) == (7.5, None)
    assert got.alerts[0].class_name == "person"
    assert got.sinks.webhooks[0].secrets[0].get_secret_value() == SECRET
    assert SECRET not in repr(got)
    assert got.metrics is not None
    assert got.metrics.port == 9100


def test_little_is_enough(folder: Path) -> None:
    got = config.parse(
        "version: 1\nname: n\nstreams: {gate: {uri: clip.mp4}}", "a.yaml", folder, {}
    )
    assert got.detector.model == "auto"
    assert got.sinks.event_log is not None


def test_a_file_is_loaded_with_paths_counted_from_its_folder(folder: Path) -> None:
    (folder / "a.yaml").write_text(WHOLE, encoding="utf-8")
    got, text = config.load(folder / "a.yaml", ENVIRONMENT)
    assert (got.name, text) == ("street", WHOLE)


def test_all_faults_are_told_at_once_with_line_key_value_and_remedy(folder: Path) -> None:
    text = (
        WHOLE.replace("uri: clip.mp4", "uri: clop.mp4")
        .replace("drop: newest", "drop: middle")
        .replace("frames_in_memory: 32", "frames_in_memory: 4")
        .replace("score_at_least: 0.25", "score_atleast: 0.25")
        .replace("width: 64", "width: wide")
        .replace("    class: person", "    class: persn")
        .replace("    at_least: 6\n", "")
        .replace("streams: [gate]", "streams: [gatee]")
        .replace("https://example.com/hook", "ftp://example.com/hook")
        .replace('"${HOOK_SECRET}"', "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
        .replace("port: 9100", "port: 99999")
    )
    got = faults(text, folder)
    assert SECRET not in "".join(got)
    assert got == [
        f"a.yaml:5: streams.gate.uri: does not exist (got 'clop.mp4'). "
        f"Relative paths count from {folder}.",
        "a.yaml:9: streams.gate.frames_in_memory: must be at least batch_frames, which is 8 "
        "(got 4). Raise frames_in_memory or lower batch_frames.",
        "a.yaml:10: streams.gate.drop: must be 'oldest' or 'newest' (got 'middle'). "
        "Use one of these.",
        "a.yaml:24: detector.score_atleast: is no key of this section (got 0.25). "
        "Did you mean 'score_at_least'? Keys that may stand here: batch, classes, device, model, "
        "overlap_at_most, score_at_least, threads, weights.",
        "a.yaml:32: cascade.difference.width: must be a whole number (got 'wide'). "
        "Write a whole number, without quotes.",
        "a.yaml:52: alerts[0].at_least: is missing. Add it: The count that opens an episode.",
        "a.yaml:53: alerts[0].class: is not kept by the detector (got 'persn'). "
        "Add it to detector.classes, or use one of person, car.",
        "a.yaml:55: alerts[0].streams[0]: is no stream (got 'gatee'). Use one of gate, till.",
        "a.yaml:66: sinks.webhooks[0].url: is no address (got 'ftp://example.com/hook'). "
        "A URL must begin with http:// or https://.",
        "a.yaml:67: sinks.webhooks[0].secrets[0]: must not stand in the file "
        "(got a secret that is not shown). Keep it in the environment and write ${NAME} here.",
        "a.yaml:79: metrics.port: must be at most 65535 (got 99999). The port; 0 = any free one.",
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "a.yaml:1: must be a mapping of keys (got nothing). Start from 'sightflow init', "
         "which writes one."),
        ("a: 1\na: 2\n", "a.yaml:2: a: the key stands twice. Keep one of the two."),
        ("a: [1\nb: 2\n", "a.yaml:2: is no valid YAML: expected ',' or ']', but got ':'. Mend the "
         "syntax: check indentation, colons and quotes on this line and above."),
        ("a: \x07\n", "a.yaml:1: holds a control character. Save it as plain UTF-8 text."),
    ],
)  # fmt: skip
def test_broken_yaml_is_told_with_its_line(text: str, fault: str, folder: Path) -> None:
    assert faults(text, folder)[0] == fault


def test_references(folder: Path) -> None:
    text = WHOLE.replace("name: street", "name: $${x}${EMPTY}y")
    assert config.parse(text, "a.yaml", folder, ENVIRONMENT).name == "${x}y"
    assert faults(WHOLE, folder, {"HOOK_SECRET": SECRET}) == [
        "a.yaml:31: cascade.difference.threshold: the environment variable THRESHOLD is not set "
        "(got ${THRESHOLD}). Set it: export THRESHOLD=…"
    ]
    assert faults(WHOLE.replace("name: street", "name: ${1x}"), folder) == [
        "a.yaml:2: name: holds a malformed reference (got ${1x}). Write ${NAME}, or $${ for a ${."
    ]
    assert faults(WHOLE, folder, {**ENVIRONMENT, "HOOK_SECRET": "hunter2"}) == [
        "a.yaml:68: sinks.webhooks[0].secrets[0]: stands for no signing secret "
        "(got ${HOOK_SECRET}). It must be whsec_ and then base64 of 24 to 64 bytes."
    ]


def test_credentials_of_a_camera_are_not_shown(folder: Path) -> None:
    text = WHOLE.replace("rtsp://camera", "rtspx://admin:hunter2@camera")
    (fault,) = faults(text, folder)
    assert "hunter2" not in fault
    assert "rtspx://***@camera.example:554/main" in fault


def test_unknown_classes_and_detectors_are_told(folder: Path) -> None:
    got = faults(WHOLE.replace("classes: [person, car]", "classes: [person, ghost]"), folder)
    assert len(got) == 1
    assert got[0].startswith(
        "a.yaml:26: detector.classes[1]: is no class of the detector (got 'ghost'). "
        "yolox_nano knows: airplane, apple,"
    )
    got = faults(WHOLE.replace("model: yolox_nano", "model: yolo99"), folder)
    assert [line.split(" (got")[0] for line in got] == ["a.yaml:22: detector.model: is no detector"]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("missing.yaml", None, "cannot be read: No such file or directory"),
        ("folder", "", "is a folder"),
        ("latin.yaml", b"a: \xe9\n", "is no UTF-8 text"),
        ("large.yaml", b"#" * 1_000_001, "is larger than 1000000 bytes"),
        ("nul\0.yaml", None, "is no usable file name"),
    ],
)
def test_unreadable_files_are_told(
    name: str, content: bytes | str | None, problem: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    if content == "":
        path.mkdir()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        config.load(path)
    assert [fault.problem for fault in caught.value.faults] == [problem]


def test_hundreds_of_broken_configurations_are_told_and_never_crash(folder: Path) -> None:
    told = 0
    for text in broken():
        try:
            config.parse(text, "a.yaml", folder, ENVIRONMENT)
        except ConfigurationError as error:
            told += 1
            assert error.faults
            for fault in error.faults:
                assert fault.problem
                assert fault.remedy
                assert fault.line >= 0
                assert SECRET not in str(fault)
    assert told > 400


def test_the_cascade_and_its_streams_must_agree(folder: Path) -> None:
    (folder / "bad").mkdir()
    (folder / "bad" / "cascade.json").write_text('{"format": 9}', encoding="utf-8")
    text = """\
version: 1
name: n
streams:
  gate: {uri: clip.mp4, zone: [[0, 0], [1, 0], [1, 1]], masks: [[[0, 0], [2, 0], [1, 1]]]}
  till: {uri: clip.mp4, trained: gone}
cascade:
  trained: bad
  stride: 2
  contract: {recall: 1.0, precision: 0.9}
"""
    bad, gone = folder / "bad" / "cascade.json", folder / "gone" / "cascade.json"
    remedy = "Name a folder that 'sightflow evaluate cascade --save' wrote."
    assert faults(text, folder) == [
        "a.yaml:4: streams.gate.masks[0][1][0]: must be at most 1 (got 2). "
        "'sightflow schema' says what may stand.",
        "a.yaml:4: streams.gate.zone: contradicts the trained cascade. "
        "Remove it; the zone is part of the question that was trained.",
        f"a.yaml:5: streams.till.trained: cannot be used: {gone} cannot be read: "
        f"No such file or directory (got 'gone'). {remedy}",
        f"a.yaml:7: cascade.trained: cannot be used: {bad} must have format 1; "
        f"another release of Sightflow wrote it (got 'bad'). {remedy}",
        "a.yaml:8: cascade.stride: contradicts cascade.trained, which holds it. "
        "Remove it, or remove trained.",
        "a.yaml:9: cascade.contract.recall: must be below 1 (got 1.0). "
        "Least share of the yes frames that are reported, 0..1.",
    ]


def test_what_needs_a_question_says_so(folder: Path) -> None:
    text = """\
version: 1
name: n
streams:
  gate: {uri: clip.mp4, zone: [[0, 0], [1, 0], [1, 1]]}
cascade:
  difference: {against: background}
  contract: {recall: 0.9, precision: 0.9}
"""
    remedy = "Add cascade.predicate or cascade.trained."
    assert faults(text, folder) == [
        "a.yaml:4: streams.gate.zone: needs a question. Add cascade.predicate.",
        "a.yaml:6: cascade.difference.against: needs a question, whose no tells which frames are "
        f"empty (got 'background'). {remedy}",
        f"a.yaml:7: cascade.contract: needs a question. {remedy}",
    ]


def test_windows_are_checked(folder: Path) -> None:
    text = """\
version: 1
name: n
streams: {gate: {uri: clip.mp4}}
detector: {classes: [car]}
windows:
  - {name: a, classes: [car], size_seconds: 60, slide_seconds: 25, proxy_stride: 3}
  - {name: a, classes: [bus], in_zone: true}
"""
    assert faults(text, folder) == [
        "a.yaml:6: windows[0].name: names two windows (got 'a'). Give each its own.",
        "a.yaml:6: windows[0].proxy_stride: needs the model of a trained cascade. "
        "Add cascade.trained.",
        "a.yaml:6: windows[0].slide_seconds: does not divide size_seconds, which is 60 (got 25). "
        "Take one that does.",
        "a.yaml:7: windows[1].classes[0]: is not kept by the detector (got 'bus'). "
        "Add it to detector.classes, or use one of car.",
        "a.yaml:7: windows[1].in_zone: needs a stream with a zone (got true). "
        "Give a stream its zone, or remove in_zone.",
        "a.yaml:7: windows[1].name: names two windows (got 'a'). Give each its own.",
    ]
