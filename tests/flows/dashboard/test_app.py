"""The routes of the dashboard, asked over HTTP from a real server."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from flows.dashboard.access import COOKIE, Token, Visitor
from flows.dashboard.app import FOLDER, LARGEST_FORM
from flows.dashboard.guard import HEADERS
from flows.dashboard.server import DashboardServer, UiSettings
from flows.dashboard.state import alert_key
from flows.dashboard.stream_state import key_of
from records import AlertState, EventKind, SightflowError, StreamEvent
from tests.support.boards import alerts, board, fill, frames, verdicts
from tests.support.records import START_NS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flows.dashboard.board import LiveBoard

OWNER, GUARD = "owner" * 8, "guard" * 8
TOKENS = (
    Token(Visitor("owner"), OWNER),
    Token(Visitor("guard", frozenset({"gate"})), GUARD),
)
STREAMS = ["gate", "yard"]


def filled() -> LiveBoard:
    shown = board(STREAMS)
    fill(shown, STREAMS, seconds=20)
    shown.observe("yard", list(alerts("yard", 5, None, rule="secret")))
    return shown


@pytest.fixture(scope="module")
def local() -> Iterator[httpx.Client]:
    """A dashboard for this machine."""
    with (
        DashboardServer(filled(), UiSettings(port=0)) as server,
        httpx.Client(base_url=server.url, trust_env=False, timeout=60) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def guarded() -> Iterator[httpx.Client]:
    """A dashboard that asks for tokens."""
    with (
        DashboardServer(filled(), UiSettings(port=0, tokens=TOKENS)) as server,
        httpx.Client(base_url=server.url, trust_env=False, timeout=60) as client,
    ):
        yield client


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def messages(client: httpx.Client, count: int, **options: Any) -> list[dict[str, Any]]:
    """The first messages of the stream of news."""
    found: list[dict[str, Any]] = []
    with client.stream("GET", "/api/events", **options) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        for line in answer.iter_lines():
            if line.startswith("data: "):
                found.append(json.loads(line.removeprefix("data: ")))
            if len(found) == count:
                break
    return found


def test_the_page_and_its_files_need_no_other_server(local: httpx.Client) -> None:
    page = local.get("/")
    assert page.status_code == 200
    wanted = re.findall(r'(?:src|href)="([^"#]+)"', page.text)
    assert wanted
    for address in wanted:
        assert address.startswith("/static/")
        assert local.get(address).status_code == 200, address
    for path in FOLDER.glob("*.*"):
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/", "")
        assert "http://" not in text, path.name
        assert "https://" not in text, path.name
        assert not re.search(r"<script(?![^>]*src=)|<style|\son\w+=|style=", text), path.name


def test_every_answer_has_the_headers_of_safety(local: httpx.Client) -> None:
    for path in ("/", "/api/state", "/static/app.js", "/nowhere", "/healthz"):
        headers = local.get(path).headers
        assert {name: headers[name] for name in HEADERS} == HEADERS
        assert headers["cache-control"] == "no-store"
        assert "server" not in headers
    assert "'unsafe" not in HEADERS["Content-Security-Policy"]


def test_the_state_is_the_view_and_what_the_run_is(local: httpx.Client) -> None:
    told = local.get("/api/state").json()
    assert [one["name"] for one in told["streams"]] == STREAMS
    assert told["about"]["name"] == "town centre"
    assert told["about"]["mode"] == "live"
    assert told["about"]["visitor"] == ""
    assert told["about"]["detector"] == {
        "model": "yolox_nano", "frames": 830, "calls": 210, "seconds": 41.2,
    }  # fmt: skip
    assert told["background"] == {}


def test_the_first_message_holds_everything_later_ones_what_changed() -> None:
    shown = filled()
    with (
        DashboardServer(shown, UiSettings(port=0)) as server,
        httpx.Client(base_url=server.url, trust_env=False, timeout=60) as client,
        client.stream("GET", "/api/events") as answer,
    ):
        lines = (line for line in answer.iter_lines() if line.startswith("data: "))
        first = json.loads(next(lines)[6:])
        assert first["full"] is True
        assert len(first["streams"]) == 2
        shown.observe("yard", verdicts("yard", 500, 3))
        second = json.loads(next(lines)[6:])
        assert second["full"] is False
        assert [one["name"] for one in second["streams"]] == ["yard"]
        assert second["alerts"] == []
        shown.ended = True
        server.close()
        rest = [json.loads(line[6:]) for line in lines]
        assert rest[-1] == {}, "the end is told"
        assert rest[-2]["about"]["mode"] == "ended"


def test_pictures(local: httpx.Client) -> None:
    answer = local.get(f"/api/streams/{key_of('gate')}/thumbnail")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
    assert answer.content[:3] == b"\xff\xd8\xff"
    for key in ("nonsense", "gate", "..%2fgate"):
        answer = local.get(f"/api/streams/{key}/thumbnail")
        assert answer.status_code == 404
        assert answer.json() in ({"error": "there is no such stream"}, {"error": "Not Found"})


def test_a_stream_without_a_picture_has_none() -> None:
    shown = board(["gate"])
    with DashboardServer(shown, UiSettings(port=0)) as server:
        address = f"{server.url}api/streams/{key_of('gate')}/thumbnail"
        assert httpx.get(address, trust_env=False).status_code == 204
        shown.thumbnails.entered(frames("gate", 0, 4))
        shown.observe("gate", verdicts("gate", 0, 4))
        assert httpx.get(address, trust_env=False).status_code == 200


def test_alerts_without_a_log_say_so(local: httpx.Client) -> None:
    (opened,) = (one for one in alerts("yard", 5, None, rule="secret"))
    for end in ("", "/strip"):
        answer = local.get(f"/api/alerts/{alert_key(opened)}{end}")
        assert answer.status_code == 409
        assert answer.json() == {
            "error": "the run keeps no event log, so nothing more is known; set sinks.event_log"
        }
    assert local.get("/api/alerts/nonsense").json() == {"error": "there is no such alert"}


def test_only_reading_is_possible(local: httpx.Client) -> None:
    for path in (
        "/",
        "/api/state",
        "/api/events",
        "/metrics",
        f"/api/streams/{key_of('gate')}/thumbnail",
    ):
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            assert local.request(method, path).status_code == 405


def test_health_readiness_and_metrics(local: httpx.Client) -> None:
    assert local.get("/healthz").text == "ok\n"
    assert local.get("/readyz").text == "ready\n"
    assert local.get("/metrics").text == "sightflow_frames_total 1\n"


def test_a_lost_stream_is_not_ready() -> None:
    shown = filled()
    shown.observe("yard", [StreamEvent("yard", START_NS, EventKind.LOST, reason="stalled")])
    with DashboardServer(shown, UiSettings(port=0, tokens=TOKENS)) as server:
        for headers, told in (
            (bearer(OWNER), "stream yard is not running\n"),
            (bearer(GUARD), "not ready\n"),
            ({}, "not ready\n"),
        ):
            answer = httpx.get(f"{server.url}readyz", headers=headers, trust_env=False)
            assert (answer.status_code, answer.text) == (503, told)


def test_strangers_get_nothing_but_the_door(guarded: httpx.Client) -> None:
    secret = alert_key(next(alerts("yard", 5, None, rule="secret")))
    gate = key_of("gate")
    for path in (
        "/api/state", "/api/events", f"/api/streams/{gate}/thumbnail", f"/api/alerts/{secret}",
        f"/api/alerts/{secret}/strip", "/metrics", "/nowhere", "/sign-in/", "//api/state",
        "/static", "/static/../api/state",
    ):  # fmt: skip
        for headers in ({}, bearer("wrong"), {"Cookie": f"{COOKIE}=wrong"}):
            answer = guarded.get(path, headers=headers)
            assert answer.status_code == 401, path
            assert answer.json() == {"error": "a token is needed"}
    page = guarded.get("/")
    assert (page.status_code, page.headers["location"]) == (303, "/sign-in")
    assert guarded.get("/sign-in").status_code == 200
    assert guarded.get("/static/app.css").status_code == 200
    assert guarded.get("/healthz").status_code == 200


def test_a_limited_token_opens_its_streams_on_every_route(guarded: httpx.Client) -> None:
    headers = bearer(GUARD)
    gate, yard = key_of("gate"), key_of("yard")
    told = guarded.get("/api/state", headers=headers).json()
    (news,) = messages(guarded, 1, headers=headers)
    for one in (told, news):
        assert [stream["key"] for stream in one["streams"]] == [gate]
        for kind in ("series", "alerts", "events"):
            assert {row["stream"] for row in one[kind]} <= {gate}
        assert one["background"] == {}
        assert one["about"]["visitor"] == "guard"
        assert "detector" not in one["about"]
        assert "yard" not in json.dumps(one)
        assert yard not in json.dumps(one)
    assert guarded.get(f"/api/streams/{gate}/thumbnail", headers=headers).status_code == 200
    secret = alert_key(next(alerts("yard", 5, None, rule="secret")))
    for path in (
        f"/api/streams/{yard}/thumbnail",
        f"/api/alerts/{secret}",
        f"/api/alerts/{secret}/strip",
    ):
        answer = guarded.get(path, headers=headers)
        assert answer.status_code == 404, path
    answer = guarded.get("/metrics", headers=headers)
    assert (answer.status_code, answer.json()) == (
        403, {"error": "metrics tell of all streams, and this token of some"},
    )  # fmt: skip
    assert guarded.get("/metrics", headers=bearer(OWNER)).status_code == 200


def test_signing_in_and_out(guarded: httpx.Client) -> None:
    with httpx.Client(base_url=guarded.base_url, trust_env=False) as browser:
        wrong = browser.post("/sign-in", data={"token": "wrong"})
        assert (wrong.status_code, wrong.headers["location"]) == (303, "/sign-in?wrong")
        assert "set-cookie" not in wrong.headers
        right = browser.post("/sign-in", data={"token": OWNER})
        assert (right.status_code, right.headers["location"]) == (303, "/")
        cookie = right.headers["set-cookie"]
        assert re.fullmatch(
            rf"{COOKIE}=[\w-]{{43}}; HttpOnly; Max-Age=43200; Path=/; SameSite=strict", cookie
        )
        assert OWNER not in cookie
        assert browser.get("/").status_code == 200
        assert len(browser.get("/api/state").json()["streams"]) == 2
        assert browser.post("/sign-out").headers["location"] == "/sign-in"
        assert browser.get("/api/state").status_code == 401


def test_forms_of_other_sites_and_huge_ones_are_refused(guarded: httpx.Client) -> None:
    foreign = guarded.post(
        "/sign-in", data={"token": OWNER}, headers={"Origin": "http://evil.example"}
    )
    assert (foreign.status_code, foreign.json()) == (403, {"error": "this form is another site's"})
    huge = guarded.post("/sign-in", content=b"token=" + b"x" * LARGEST_FORM)
    assert (huge.status_code, huge.json()) == (
        413, {"error": f"a form must be at most {LARGEST_FORM} bytes"},
    )  # fmt: skip


def test_names_that_stand_for_this_machine_by_a_trick_are_refused(local: httpx.Client) -> None:
    answer = local.get("/api/state", headers={"Host": "evil.example"})
    assert (answer.status_code, answer.text) == (
        421, "this Host is not known here; add it to ui.names in the configuration",
    )  # fmt: skip


def test_times_are_milliseconds(local: httpx.Client) -> None:
    assert local.get("/api/state?at=1.5").status_code == 200
    for text in ("x", "-1", "nan", "1e9", ""):
        answer = local.get("/api/state", params={"at": text})
        assert (answer.status_code, answer.json()) == (
            400, {"error": "at must be milliseconds since 1970 UTC"},
        )  # fmt: skip


def test_a_port_that_is_taken_is_said() -> None:
    with DashboardServer(board([]), UiSettings(port=0)) as server:
        port = int(server.url.rstrip("/").rpartition(":")[2])
        with pytest.raises(SightflowError) as caught:
            DashboardServer(board([]), UiSettings(port=port))
    assert str(caught.value) == (
        f"the dashboard cannot be served on 127.0.0.1:{port}: Address already in use; take another "
        "port, or 0 for any free one"
    )


def test_episodes_that_closed_stay_closed() -> None:
    shown = board(["gate"])
    changes = list(alerts("gate", 3, 9))
    shown.observe("gate", changes)
    assert changes[-1].state is AlertState.CLOSED
    assert shown.view()["alerts"][0]["state"] == "closed"
