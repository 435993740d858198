from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from connectors.codec import iso_time
from connectors.outbox import Outbox
from connectors.outbox_inspection import read_outbox
from connectors.webhook_settings import WebhookSettings
from flows.cli import main
from records import AlertState
from tests.support.endpoints import Reply, ScriptedServer
from tests.support.logs import run_dir_of, write_log
from tests.support.records import FRAME_NS, START_NS, alert, verdict
from tests.support.webhooks import SECRET, sink_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from records import Alert

CONFIGURATION = """\
version: 1
name: street
streams: {{gate: {{uri: clip.mp4}}}}
sinks:
  webhooks: [{{url: "{url}", secrets: ["${{HOOK_SECRET}}"], allow_private: true}}]
"""


def call(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main([str(word) for word in words])
    out, err = capsys.readouterr()
    code = caught.value.code
    return (code if isinstance(code, int) else 0), out, err


def call_json(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, dict[str, Any]]:
    code, out, _ = call(capsys, *words, "--json")
    return code, json.loads(out)


def changes() -> list[Alert]:
    """An episode that closed and one that is open."""
    opened, later = alert(sequence=3), alert(sequence=20)
    closed = alert(sequence=9, state=AlertState.CLOSED)
    closed = type(closed)(
        **{name: getattr(closed, name) for name in closed.__slots__}
        | {"opened_ns": opened.opened_ns, "opened_sequence": 3, "peak": 8.0}
    )
    return [opened, closed, later]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(Reply(200), Reply(404), Reply(410)) as server:
        yield server


@pytest.fixture
def outbox(tmp_path: Path, server: ScriptedServer) -> Path:
    """An outbox whose endpoint took the first change, refused the second, then was gone."""
    path = tmp_path / "street.outbox.sqlite3"
    with Outbox(path) as outbox:
        sink = sink_for(server.url, outbox=outbox)
        sink.build("webhook", 0, 1).write_batch([("gate", changes())])
        sink.close()
    return path


def expected(endpoint: str | None) -> list[dict[str, Any]]:
    opened, closed, later = changes()
    common = {"stream": "gate", "rule": "crowd", "severity": 1.5, "message": opened.message}
    first = {"delivered": 1, "failed": 1}
    return [
        {
            "id": "gate:crowd:3",
            "state": "closed",
            "opened": iso_time(START_NS + 3 * FRAME_NS),
            "changed": iso_time(START_NS + 9 * FRAME_NS),
            "peak": 8.0,
            "changes": [opened.id, closed.id],
            "deliveries": {endpoint: first} if endpoint else {},
            "reasons": ["status_404"] if endpoint else [],
        }
        | common,
        {
            "id": "gate:crowd:20",
            "state": "open",
            "opened": iso_time(START_NS + 20 * FRAME_NS),
            "changed": iso_time(START_NS + 20 * FRAME_NS),
            "peak": 6.0,
            "changes": [later.id],
            "deliveries": {endpoint: {"disabled": 1}} if endpoint else {},
            "reasons": ["gone"] if endpoint else [],
        }
        | common,
    ]


def endpoint_of(server: ScriptedServer) -> str:
    return WebhookSettings(server.url, (SECRET,)).endpoint


def test_list_of_an_event_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_dir = run_dir_of(tmp_path / "run")
    (segment,) = write_log(run_dir, [verdict(), *changes()[:2]])[-1:]
    with segment.open("ab") as file:
        file.write(b"torn")
    code, value = call_json(capsys, "alerts", "list", "--log", run_dir)
    assert code == 0
    assert value["alerts"] == expected(None)[:1]
    assert (value["ok"], value["total"], value["endpoints"]) == (True, 1, [])
    assert [fault.split(": ", 1)[1] for fault in value["log_faults"]] == [
        "the file ends 4 bytes into a frame"
    ]


def test_list_of_an_outbox(
    outbox: Path, server: ScriptedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    code, value = call_json(capsys, "alerts", "list", "--outbox", outbox)
    (endpoint,) = value.pop("endpoints")
    assert endpoint.pop("disabled") is not None
    name = endpoint_of(server)
    assert endpoint == {
        "name": name,
        "host": "127.0.0.1",
        "deliveries": {"delivered": 1, "failed": 1, "disabled": 1},
    }
    assert (code, value) == (
        0,
        {"ok": True, "total": 2, "alerts": expected(name), "log_faults": []},
    )


def test_a_log_and_an_outbox_are_listed_together(
    tmp_path: Path, outbox: Path, server: ScriptedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = run_dir_of(tmp_path / "run")
    write_log(run_dir, changes())
    words = ("alerts", "list", "--log", run_dir, "--outbox", outbox)
    assert call_json(capsys, *words)[1]["alerts"] == expected(endpoint_of(server))
    value = call_json(capsys, *words, "--last", 1)[1]
    assert (value["total"], value["alerts"]) == (2, expected(endpoint_of(server))[1:])


def test_list_for_people(
    outbox: Path,
    capsys: pytest.CaptureFixture[str],
    server: ScriptedServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    code, out, err = call(capsys, "alerts", "list", "--outbox", outbox, "--last", 1)
    assert code == 0
    head, first, second = out.splitlines()
    assert head.split() == ["Alert", "State", "Opened", "Last", "change", "Peak", "Webhooks"]
    assert first.split() == [
        "gate:crowd:20", "open", "2023-11-14T22:13:22Z", "2023-11-14T22:13:22Z", "6",
        f"{endpoint_of(server)}:", "1", "disabled",
    ]  # fmt: skip
    assert second.split() == ["(gone)"]
    assert "1 earlier ones are not shown; say --last 0 for all" in err
    assert f"{endpoint_of(server)} is disabled since " in err


def test_replay_puts_back_what_the_next_run_delivers(
    outbox: Path, server: ScriptedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    code, value = call_json(capsys, "alerts", "replay", "--all", "--outbox", outbox)
    name = endpoint_of(server)
    assert (code, value) == (
        0,
        {
            "ok": True,
            "outbox": str(outbox),
            "put_back": {name: 2},
            "hastened": 0,
            "enabled": [name],
            "in_use": False,
        },
    )
    states = [message.deliveries[0].state for message in read_outbox(outbox).messages]
    assert states == ["delivered", "pending", "pending"]
    code, out, _ = call(capsys, "alerts", "replay", "--all", "--outbox", outbox)
    assert (code, out) == (0, "there was nothing to put back\n")


def write_configuration(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    (tmp_path / "clip.mp4").touch()
    path = tmp_path / "street.yaml"
    path.write_text(CONFIGURATION.format(url=url), encoding="utf-8")
    return path


def test_replay_with_a_configuration_delivers(
    tmp_path: Path,
    outbox: Path,
    server: ScriptedServer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    configuration = write_configuration(tmp_path, server.url, monkeypatch)
    words = ("alerts", "replay", "--outbox", outbox, "--config", configuration)
    server.answer(Reply(404), Reply(200))
    code, value = call_json(capsys, *words, "gate:crowd:3")
    assert (code, value["ok"], value["failed"]) == (1, False, {"status_404": 1})
    code, out, _ = call(capsys, *words, changes()[1].id)
    name = endpoint_of(server)
    assert (code, out) == (0, f"{name}: 1 put back\n1 delivered, 0 failed, 0 pending\n")
    code, value = call_json(capsys, *words, "--all", "--endpoint", "127.0.0.1")
    assert (code, value["delivered"], value["pending"]) == (0, 1, 0)
    states = [message.deliveries[0].state for message in read_outbox(outbox).messages]
    assert states == ["delivered"] * 3


def test_replay_leaves_delivery_to_a_run_that_is_there(
    tmp_path: Path,
    outbox: Path,
    server: ScriptedServer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    configuration = write_configuration(tmp_path, server.url, monkeypatch)
    with Outbox(outbox):
        words = ("alerts", "replay", "--all", "--outbox", outbox, "--config", configuration)
        code, out, _ = call(capsys, *words)
    name = endpoint_of(server)
    assert (code, out) == (
        0,
        f"{name}: 2 put back\n{name}: enabled again\n"
        "a run delivers from this outbox, and goes on with them now\n",
    )


def test_what_cannot_be_done_is_told(
    tmp_path: Path,
    outbox: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    before = read_outbox(outbox)
    other = write_configuration(tmp_path, "https://example.com/in", monkeypatch)
    monkeypatch.delenv("HOOK_SECRET")
    for code, message, *words in (
        (2, "name a run's folder with --log, an outbox with --outbox, or both", "list"),
        (2, "name an alert's id, or say --all", "replay", "--outbox", outbox),
        (2, "name an alert's id, or say --all", "replay", "x", "--all", "--outbox", outbox),
        (2, "Missing option '--outbox'", "replay", "--all"),
        (1, "error: there is no outbox", "list", "--outbox", tmp_path / "none"),
        (1, "is no run directory: it has no manifest.json", "list", "--log", tmp_path),
        (1, f"error: {outbox} has no alert 'x'; 'sightflow alerts list' tells which there are",
         "replay", "x", "--outbox", outbox),
        (1, f"error: {outbox} has no endpoint 'x'; it has", "replay", "--all", "--endpoint", "x",
         "--outbox", outbox),
        (3, "HOOK_SECRET", "replay", "--all", "--outbox", outbox, "--config", other),
    ):  # fmt: skip
        got, out, err = call(capsys, "alerts", *words)
        assert (got, message in err, "Traceback" in out + err) == (code, True, False), err
        assert read_outbox(outbox) == before
