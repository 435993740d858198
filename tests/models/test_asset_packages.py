"""Assets out of packages, through the real clients, from registries on this machine."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import shutil
import tarfile
from typing import TYPE_CHECKING

import pytest

from models.asset_catalogue import ASSETS, Asset
from models.asset_sources import PackageSource
from models.assets import fetch
from records import AssetError
from tests.models.file_server import Answer, serving

if TYPE_CHECKING:
    from pathlib import Path

LABELS, MODEL = b"cat\ndog\n", b"the weights " * 5000
NAME = "@kennel/animals"

needs_npm = pytest.mark.skipif(shutil.which("npm") is None, reason="needs npm")


def packed(members: dict[str, bytes]) -> bytes:
    """A .tar.gz of these members."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def file(name: str, content: bytes, source: PackageSource) -> Asset:
    digest = hashlib.sha256(content).hexdigest()
    return Asset(name, name, len(content), digest, "CC0-1.0", "", (source,))


def npm_package() -> bytes:
    manifest = json.dumps({"name": NAME, "version": "1.0.0"}).encode()
    return packed({"package/package.json": manifest, "package/data": LABELS + MODEL + b"more"})


def npm_assets(archive: bytes, member: str = "package/data") -> dict[str, Asset]:
    digest = hashlib.sha256(archive).hexdigest()
    sources = [
        PackageSource("npm", f"{NAME}@1.0.0", digest, member, offset) for offset in (0, len(LABELS))
    ]
    return {
        "labels": file("labels", LABELS, sources[0]),
        "model": file("model", MODEL, sources[1]),
    }


def npm_registry(archive: bytes, url: str) -> dict[str, Answer]:
    """What a registry answers about the package."""
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(archive).digest()).decode()
    version = {
        "name": NAME,
        "version": "1.0.0",
        "dist": {"tarball": f"{url}/animals.tgz", "integrity": integrity},
    }
    about = {"name": NAME, "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}}
    return {
        f"/{NAME}": Answer(
            json.dumps(about).encode(), headers={"Content-Type": "application/json"}
        ),
        "/animals.tgz": Answer(archive),
    }


def npm_environment(tmp_path: Path, registry: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "npm_config_registry": registry,
        "npm_config_cache": str(tmp_path / "npm"),
        "npm_config_update_notifier": "false",
        "npm_config_fetch_retries": "0",
        "npm_config_noproxy": "127.0.0.1",
    }


def cached(tmp_path: Path) -> dict[str, bytes]:
    folder = tmp_path / "cache" / "sightflow"
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def complaint(error: pytest.ExceptionInfo[AssetError]) -> str:
    return error.value.attempts[2]  # after the two local places


@needs_npm
def test_one_npm_package_gives_all_its_assets(tmp_path: Path) -> None:
    archive = npm_package()
    with serving({}) as server:
        server.answers = npm_registry(archive, server.url)
        environment = npm_environment(tmp_path, server.url)
        catalogue = npm_assets(archive)
        model = fetch("model", environment=environment, catalogue=catalogue)
        assert server.asked.count("/animals.tgz") == 1
        asked = len(server.asked)
        labels = fetch("labels", environment=environment, catalogue=catalogue)
        assert len(server.asked) == asked
    assert (model.read_bytes(), labels.read_bytes()) == (MODEL, LABELS)
    assert cached(tmp_path) == {"model": MODEL, "labels": LABELS}


@needs_npm
def test_npm_archive_with_another_checksum_is_not_opened(tmp_path: Path) -> None:
    archive, other = npm_package(), packed({"package/data": b"other"})
    with serving({}) as server:
        server.answers = npm_registry(archive, server.url)
        with pytest.raises(AssetError) as error:
            fetch(
                "model",
                environment=npm_environment(tmp_path, server.url),
                catalogue=npm_assets(other),
            )
    got, want = (hashlib.sha256(content).hexdigest() for content in (archive, other))
    assert complaint(error) == (
        f"npm package {NAME}@1.0.0: its archive has SHA-256 {got}, must have {want}"
    )
    assert cached(tmp_path) == {}


@needs_npm
def test_npm_package_that_is_not_there_hides_the_password(tmp_path: Path) -> None:
    with serving({}) as server:
        registry = server.url.replace("//", "//me:secret@")
        with pytest.raises(AssetError) as error:
            fetch(
                "model",
                environment=npm_environment(tmp_path, registry),
                catalogue=npm_assets(npm_package()),
            )
    text = complaint(error)
    assert text.startswith(f"npm package {NAME}@1.0.0: its client failed: npm error code E404")
    assert "secret" not in str(error.value)


def test_missing_npm(tmp_path: Path) -> None:
    environment = {"PATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    with pytest.raises(AssetError) as error:
        fetch("model", environment=environment, catalogue=npm_assets(npm_package()))
    assert complaint(error) == (
        f"npm package {NAME}@1.0.0: npm is not installed, or not on the PATH"
    )
    assert cached(tmp_path) == {}


BACKEND = """
import pathlib

def prepare_metadata_for_build_wheel(folder, settings=None):
    pathlib.Path({marker!r}).touch()
    info = pathlib.Path(folder) / "animals-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\\nName: animals\\nVersion: 1.0\\n")
    (info / "WHEEL").write_text("Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\n")
    return info.name

def build_wheel(folder, settings=None, metadata=None):
    raise SystemExit("a download must not build")
"""

PYPROJECT = b"""
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""


def source_distribution(tmp_path: Path) -> tuple[bytes, dict[str, str]]:
    """The archive, in a folder where pip finds it and nothing else, and pip's environment."""
    archive = packed(
        {
            "animals-1.0/PKG-INFO": b"Metadata-Version: 2.1\nName: animals\nVersion: 1.0\n",
            "animals-1.0/pyproject.toml": PYPROJECT,
            "animals-1.0/backend.py": BACKEND.format(marker=str(tmp_path / "ran")).encode(),
            "animals-1.0/data/model": MODEL,
        }
    )
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "animals-1.0.tar.gz").write_bytes(archive)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(tmp_path / "index"),
        "PIP_CACHE_DIR": str(tmp_path / "pip"),
    }
    return archive, environment


