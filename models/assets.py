"""Named assets: real models and a real video, had from the first source that has them.

The order of look-up: the folder that the environment variable SIGHTFLOW_ASSETS names (read, never
written), the user's cache (``$XDG_CACHE_HOME/sightflow`` or ``~/.cache/sightflow``), then each of
the asset's own sources. Every file is checked against its size and SHA-256 before it is used.
"""

from __future__ import annotations

import functools
import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from models.asset_catalogue import ASSETS, Asset
from models.asset_sources import DownloadError, PackageSource, Source, UrlSource, sha256_of
from records import AssetError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

FOLDER_VARIABLE = "SIGHTFLOW_ASSETS"
"""The environment variable that names a folder with assets."""

LARGEST_DOWNLOAD = 2**30
"""The most bytes that are stored of a file whose size is not known."""

Progress = Callable[[int, int | None], None]
"""Called with (0, None) before a source is tried, then with the bytes that have arrived and the
size of the file, None where it is not known."""


def located(
    name: str,
    *,
    environment: Mapping[str, str] | None = None,
    catalogue: Mapping[str, Asset] = ASSETS,
) -> Path | None:
    """Where a whole and right copy of an asset lies on this machine; None where there is none.

    Args:
        name: A name in `catalogue`.
        environment: Stands in for `os.environ`.
        catalogue: The assets there are.

    Raises:
        AssetError: there is no asset of this name.
    """
    asset = _named(name, catalogue)
    for _, path in _places(asset, os.environ if environment is None else environment):
        if not _fault(path, asset):
            return path
    return None


def fetch(
    name: str,
    *,
    progress: Progress | None = None,
    environment: Mapping[str, str] | None = None,
    catalogue: Mapping[str, Asset] = ASSETS,
) -> Path:
    """A right copy of an asset, downloaded into the user's cache where there is none yet.

    Two processes may fetch the same asset at once: each writes a file of its own and renames it.

    Args:
        name: A name in `catalogue`.
        progress: Told about the bytes that arrive.
        environment: Stands in for `os.environ`.
        catalogue: The assets there are. Those in the same package are stored with the asked one.

    Raises:
        AssetError: no source has it; lists each source and why it failed.
    """
    environment = os.environ if environment is None else environment
    asset = _named(name, catalogue)
    attempts = []
    for place, path in _places(asset, environment):
        fault = _fault(path, asset)
        if not fault:
            return path
        attempts.append(f"{place} {path}: {fault}")
    if not environment.get(FOLDER_VARIABLE):
        hint = f"not set; it may name a folder that holds {asset.path}"
        attempts.insert(0, f"{FOLDER_VARIABLE}: {hint}")
    attempts[-1] += "; put it there by hand if no source below can be reached"
    cache = cache_folder(environment)
    for source in asset.sources:
        if progress is not None:
            progress(0, None)
        try:
            for arrived, chunks in _delivered(source, asset, catalogue, cache, environment):
                store(chunks, cache / arrived.path, arrived.sha256, arrived.size, progress)
        except (DownloadError, OSError) as failure:
            attempts.append(f"{source}: {failure}")
        if not _fault(cache / asset.path, asset):
            return cache / asset.path
    raise AssetError(name, attempts)


def cache_folder(environment: Mapping[str, str]) -> Path:
    """The user's cache, as the XDG base directory specification places it."""
    base = Path(environment.get("XDG_CACHE_HOME", ""))
    if not base.is_absolute():  # the specification: a relative path is to be ignored
        home = environment.get("HOME")
        base = (Path(home) if home else Path.home()) / ".cache"
    return base / "sightflow"


def store(
    chunks: Iterable[bytes],
    target: Path,
    sha256: str,
    size: int | None,
    progress: Progress | None = None,
) -> None:
    """Write a file of known content; it appears whole and right or not at all.

    Args:
        chunks: Its bytes, piece by piece.
        target: Where it shall lie.
        sha256: How its SHA-256 must begin, hexadecimal.
        size: Its length, bytes; None where only the SHA-256 is known.
        progress: Told about the bytes that arrive.

    Raises:
        DownloadError: the bytes are too many, too few or not the right ones.
        OSError: the folder cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, done = hashlib.sha256(), 0
    most = LARGEST_DOWNLOAD if size is None else size
    with tempfile.NamedTemporaryFile(
        dir=target.parent, prefix=f".{target.name}.", suffix=".part", delete=False
    ) as file:
        try:
            for chunk in chunks:
                done += len(chunk)
                if done > most:
                    raise DownloadError(f"gives more than {most} bytes, the most expected")
                digest.update(chunk)
                file.write(chunk)
                if progress is not None:
                    progress(done, size)
            if size is not None and done < size:
                raise DownloadError(f"gives {done} bytes, must give {size}")
            if not digest.hexdigest().startswith(sha256):
                raise DownloadError(f"gives SHA-256 {digest.hexdigest()}, must give {sha256}")
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).replace(target)
        finally:
            Path(file.name).unlink(missing_ok=True)


def _delivered(
    source: Source,
    asset: Asset,
    catalogue: Mapping[str, Asset],
    cache: Path,
    environment: Mapping[str, str],
) -> Iterator[tuple[Asset, Iterator[bytes]]]:
    """What a source gives: the asset first, then others that its package holds."""
    if isinstance(source, UrlSource):
        yield asset, source.chunks()
        return
    cache.mkdir(parents=True, exist_ok=True)
    with source.archive(cache, environment) as archive:
        yield asset, source.chunks(archive, asset.size)
        for other in catalogue.values():
            for its in other.sources if other != asset else ():
                if isinstance(its, PackageSource) and its.package == source.package:
                    yield other, its.chunks(archive, other.size)


def _named(name: str, catalogue: Mapping[str, Asset]) -> Asset:
    if name not in catalogue:
        raise AssetError(name, [f"there is no such asset; there are {', '.join(catalogue)}"])
    return catalogue[name]


def _places(asset: Asset, environment: Mapping[str, str]) -> list[tuple[str, Path]]:
    """The local copies to look for: what the place is called, and the path."""
    places = [("cache", cache_folder(environment) / asset.path)]
    folder = environment.get(FOLDER_VARIABLE)
    if folder:
        places.insert(0, (FOLDER_VARIABLE, Path(folder) / asset.path))
    return places


def _fault(path: Path, asset: Asset) -> str:
    """What is wrong with a local copy; empty when it is right."""
    try:
        status = path.stat()
        if not path.is_file():
            return "is no file"
        if status.st_size != asset.size:
            return f"holds {status.st_size} bytes, must hold {asset.size}"
        digest = _digest(path, status.st_mtime_ns, status.st_size)
    except OSError as error:
        return error.strerror or str(error)
    return "" if digest == asset.sha256 else f"has SHA-256 {digest}, must have {asset.sha256}"


@functools.lru_cache(maxsize=256)
def _digest(path: Path, _modified_ns: int, _size: int) -> str:
    """SHA-256 of a file, once for each state of it: time and size only key the cache."""
    return sha256_of(path)
