"""What fuzzing and reading with an attacker's eyes have found; each stays mended."""

from __future__ import annotations

import gzip
import io
import json
import os
import threading
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest
from rich.text import Text

from connectors.kafka.messages import REPLAYS, Message
from connectors.labels import ImportSettings, cvat, yolo
from connectors.labels.exchange import read_file
from connectors.lidar_calibration import read_calibration
from connectors.log_format import LOG_FOLDER
from connectors.outbound import address_problem, new_client, parse_url, post
from connectors.replay import EventLog
from connectors.video.uri import parse_uri
from connectors.webhook_message import retry_after_seconds
from flows import config
from flows.commands.ui import show
from flows.evaluate.traces import read_presence, read_trace
from flows.output import error_console, fail, note, print_json, print_text
from flows.query import parse
from flows.replay.address import parse_topic
from models.soap.machine_file import read_machine
from operators.severity_json import calibration_from_json
from records import (
    ConfigurationError,
    LogError,
    QueryError,
    RecordError,
    SightflowError,
    SourceError,
)
from records.checks import check_finite
from tests.fuzz import file_targets, web_targets
from tests.support.configurations import WHOLE
from tests.support.endpoints import Reply, ScriptedServer
from tests.support.logs import run_dir_of
from tests.support.queues import pictured

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HUGE = "0x" + "f" * 6000
"""A whole number whose decimal digits Python refuses to write."""

ALIASES = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join(['*' + before] * 9)}]\n"
    for before, name in zip("abcdefg", "bcdefgh", strict=True)
)
MERGES = "a: &a {x: 1}\n" + "".join(
    f"{name}: &{name} {{<<: [{', '.join(['*' + before] * 9)}]}}\n"
    for before, name in zip("abcdefghijkl", "bcdefghijklm", strict=True)
)


