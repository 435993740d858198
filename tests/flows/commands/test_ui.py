"""`sightflow ui`: a recorded run on a web page."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from contextlib import contextmanager
from queue import Queue
from typing import TYPE_CHECKING

import httpx
import pytest

from connectors.log_manifest import Manifest, write_manifest
from flows.cli import main
from flows.commands.ui import run_folder, show
from flows.ui_option import with_address
from records import LogError
from tests.support.boards import alerts, events, verdicts
from tests.support.logs import run_dir_of, write_log
from tests.support.records import START_NS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from connectors.replay import EventLog

SECRET = "token" * 5
CONFIGURATION = """\
version: 1
name: town
streams: {gate: {uri: webcam:0}, yard: {uri: webcam:0}}
ui: {tokens: [{name: guard, secret: "${DOOR}", streams: [gate]}]}
"""


def recorded(folder: Path) -> Path:
    run_dir = run_dir_of(folder / "run", ("gate", "yard"))
    for stream in ("gate", "yard"):
        write_log(run_dir, [*events(stream, 0), *verdicts(stream, 0, 30), *alerts(stream, 3, 9)])
    return run_dir


@contextmanager
def served(recording: Path, configuration: Path | None = None) -> Iterator[tuple[str, EventLog]]:
    """Serve a recorded run from a thread: the page's address, and the log."""
    stop = threading.Event()
    told: Queue[tuple[str, EventLog]] = Queue()

    def tell(url: str, log: EventLog) -> None:
        told.put((url, log))

    thread = threading.Thread(target=show, args=(recording, "0", configuration, stop, tell))
    thread.start()
    try:
        yield told.get(timeout=60)
    finally:
        stop.set()
        thread.join()


def test_a_recorded_run_is_served(tmp_path: Path) -> None:
    run_dir = recorded(tmp_path)
    with served(run_dir / "log") as (url, log):
        assert log.run_dir == run_dir
        state = httpx.get(f"{url}api/state", trust_env=False, timeout=60).json()
    assert state["about"]["mode"] == "recorded"
    assert [one["name"] for one in state["streams"]] == ["gate", "yard"]
    assert state["about"]["times"][0] == START_NS / 1e6


def test_another_configuration_says_who_may_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOOR", SECRET)
    path = tmp_path / "town.yaml"
    path.write_text(CONFIGURATION, encoding="utf-8")
    with served(recorded(tmp_path), path) as (address, _):
        url = f"{address}api/state"
        assert httpx.get(url, trust_env=False, timeout=60).status_code == 401
        headers = {"Authorization": f"Bearer {SECRET}"}
        state = httpx.get(url, trust_env=False, timeout=60, headers=headers).json()
    assert [one["name"] for one in state["streams"]] == ["gate"]


def test_the_tokens_of_the_run_itself_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dir = recorded(tmp_path)
    write_manifest(run_dir, Manifest("town", "run", START_NS, CONFIGURATION, ("gate", "yard")))
    monkeypatch.delenv("DOOR", raising=False)
    with pytest.raises(LogError) as caught:
        show(run_dir, "0", None, threading.Event(), lambda *_: None)
    assert str(caught.value) == (
        "manifest.json:4: ui.tokens[0].secret: the environment variable DOOR is not set (got "
        "${DOOR}). Set it: export DOOR=…; or name another configuration with --configuration"
    )
    monkeypatch.setenv("DOOR", SECRET)
    with served(run_dir) as (address, _):
        assert httpx.get(f"{address}api/state", trust_env=False, timeout=60).status_code == 401


def test_an_interrupt_ends_it_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_dir = recorded(tmp_path)

    def interrupt() -> None:
        while not any(one.name == "dashboard" for one in threading.enumerate()):
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(SystemExit) as caught:
        main(["ui", str(run_dir), "--at", "0", "--json"])
    thread.join()
    assert caught.value.code in {None, 0}
    told = json.loads(capsys.readouterr().out)
    assert told == {"ok": True, "url": told["url"], "run": str(run_dir)}


def test_what_is_no_run_ends_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["ui", str(tmp_path)])
    assert caught.value.code == 1
    assert capsys.readouterr().err == (
        f"error: {tmp_path} is no run directory: it has no manifest.json\n"
    )


def test_strangers_need_a_token(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["ui", str(recorded(tmp_path)), "--at", "192.0.2.1:0"])
    assert caught.value.code == 1
    assert "so it must have a token; add ui.tokens" in capsys.readouterr().err


def test_the_folder_of_a_run_or_its_log(tmp_path: Path) -> None:
    run_dir = recorded(tmp_path)
    assert run_folder(run_dir / "log") == run_folder(run_dir) == run_dir
    assert run_folder(tmp_path / "log") == tmp_path / "log"


def test_the_option_without_a_value() -> None:
    for words, told in (
        (["run", "a.yaml", "--ui"], ["run", "a.yaml", "--ui", ""]),
        (["run", "--ui", "--json", "a"], ["run", "--ui", "", "--json", "a"]),
        (["run", "--ui", "80", "a"], ["run", "--ui", "80", "a"]),
        (["run", "--ui", "", "a"], ["run", "--ui", "", "a"]),
        (["run", "--ui", "[::1]:80"], ["run", "--ui", "[::1]:80"]),
        (["run", "--ui=80"], ["run", "--ui=80"]),
        (["ui", "a"], ["ui", "a"]),
    ):
        assert with_address(words) == told