def pip_asset(digest: str, member: str = "animals-1.0/data/model") -> dict[str, Asset]:
    source = PackageSource("pip", "animals==1.0", digest, member)
    return {"model": file("model", MODEL, source)}


def test_pip_source_distribution(tmp_path: Path) -> None:
    archive, environment = source_distribution(tmp_path)
    catalogue = pip_asset(hashlib.sha256(archive).hexdigest())
    path = fetch("model", environment=environment, catalogue=catalogue)
    assert path == tmp_path / "cache" / "sightflow" / "model"
    assert cached(tmp_path) == {"model": MODEL}
    assert (tmp_path / "ran").exists()


def test_pip_runs_nothing_of_an_archive_with_another_checksum(tmp_path: Path) -> None:
    _, environment = source_distribution(tmp_path)
    with pytest.raises(AssetError) as error:
        fetch("model", environment=environment, catalogue=pip_asset("0" * 64))
    text = complaint(error)
    assert text.startswith("pip package animals==1.0: its client failed: ERROR: THESE PACKAGES DO")
    assert not (tmp_path / "ran").exists()
    assert cached(tmp_path) == {}


def test_member_that_is_not_in_the_archive(tmp_path: Path) -> None:
    archive, environment = source_distribution(tmp_path)
    catalogue = pip_asset(hashlib.sha256(archive).hexdigest(), "animals-1.0/data/other")
    with pytest.raises(AssetError) as error:
        fetch("model", environment=environment, catalogue=catalogue)
    assert complaint(error) == ("pip package animals==1.0: holds no file animals-1.0/data/other")


def test_archive_that_is_damaged(tmp_path: Path) -> None:
    archive = tmp_path / "x.tar.gz"
    archive.write_bytes(npm_package()[:-40])
    asset = npm_assets(b"")["model"]
    (source,) = asset.sources
    assert isinstance(source, PackageSource)
    with pytest.raises(Exception, match="^its archive is damaged: ") as error:
        list(source.chunks(archive, asset.size))
    assert type(error.value).__name__ == "DownloadError"


def test_no_other_client() -> None:
    with pytest.raises(ValueError, match="^client must be pip or npm, got 'gem'$"):
        PackageSource("gem", "x", "0", "y")


def test_published_packages_are_pinned() -> None:
    sources = [source for asset in ASSETS.values() for source in asset.sources]
    packages = {str(source) for source in sources if isinstance(source, PackageSource)}
    assert packages == {
        "pip package opencv-python-headless==4.11.0.86",
        "npm package @mediapipe/objectron@0.4.1675468480",
    }