def _written(folder: Path, name: str, data: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def _yolo(folder: Path, text: str) -> None:
    entries = [pictured(0)]
    yolo.write(folder, entries, ("person",))
    _written(folder / "labels" / "train", f"{entries[0][0].name}.txt", "0 0.5 0.5 0.1 0.1\n")
    _written(folder, "data.yaml", text)
    yolo.read(folder, [entries[0][0]], ImportSettings(("person",)))


def _message(value: bytes) -> Message:
    return Message("t", 0, 0, 0, b"gate", ((REPLAYS, value),), b"")


@pytest.mark.parametrize("text", [f"names: [{HUGE}]", f"{ALIASES}names: [*h]", MERGES, "[" * 5000])
def test_classes_of_labels_stay_small(text: str, tmp_path: Path) -> None:
    with pytest.raises(SightflowError, match="must have names|must hold no aliases|must be YAML"):
        _yolo(tmp_path, text)


@pytest.mark.parametrize(
    "text",
    [f"{WHOLE}x: {HUGE}", f"version: {HUGE}", f"a: 1\n? {HUGE}\n: 1", f"? [{HUGE}]\n: 1",
     "a: " + "[" * 50_000, "a: !!int ", "k: &k {a: 1}\n" + "".join(
         f"k{n}: {{<<: *k}}\n" for n in range(200))],
)  # fmt: skip
def test_configurations_that_break_parsers_are_told(text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        config.load(_written(tmp_path, "flow.yaml", text), {})


@pytest.mark.parametrize(
    "text", [f"name: {HUGE}", f"{HUGE}: 1", "? {a: 1}\n: 1", "a: !!int ", "[" * 5000]
)
def test_machines_that_break_parsers_are_told(text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        read_machine(_written(tmp_path, "machine.yaml", text))


@pytest.mark.parametrize(
    "query",
    [
        "SELECT timestamp FROM g GROUP BY timestamp HAVING SUM(class='b')>=1e400 LIMIT 1",
        "SELECT timestamp FROM g GROUP BY timestamp HAVING SUM(class='b')>=1 LIMIT " + "9" * 5000,
        "SELECT timestamp FROM g GROUP BY timestamp HAVING SUM(class='b')>=1 LIMIT 1 GAP 1e999",
        "SELECT * FROM g WHERE timestamp > 1e400",
        "SELECT * FROM g WHERE area > 1e",
        "SELECT FCOUNT(*) FROM gate BUDGET 1e400",
        "SELECT FCOUNT(*) FROM gate BUDGET nan",
        "SELECT FCOUNT(*) FROM g GROUP BY HOP(INTERVAL '1e-300' SECOND, INTERVAL '1e300' SECOND)",
    ],
)
def test_numbers_of_queries_that_no_float_holds_are_told(query: str) -> None:
    with pytest.raises(QueryError):
        parse(query)


@pytest.mark.parametrize(
    ("data", "name", "read"),
    [
        (b"--3\n", "t.txt", read_presence),
        (b"18446744073709551616\n", "t.txt", read_presence),
        (b"1" * 2_000_000 + b"\n1" * 100_000, "t.txt", read_trace),
        (gzip.compress(b"1" * 2_000_000 + b"\n1" * 100_000), "t.gz", read_trace),
    ],
)
def test_traces_of_odd_numbers_are_told(
    data: bytes, name: str, read: Callable[[Path], Any], tmp_path: Path
) -> None:
    with pytest.raises(SourceError, match="number a line, got"):
        read(_written(tmp_path, name, data))


def test_an_array_is_no_larger_than_its_file(tmp_path: Path) -> None:
    file = io.BytesIO()
    np.save(file, np.zeros(1))
    lying = file.getvalue().replace(b"(1,), }         ", b"(999999999999,)}")
    path = _written(tmp_path, "t.npy", lying.replace(b")}", b")}"))
    with pytest.raises(SourceError, match="must hold 999999999999 numbers of 8 bytes, got 8 bytes"):
        read_trace(path)
    np.savez(tmp_path / "t", a=np.zeros(3))
    with pytest.raises(SourceError, match="cannot be read"):
        read_trace((tmp_path / "t.npz").rename(path))


def test_a_line_without_a_matrix_is_told(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="line 1: a line must begin with the name of a matrix"):
        read_calibration(_written(tmp_path, "k.txt", ":\n"), 10, 10)


def test_labels_in_an_unknown_encoding_are_told(tmp_path: Path) -> None:
    path = _written(tmp_path, "a.xml", '<?xml version="1.0" encoding="utv-8"?><annotations/>')
    with pytest.raises(SightflowError, match="must be XML: unknown encoding"):
        cvat.read(path, file_targets.KNOWN, file_targets.CLASSES)


def test_labels_are_read_from_files_alone(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "endless").symlink_to("/dev/zero")
    for name in ("pipe", "endless"):
        with pytest.raises(SightflowError, match="must be a file"):
            read_file(tmp_path / name)


def test_how_often_a_letter_was_replayed_is_a_small_number() -> None:
    assert _message(b"3").replays == 3
    assert _message(b"9" * 5000).replays == 0


@pytest.mark.parametrize("text", [
    "Thu, 01 Jan 99999999999999999999 00:00:00 GMT", "Mon, 01 Jan 2020 9999999999999:00:00 GMT"
])  # fmt: skip
def test_no_date_ends_the_delivery_of_webhooks(text: str) -> None:
    assert retry_after_seconds(text, 0) == 0.0


def test_no_redirect_ends_the_delivery_of_webhooks() -> None:
    with (
        ScriptedServer(Reply(302, {"location": "http:ction"})) as server,
        new_client(5.0) as client,
        pytest.raises(httpx.TransportError, match="redirects to no URL"),
    ):
        post(client, parse_url(server.url), b"{}", {}, allow_private=True)


def test_endpoints_set_no_cookies() -> None:
    replies = [Reply(204, {"set-cookie": "spy=1"}), Reply(204)]
    with ScriptedServer(*replies) as server, new_client(5.0) as client:
        for _ in replies:
            post(client, parse_url(server.url), b"{}", {}, allow_private=True)
        assert not client.cookies
        assert "cookie" not in {name.lower() for name in server.requests[1].headers}


@pytest.mark.parametrize(
    "address",
    ["fec0::1", "168.63.129.16", "::ffff:168.63.129.16", "64:ff9b::a00:1", "64:ff9b:1::a00:1",
     "2002:a00:1::", "2001:0:a00:1::", "::10.0.0.1", "100.100.100.200", "fe80::1%eth0"],
)  # fmt: skip
def test_addresses_that_lead_inside_are_not_called(address: str) -> None:
    assert address_problem(ip_address(address)) != ""


def test_addresses_that_are_no_text_are_told() -> None:
    for read, text in (
        (parse_url, "http://\udcdd/"), (parse_uri, "file://[/a"), (parse_topic, "kafka://[/a"),
        (parse_topic, "kafka://a:9/t?from=" + "9" * 5000),
    ):  # fmt: skip
        with pytest.raises(RecordError):
            read(text)


def test_numbers_that_no_float_holds_are_not_finite() -> None:
    with pytest.raises(RecordError, match="x must be a finite number, got 1000"):
        check_finite("x", 10**400)
    curve = {"n": 1, "bins": [[10**400, 0.5, 0.1, 0.9, 1]]}
    value = {"assertion": "a", "context": "", "model_wrong": curve, "correction_right": curve}
    with pytest.raises(RecordError, match="severity must be a finite number"):
        calibration_from_json({"apart": [], "curves": [value]})


def test_logs_with_names_that_are_no_utf_8_are_read(tmp_path: Path) -> None:
    run = run_dir_of(tmp_path / "run")
    folder = run / LOG_FOLDER / os.fsdecode(b"\xff\xfe")
    folder.mkdir(parents=True)
    (folder / "00000000.seg").write_bytes(b"")
    assert [fault.problem for fault in EventLog.open(run).faults] == [
        "this is the folder of no stream"
    ]
    fields = json.loads((run / "manifest.json").read_bytes())
    _written(run, "manifest.json", json.dumps(fields | {"configuration": "\ud800"}))
    EventLog.open(run)
    _written(run, "manifest.json", json.dumps(fields | {"created_ns": 10**30}))
    with pytest.raises(LogError, match="created_ns must be nanoseconds"):
        EventLog.open(run)


def test_the_log_of_a_stranger_opens_no_page_to_other_machines(tmp_path: Path) -> None:
    run = run_dir_of(tmp_path / "run")
    fields = json.loads((run / "manifest.json").read_bytes())
    opened = f"ui: {{host: 0.0.0.0, tokens: [{{name: me, secret: {'s' * 32}}}]}}\n"
    _written(run, "manifest.json", json.dumps(fields | {"configuration": opened}))
    for at in ("", "0"):
        with pytest.raises(LogError, match="was shown at 0.0.0.0, which other machines reach"):
            show(run, at, None, threading.Event(), lambda _, __: None)


def test_no_text_steers_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    evil = "a\x1b[2J\x9bm\ud800\u202e"
    note(evil)
    fail(SightflowError(evil), as_json=False)
    print_text(evil)
    print_json({"a": evil})
    error_console().print(Text(evil))
    shown = capsys.readouterr()
    assert not set(shown.err + shown.out) & set("\x1b\x9b\ud800")
    assert json.loads(shown.out.partition("\n")[2]) == {"a": evil}


def test_servers_outlive_clients_that_leave_or_stumble(tmp_path: Path) -> None:
    accept = b"GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text;version=x\r\n\r\n"
    with web_targets.TARGETS[1].open(tmp_path) as read, pytest.raises(RecordError):
        read(accept)
    torn = b"POST /webhook HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\nabc"
    for target in (web_targets.TARGETS[0], web_targets.TARGETS[2]):
        with target.open(tmp_path) as read, pytest.raises(RecordError):
            read(torn.replace(b"webhook", b"sign-in") if "dashboard" in target.name else torn)
