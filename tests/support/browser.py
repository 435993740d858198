"""A headless Chromium, driven over a pipe with its DevTools protocol."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
from queue import Empty, Queue
from typing import TYPE_CHECKING, Any, Self

from models.asset_sources import DownloadError, PackageSource

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

AXE = PackageSource(
    "npm",
    "axe-core@4.14.1",
    "e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745",
    "package/axe.min.js",
)
"""Deque's checks of accessibility."""

WAIT_SECONDS = 60.0
"""How long an answer of the browser, or something on the page, may take: machines are busy."""

POLL_SECONDS = 0.05
_LARGEST_SCRIPT = 2_000_000


class BrowserError(Exception):
    """The browser is not there, or does not do what it must."""


def chromium() -> str:
    """The browser's program.

    Raises:
        BrowserError: there is none.
    """
    for name in ("chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name)
        if found is not None:
            return found
    raise BrowserError("Chromium is not installed")


def axe_script(folder: Path) -> str:
    """The checks of accessibility, a script.

    Raises:
        BrowserError: the package cannot be had.
    """
    try:
        with AXE.archive(folder, os.environ) as archive:
            return b"".join(AXE.chunks(archive, _LARGEST_SCRIPT)).decode()
    except DownloadError as error:
        raise BrowserError(f"{AXE} {error}") from error


class Browser:
    """A browser with one page; use it as a context manager."""

    def __init__(self) -> None:
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()
        # The protocol's pipe is at the descriptors 3 and 4 of the browser.
        command = f'exec "$0" "$@" 3<&{to_browser} 4>&{from_browser}'
        options = [
            "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            "--remote-debugging-pipe", "--disable-dev-shm-usage", "--no-first-run",
            "--disable-background-networking", f"--user-data-dir={self._profile.name}",
            "about:blank",
        ]  # fmt: skip
        self._process = subprocess.Popen(
            ["/bin/bash", "-c", command, chromium(), *options],
            pass_fds=(to_browser, from_browser), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(to_browser)
        os.close(from_browser)
        self._answers: Queue[dict[str, Any]] = Queue()
        self.errors: list[str] = []
        self._number = 0
        self._session = ""
        self._reader = threading.Thread(target=self._receive, name="browser", daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(one for one in targets if one["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        return self

    def __exit__(self, *_: object) -> None:
        self._session = ""
        os.close(self._write)  # the browser ends with its pipe
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        os.close(self._read)
        self._profile.cleanup()

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol and give its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._write, data) :]
        while True:
            try:
                answer = self._answers.get(timeout=WAIT_SECONDS)
            except Empty:
                raise BrowserError(f"{method} was not answered") from None
            if answer["id"] == self._number:
                break
        if "error" in answer:
            raise BrowserError(f"{method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    def look(self, width: int, height: int, *, dark: bool) -> None:
        """Set the size of the page, pixels, and what its reader prefers."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 500,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, url: str) -> None:
        """Go to an address."""
        self.errors.clear()
        told = self.call("Page.navigate", url=url)
        if "errorText" in told:
            raise BrowserError(f"{url}: {told['errorText']}")
        self.until("document.readyState === 'complete'")

    def run(self, script: str) -> Any:
        """Evaluate an expression on the page; promises are waited for."""
        told = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in told:
            raise BrowserError(json.dumps(told["exceptionDetails"])[:2000])
        return told["result"].get("value")

    def until(self, script: str) -> Any:
        """Wait until an expression is true."""
        return wait_for(lambda: self.run(script), script)

    def press(self, key: str, code: int) -> None:
        """Press a key and let it go."""
        words: dict[str, Any] = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        typed = {"text": "\r"} if key == "Enter" else {}
        self.call(
            "Input.dispatchKeyEvent", type="keyDown" if typed else "rawKeyDown", **words, **typed
        )
        self.call("Input.dispatchKeyEvent", type="keyUp", **words)

    def picture(self, path: Path, *, whole: bool = False) -> None:
        """Write a picture of what can be seen, or of the whole page."""
        options: dict[str, Any] = {"format": "png"}
        if whole:
            size = self.call("Page.getLayoutMetrics")["cssContentSize"]
            clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
            options |= {"captureBeyondViewport": True, "clip": clip}
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", **options)["data"]))

    def _receive(self) -> None:
        rest = b""
        while data := os.read(self._read, 1 << 16):
            *messages, rest = (rest + data).split(b"\0")
            for message in messages:
                value = json.loads(message)
                if "id" in value:
                    self._answers.put(value)
                elif value["method"] == "Runtime.exceptionThrown":
                    self.errors.append(json.dumps(value["params"])[:2000])
                elif (
                    value["method"] == "Log.entryAdded"
                    and value["params"]["entry"]["level"] == "error"
                ):
                    self.errors.append(json.dumps(value["params"]["entry"])[:2000])


def wait_for(asked: Callable[[], Any], what: str) -> Any:
    """Ask until the answer is true."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not (value := asked()):
        if time.monotonic() > deadline:
            raise BrowserError(f"this did not come true: {what}")
        time.sleep(POLL_SECONDS)
    return value
