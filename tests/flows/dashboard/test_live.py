"""The dashboard of a run: served while it goes on, and told what happens."""

from __future__ import annotations

import json
import re
import threading
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import structlog

from flows import config
from flows.cli import main
from flows.dashboard.live import ui_settings
from flows.dashboard.server import UiSettings
from flows.run import RunRequest, run
from records import RecordError, SightflowError
from tests.support.scenes import write_configuration

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from tests.support.scenes import Street

SECRET = "token" * 5
UI = "ui: {port: 0, tokens: [{name: guard, secret: '${DOOR}', streams: [gate]}]}\n"


def configured(street: Street, more: str, *, speed: float | None = None) -> config.Configuration:
    write_configuration(street, at_least=4, more=more)
    if speed is not None:
        text = street.configuration.read_text(encoding="utf-8")
        text = text.replace("uri: scene.mp4", f"uri: scene.mp4, speed: {speed}")
        street.configuration.write_text(text, encoding="utf-8")
    return config.load(street.configuration, {"DOOR": SECRET})[0]


def test_a_run_is_shown_while_it_goes_on(street: Street) -> None:
    configuration = configured(street, UI, speed=2.0)
    messages: list[dict[str, Any]] = []
    pictures: list[bytes] = []
    watchers: list[threading.Thread] = []

    def watch(url: str) -> None:
        headers = {"Authorization": f"Bearer {SECRET}"}
        with (
            httpx.Client(base_url=url, trust_env=False, timeout=60, headers=headers) as client,
            client.stream("GET", "/api/events") as answer,
        ):
            for line in answer.iter_lines():
                if not line.startswith('data: {"') or line == "data: {}":
                    continue
                messages.append(json.loads(line[6:]))
                if len(messages) > 5:
                    continue
                key = messages[0]["streams"][0]["key"]
                picture = client.get(f"/api/streams/{key}/thumbnail")
                if picture.status_code == 200:
                    pictures.append(picture.content)

    def told(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if event.get("event") == "the dashboard is served":
            watchers.append(threading.Thread(target=watch, args=(event["url"],)))
            watchers[0].start()
        raise structlog.DropEvent

    structlog.configure(processors=[told])
    try:
        request = RunRequest(configuration, "", street.folder, street.folder / "runs" / "shown")
        summary = run(request)
    finally:
        structlog.reset_defaults()
    for watcher in watchers:
        watcher.join()
    assert summary.frames == 120
    last = messages[-1]
    assert last["about"]["mode"] == "ended"
    assert last["about"]["run"] == "shown"
    assert last["about"]["visitor"] == "guard"
    latest = [one for message in messages for one in message["streams"]][-1]
    assert sum(latest["stages"].values()) == 120
    assert latest["status"] == "ended"
    assert len(messages) >= 3
    assert pictures
    assert pictures[0][:3] == b"\xff\xd8\xff"


def test_nothing_is_served_unless_it_is_asked_for(street: Street) -> None:
    plain = configured(street, "")
    assert ui_settings(plain, None, 0) is None
    assert ui_settings(plain, "", 0) == UiSettings()
    assert ui_settings(plain, "9000", 2) == UiSettings(port=9002)
    assert ui_settings(plain, "0", 2) == UiSettings(port=0)
    section = configured(street, UI.replace("port: 0", "port: 80, names: [cam.example]"))
    settings = ui_settings(section, None, 1)
    assert settings is not None
    assert (settings.port, settings.names) == (81, ("cam.example",))
    (token,) = settings.tokens
    assert (token.secret, token.visitor.streams) == (SECRET, frozenset({"gate"}))
    with pytest.raises(RecordError, match="an address must be HOST:PORT or PORT, got 'nonsense'"):
        ui_settings(plain, "nonsense", 0)


def test_a_run_is_not_begun_where_strangers_could_look(street: Street) -> None:
    configuration = configured(street, "")
    request = RunRequest(configuration, "", street.folder, ui="192.0.2.1:0")
    with pytest.raises(SightflowError, match=r"at 192\.0\.2\.1, so it must have a token"):
        run(request)


def test_the_option_of_run_may_stand_alone(
    street: Street, capsys: pytest.CaptureFixture[str]
) -> None:
    configured(street, "ui: {port: 0}\n")
    with pytest.raises(SystemExit) as caught:
        main(["run", "--ui", str(street.configuration), "--json"])
    out, err = capsys.readouterr()
    assert caught.value.code in {None, 0}
    assert json.loads(out)["frames"] == 120
    assert re.search(r'"url": "http://127\.0\.0\.1:\d+/", "event": "the dashboard is served"', err)


def test_the_server_ends_with_the_run(street: Street) -> None:
    configuration = configured(street, "ui: {port: 0}\n")
    run(RunRequest(configuration, "", street.folder))
    deadline = time.monotonic() + 30
    while any(one.name == "dashboard" for one in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
