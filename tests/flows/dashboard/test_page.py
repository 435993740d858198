"""The page in a real browser: what it shows, with the keyboard, on a phone, for screen readers."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import cv2
import pytest

from connectors.replay import EventLog
from flows import config
from flows.dashboard.access import Token, Visitor
from flows.dashboard.background import BackgroundSettings
from flows.dashboard.recorded import RecordedBoard
from flows.dashboard.server import DashboardServer, UiSettings
from flows.run import RunRequest, run
from tests.support.boards import alerts, board, fill, names, verdicts
from tests.support.browser import Browser, BrowserError, axe_script, chromium
from tests.support.scenes import write_configuration, write_street

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRET = "token" * 5
READY = "document.documentElement.dataset.ready === 'true'"
PICTURED = "document.querySelectorAll('.picture:not([hidden])').length >= "
TAB, ENTER, ESCAPE = ("Tab", 9), ("Enter", 13), ("Escape", 27)
AXE = """axe.run(document, {resultTypes: ['violations']}).then((found) => JSON.stringify(
    found.violations.map((one) => [one.impact, one.id, one.nodes.map((node) => node.html)])))"""

PLAN = [
    {"kind": kind, "node": "conv", "place": place, "start": start, "end": start + 0.1}
    for start, kind in enumerate(("forward", "backward", "update"))
    for place in range(2)
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    try:
        chromium()
    except BrowserError as error:
        pytest.skip(f"needs a browser: {error}")
    with Browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    try:
        return axe_script(tmp_path_factory.mktemp("axe"))
    except BrowserError as error:
        pytest.skip(f"needs the checks of accessibility: {error}")


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> RecordedBoard:
    """A run over the synthetic street."""
    street = write_configuration(write_street(tmp_path_factory.mktemp("street")), at_least=4)
    configuration, text = config.load(street.configuration)
    target = street.folder / "runs" / "one"
    run(RunRequest(configuration, text, street.folder, target))
    return RecordedBoard(EventLog.open(target), BackgroundSettings())


def shown(browser: Browser, url: str, *, width: int = 1280, dark: bool = False) -> None:
    browser.look(width, 900 if width > 500 else 812, dark=dark)
    browser.open(url)
    browser.until(READY)


def text(browser: Browser, selector: str) -> str:
    return str(browser.run(f"document.querySelector({json.dumps(selector)}).innerText"))


def press(browser: Browser, key: tuple[str, int]) -> None:
    browser.press(*key)


def violations(browser: Browser, axe: str) -> list[Any]:
    """What is seriously wrong for those who cannot see or use a mouse."""
    browser.run(axe + "; 0")
    found = json.loads(browser.run(AXE))
    return [one for one in found if one[0] in {"serious", "critical"}]


@pytest.mark.parametrize("streams", [1, 64])
def test_the_page_fits_and_is_accessible(
    browser: Browser, axe: str, tmp_path: Path, streams: int
) -> None:
    named = names(streams)
    plan, queue = tmp_path / "plan.json", tmp_path / "queue.sqlite3"
    plan.write_text(json.dumps({"timeline": PLAN}), encoding="utf-8")
    made = board(named, BackgroundSettings(queue=queue, plan=plan))
    fill(made, named, seconds=30)
    with DashboardServer(made, UiSettings(port=0)) as server:
        for width, dark in ((1280, False), (1280, True), (375, False), (375, True)):
            shown(browser, server.url, width=width, dark=dark)
            browser.until(f"{PICTURED}{min(streams, 4)}")
            assert browser.run("document.documentElement.scrollWidth") == width
            if streams == 1 or dark is (width == 375):  # the checks of many take long
                assert violations(browser, axe) == []
            path = tmp_path / f"{streams}-{width}-{dark}.png"
            browser.picture(path)
            image = cv2.imread(str(path))
            assert image is not None
            assert image.shape[1] == width
            assert bool(image.mean() < 100) is dark
        assert browser.errors == []
        assert browser.run("document.querySelectorAll('.tile').length") == streams


def test_names_are_text_and_figures_are_those_of_the_run(browser: Browser) -> None:
    named = names(4)
    made = board(named)
    fill(made, named, seconds=30)
    with DashboardServer(made, UiSettings(port=0)) as server:
        shown(browser, server.url)
        assert text(browser, ".tile h3") == "Entrance north/1 <b>"
        assert browser.run("document.querySelectorAll('.tile b').length") == 0
        stages: dict[str, int] = {}
        for one in made.view()["streams"]:
            for stage, count in one["stages"].items():
                stages[stage] = stages.get(stage, 0) + count
        frames, seen = sum(stages.values()), stages["reference"]
        assert frames == 1200
        headline = text(browser, "#funnel .headline")
        assert headline.startswith(f"Of 1,200 frames {seen} reached the detector: ")
        told = re.search(r"[\d.]+(?=\u00d7 fewer)", headline)
        assert told is not None
        assert float(told[0]) == pytest.approx(frames / seen, rel=0.01)
        rows = browser.run(
            "[...document.querySelectorAll('.funnel tbody tr')].map((row) => "
            "[...row.querySelectorAll('.number')].map((cell) => cell.innerText))"
        )
        assert rows[0][0] == "1,200"
        assert rows[-1] == [str(seen), str(seen), "\N{EN DASH}"]
        assert text(browser, "#figures div:nth-child(1) .value") == "3 / 4"
        assert text(browser, "#figures div:nth-child(4) .value") == "1"
        assert text(browser, "#figures div:nth-child(5) .value") == "▲ 1 broken"


def test_news_come_in_and_new_alerts_are_spoken(browser: Browser) -> None:
    made = board(["gate", "yard"])
    made.observe("gate", verdicts("gate", 0, 10))
    with DashboardServer(made, UiSettings(port=0)) as server:
        shown(browser, server.url)
        assert text(browser, "#figures div:nth-child(2) .value") == "10"
        made.observe("gate", verdicts("gate", 10, 20))
        made.observe("yard", list(alerts("yard", 3, None)))
        browser.until("document.querySelector('#alert-list li.open')")
        assert text(browser, "#figures div:nth-child(2) .value") == "30"
        assert browser.run("document.getElementById('spoken').textContent") == (
            "Alert crowd on yard: 6 of class 'person' in view, the rule is at least 4"
        )
        assert browser.run("document.title") == "(1) town centre \N{EN DASH} Sightflow"
        made.ended = True
        server.close()
        browser.until("document.getElementById('link').innerText.includes('over')")
        assert "The run has ended" in text(browser, "#notices")


def test_it_works_with_the_keyboard_alone(browser: Browser) -> None:
    named = names(4)
    made = board(named)
    fill(made, named, seconds=20)
    with DashboardServer(made, UiSettings(port=0)) as server:
        shown(browser, server.url)
        press(browser, TAB)
        assert browser.run("document.activeElement.innerText") == "Skip to the content"
        browser.run("document.querySelector('.tile:nth-child(2) button').focus()")
        press(browser, ENTER)
        browser.until("document.getElementById('scope').selectedOptions[0].text === 'camera 01'")
        assert browser.run("document.activeElement.innerText") == "camera 01"
        assert browser.run("document.activeElement.getAttribute('aria-pressed')") == "true"
        assert text(browser, "#funnel .headline").startswith("Of 200 frames")
        made.observe("camera 01", verdicts("camera 01", 300, 1))
        browser.until("document.querySelector('#funnel .headline').innerText.includes('201')")
        assert browser.run("document.activeElement.innerText") == "camera 01", "focus stays"
        press(browser, ENTER)
        assert browser.run("document.getElementById('scope').value") == ""
        browser.run("const find = document.getElementById('find'); find.value = 'lost';"
                    "find.dispatchEvent(new Event('input'))")  # fmt: skip
        tiles = "[...document.querySelectorAll('.tile h3')].map((one) => one.innerText)"
        assert browser.run(tiles) == ["camera 03"]


def test_the_past_of_a_recorded_run(browser: Browser, axe: str, recording: RecordedBoard) -> None:
    with DashboardServer(recording, UiSettings(port=0)) as server:
        shown(browser, server.url)
        assert text(browser, "#figures div:nth-child(2) .value") == "120"
        browser.run("const slider = document.getElementById('past-at'); slider.value = 5;"
                    "slider.dispatchEvent(new Event('input'))")  # fmt: skip
        browser.until("Number(document.querySelector('#figures div:nth-child(2) .value')"
                      ".innerText) < 60")  # fmt: skip
        browser.until(f"{PICTURED}1")
        browser.run("slider.value = slider.max; slider.dispatchEvent(new Event('input'))")
        browser.until("document.querySelector('#figures div:nth-child(2) .value').innerText"
                      " === '120'")  # fmt: skip
        assert violations(browser, axe) == []
        browser.run("document.querySelector('#alert-list button').focus()")
        press(browser, ENTER)
        browser.until("document.querySelector('#why .strip')?.naturalWidth > 1000")
        assert "of class 'person' in view, the rule is at least 4" in text(
            browser, "#why .headline"
        )
        assert "Frames of the episode" in str(
            browser.run("document.querySelector('#why').innerHTML")
        )
        assert violations(browser, axe) == []
        press(browser, ESCAPE)
        browser.until("!document.getElementById('why').open")
        assert browser.run("document.activeElement.closest('#alert-list') !== null"), (
            "focus is back"
        )
        assert browser.errors == []


def test_charts_without_the_library_show_the_same(browser: Browser) -> None:
    with DashboardServer(board(["gate"]), UiSettings(port=0)) as server:
        shown(browser, server.url)
        drawn = browser.run(
            "import('/static/charts.js').then(({BandChart}) => {"
            "  const chart = new BandChart('people of gate');"
            "  chart.draw(null, [[0, 2, 1, 3], [60000, 4, 3, 5]], [[30000, 'swapped']]);"
            "  const all = (name) => chart.element.querySelectorAll(name).length;"
            "  return [chart.element.getAttribute('aria-label'), all('.line'), all('.band'),"
            "    all('.mark')];"
            "})"
        )
        label = "people of gate: 2 values from 2 to 4, the latest 4, between 3 and 5 at 00:01:00"
        assert drawn == [label, 1, 1, 1]


def test_signing_in(browser: Browser, axe: str) -> None:
    made = board(["gate", "yard"])
    tokens = (Token(Visitor("guard", frozenset({"gate"})), SECRET),)
    with DashboardServer(made, UiSettings(port=0, tokens=tokens)) as server:
        browser.look(375, 812, dark=True)
        browser.open(server.url)
        browser.until("location.pathname === '/sign-in'")
        assert violations(browser, axe) == []
        for token, path in (("wrong", "/sign-in?wrong"), (SECRET, "/")):
            browser.run(f"document.getElementById('token').value = '{token}';"
                        "document.querySelector('form').requestSubmit()")  # fmt: skip
            browser.until(f"location.pathname + location.search === '{path}'")
            browser.until("document.readyState === 'complete'")
        browser.until(READY)
        assert browser.run(
            "[...document.querySelectorAll('.tile h3')].map((one) => one.innerText)"
        ) == ["gate"]
        browser.run("document.querySelector('#sign-out button').click()")
        browser.until("location.pathname === '/sign-in'")
