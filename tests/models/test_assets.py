"""Assets from folders and addresses."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from models import asset_sources, assets
from models.asset_catalogue import ASSETS, Asset
from models.asset_sources import UrlSource
from models.assets import cache_folder, fetch, located
from records import AssetError
from tests.models.file_server import Answer, serving

CONTENT = b"what the asset holds " * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


def thing(*urls: str) -> dict[str, Asset]:
    sources = tuple(UrlSource(url) for url in urls)
    return {"thing": Asset("thing", "d/thing.bin", len(CONTENT), DIGEST, "CC0-1.0", "", sources)}


def home(tmp_path: Path, **more: str) -> dict[str, str]:
    return {"XDG_CACHE_HOME": str(tmp_path / "cache"), **more}


def leftovers(tmp_path: Path) -> list[str]:
    return sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file())


def attempts(error: pytest.ExceptionInfo[AssetError]) -> list[str]:
    return list(error.value.attempts[2:])  # after the two local places


def test_catalogue_matches_the_real_files(assets: Path) -> None:
    environment = {"SIGHTFLOW_ASSETS": str(assets), "XDG_CACHE_HOME": "/nowhere"}
    names = ["vtest", "yolox_nano", "ssd_mobilenetv2_oiv4", "ssd_mobilenetv2_oiv4_labels"]
    assert list(ASSETS) == names
    for name, asset in ASSETS.items():
        assert asset.name == name
        assert asset.licence == "Apache-2.0"
        assert located(name, environment=environment) == assets / asset.path
        assert fetch(name, environment=environment) == assets / asset.path


def test_downloads_once_and_tells_the_progress(tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    with serving({"/thing": Answer(CONTENT)}) as server:
        catalogue = thing(f"{server.url}/thing")
        environment = home(tmp_path)
        assert located("thing", environment=environment, catalogue=catalogue) is None
        for _ in range(2):
            path = fetch(
                "thing",
                progress=lambda done, total: told.append((done, total)),
                environment=environment,
                catalogue=catalogue,
            )
        assert server.asked == ["/thing"]
    assert path == tmp_path / "cache" / "sightflow" / "d" / "thing.bin"
    assert path.read_bytes() == CONTENT
    assert located("thing", environment=environment, catalogue=catalogue) == path
    assert leftovers(tmp_path) == ["cache/sightflow/d/thing.bin"]
    assert told[0] == (0, None)
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert told == sorted(told, key=lambda pair: pair[0])


def test_named_folder_comes_before_the_cache_and_is_not_copied(tmp_path: Path) -> None:
    environment = home(tmp_path, SIGHTFLOW_ASSETS=str(tmp_path / "folder"))
    for place in (tmp_path / "folder", cache_folder(environment)):
        (place / "d").mkdir(parents=True)
        (place / "d" / "thing.bin").write_bytes(CONTENT)
    catalogue = thing()
    kept = fetch("thing", environment=environment, catalogue=catalogue)
    assert kept == tmp_path / "folder" / "d" / "thing.bin"
    kept.unlink()
    cached = cache_folder(environment) / "d" / "thing.bin"
    assert fetch("thing", environment=environment, catalogue=catalogue) == cached


def test_damaged_copies_are_reported_and_only_the_cache_is_mended(tmp_path: Path) -> None:
    environment = home(tmp_path, SIGHTFLOW_ASSETS=str(tmp_path / "folder"))
    folder, cache = tmp_path / "folder", cache_folder(environment)
    for place, content in ((folder, CONTENT.upper()), (cache, b"short")):
        (place / "d").mkdir(parents=True)
        (place / "d" / "thing.bin").write_bytes(content)
    assert located("thing", environment=environment, catalogue=thing()) is None
    with pytest.raises(AssetError) as error:
        fetch("thing", environment=environment, catalogue=thing())
    wrong = hashlib.sha256(CONTENT.upper()).hexdigest()
    assert str(error.value) == (
        "asset 'thing' cannot be had; tried:\n"
        f"  1. SIGHTFLOW_ASSETS {folder}/d/thing.bin: has SHA-256 {wrong}, must have {DIGEST}\n"
        f"  2. cache {cache}/d/thing.bin: holds 5 bytes, must hold 21000; put it there by hand if "
        "no source below can be reached"
    )
    with serving({"/thing": Answer(CONTENT)}) as server:
        path = fetch("thing", environment=environment, catalogue=thing(f"{server.url}/thing"))
    assert path == cache / "d" / "thing.bin"
    assert path.read_bytes() == CONTENT
    assert (folder / "d" / "thing.bin").read_bytes() == CONTENT.upper()


def test_error_lists_every_source_and_leaves_nothing_behind(tmp_path: Path) -> None:
    wrong = CONTENT.upper()
    answers = {
        "/wrong": Answer(wrong),
        "/short": Answer(CONTENT[:-1]),
        "/long": Answer(CONTENT + b"!"),
        "/cut": Answer(CONTENT[:7], headers={"Content-Length": str(len(CONTENT))}),
        "/away": Answer(status=302, headers={"Location": "/thing"}),
        "/thing": Answer(CONTENT),
    }
    with socket.socket() as unused, serving(answers) as server:
        unused.bind(("127.0.0.1", 0))
        refused = f"http://127.0.0.1:{unused.getsockname()[1]}/thing"
        urls = [f"{server.url}/{name}" for name in ("absent", "wrong", "short", "long", "cut")]
        away = f"{server.url}/away"
        with pytest.raises(AssetError) as error:
            fetch("thing", environment=home(tmp_path), catalogue=thing(*urls, away, refused))
    cache = tmp_path / "cache" / "sightflow" / "d" / "thing.bin"
    assert list(error.value.attempts) == [
        "SIGHTFLOW_ASSETS: not set; it may name a folder that holds d/thing.bin",
        f"cache {cache}: No such file or directory; put it there by hand if no source below can "
        "be reached",
        f"{urls[0]}: answers 404 Not Found",
        f"{urls[1]}: gives SHA-256 {hashlib.sha256(wrong).hexdigest()}, must give {DIGEST}",
        f"{urls[2]}: gives 20999 bytes, must give 21000",
        f"{urls[3]}: gives more than 21000 bytes, the most expected",
        f"{urls[4]}: RemoteProtocolError: peer closed connection without sending complete message "
        "body (received 7 bytes, expected 21000)",
        f"{away}: redirects to http://127.0.0.1, which is refused: not https",
        f"{refused}: ConnectError: [Errno 111] Connection refused",
    ]
    assert leftovers(tmp_path) == []


def test_server_that_falls_silent_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asset_sources, "READ_SECONDS", 0.2)
    gate = threading.Event()
    with serving({"/thing": Answer(CONTENT, gate=gate)}) as server:
        with pytest.raises(AssetError) as error:
            fetch("thing", environment=home(tmp_path), catalogue=thing(f"{server.url}/thing"))
        gate.set()
    assert attempts(error) == [f"{server.url}/thing: ReadTimeout: timed out"]


def test_interrupted_download_leaves_nothing(tmp_path: Path) -> None:
    def interrupt(done: int, _total: int | None) -> None:
        if done:
            raise KeyboardInterrupt

    with serving({"/thing": Answer(CONTENT)}) as server, pytest.raises(KeyboardInterrupt):
        fetch(
            "thing",
            progress=interrupt,
            environment=home(tmp_path),
            catalogue=thing(f"{server.url}/thing"),
        )
    assert leftovers(tmp_path) == []


def test_cache_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    with serving({"/thing": Answer(CONTENT)}) as server:
        url = f"{server.url}/thing"
        with pytest.raises(AssetError) as error:
            fetch("thing", environment=home(tmp_path), catalogue=thing(url))
    assert attempts(error) == [f"{url}: [Errno 20] Not a directory: '{tmp_path}/cache/sightflow/d'"]


TWIN = """
import sys
from models.asset_catalogue import Asset
from models.asset_sources import UrlSource
from models.assets import fetch
url, digest, size, cache = sys.argv[1:]
asset = Asset("thing", "d/thing.bin", int(size), digest, "CC0-1.0", "", (UrlSource(url),))
print(fetch("thing", environment={"XDG_CACHE_HOME": cache}, catalogue={"thing": asset}))
"""


def test_two_processes_may_fetch_at_once(tmp_path: Path) -> None:
    gate = threading.Event()
    with serving({"/thing": Answer(CONTENT, gate=gate)}) as server:
        arguments = [f"{server.url}/thing", DIGEST, str(len(CONTENT)), str(tmp_path)]
        twins = [
            subprocess.Popen(
                [sys.executable, "-c", TWIN, *arguments], stdout=subprocess.PIPE, text=True
            )
            for _ in range(2)
        ]
        waited = threading.Event()
        while len(server.asked) < 2 and all(twin.poll() is None for twin in twins):
            waited.wait(0.01)
        gate.set()
        said = [twin.communicate(timeout=60)[0] for twin in twins]
    path = tmp_path / "sightflow" / "d" / "thing.bin"
    assert said == [f"{path}\n"] * 2
    assert path.read_bytes() == CONTENT
    assert leftovers(tmp_path) == ["sightflow/d/thing.bin"]


def test_unchanged_file_is_hashed_once(tmp_path: Path) -> None:
    path = cache_folder(home(tmp_path)) / "d" / "thing.bin"
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    before = assets._digest.cache_info()
    for _ in range(3):
        assert located("thing", environment=home(tmp_path), catalogue=thing()) == path
    path.write_bytes(CONTENT.upper())
    os.utime(path, ns=(1, 1))
    assert located("thing", environment=home(tmp_path), catalogue=thing()) is None
    after = assets._digest.cache_info()
    assert (after.misses - before.misses, after.hits - before.hits) == (2, 2)


def test_unknown_name(tmp_path: Path) -> None:
    for look_up in (fetch, located):
        with pytest.raises(AssetError) as error:
            look_up("thong", environment=home(tmp_path), catalogue=thing())
        assert str(error.value) == (
            "asset 'thong' cannot be had; tried:\n  1. there is no such asset; there are thing"
        )


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"XDG_CACHE_HOME": "/var/x", "HOME": "/home/me"}, "/var/x/sightflow"),
        ({"XDG_CACHE_HOME": "relative", "HOME": "/home/me"}, "/home/me/.cache/sightflow"),
        ({"HOME": "/home/me"}, "/home/me/.cache/sightflow"),
        ({}, f"{Path.home()}/.cache/sightflow"),
    ],
)
def test_cache_folder(environment: dict[str, str], folder: str) -> None:
    assert cache_folder(environment) == Path(folder)


def test_catalogue_entries_that_are_refused() -> None:
    for url in ("http://example.org/x", "ftp://127.0.0.1/x", "thing"):
        with pytest.raises(ValueError, match=f"^url must start with https://, got '{url}'$"):
            UrlSource(url)
    for path in ("", "/etc/passwd", "../x", "a/../../x"):
        with pytest.raises(ValueError, match="^path must be inside the folder of assets, got "):
            replace(thing()["thing"], path=path)
