"""Takes uPlot, the library that draws the page's charts, out of its package: a step of the setup.

``python -m flows.dashboard.vendor``. The version is pinned and the archive's SHA-256 is checked.
Without it the page draws the same charts by itself, plainly; it never asks another server.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from models.asset_sources import DownloadError, PackageSource

if TYPE_CHECKING:
    from collections.abc import Mapping

VENDORED = Path(__file__).parent / "static" / "vendor"
"""Where the library goes."""

PACKAGE = "uplot@1.6.32"
"""The library and its version (MIT licence)."""

ARCHIVE_SHA256 = "4b8a8191e425658e3ea8c8c1314b0fc679c861ee3a1af2b20c7b16ba50b5133d"
"""SHA-256 of its archive."""

FILES = {
    "uPlot.iife.min.js": "package/dist/uPlot.iife.min.js",
    "uPlot.min.css": "package/dist/uPlot.min.css",
    "LICENSE": "package/LICENSE",
}
"""The files that are kept, and what they are called in the package."""

LARGEST_FILE = 1_000_000
"""The largest of them, bytes."""


def is_vendored(folder: Path = VENDORED) -> bool:
    """Whether the library is there."""
    return all((folder / name).is_file() for name in FILES)


def vendor(environment: Mapping[str, str], folder: Path = VENDORED) -> None:
    """Fetch the library with npm and put its files into a folder.

    Raises:
        DownloadError: npm is missing or fails, or the package is not the one expected.
        OSError: a file cannot be written.
    """
    sources = {
        name: PackageSource("npm", PACKAGE, ARCHIVE_SHA256, member)
        for name, member in FILES.items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        first = next(iter(sources.values()))
        with first.archive(Path(work), environment) as archive:
            for name, source in sources.items():
                draft = folder / f".{name}.draft"
                draft.write_bytes(b"".join(source.chunks(archive, LARGEST_FILE)))
                draft.replace(folder / name)


def main() -> int:
    """Fetch the library, if it is not there; the exit code."""
    if is_vendored():
        return 0
    try:
        vendor(os.environ)
    except (DownloadError, OSError) as error:
        sys.stderr.write(f"{PACKAGE} {error}; the dashboard draws its charts plainly\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
