"""Assets over TLS: redirects and certificates."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from models.assets import fetch
from records import AssetError
from tests.models.file_server import Answer, serving
from tests.models.test_assets import CONTENT, attempts, home, thing


def certificate(folder: Path) -> Path:
    """A key and a certificate for 127.0.0.1, in one file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl to make a certificate")
    path = folder / "server.pem"
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(path), "-out", f"{path}.crt"]
    command = [openssl, "req", "-x509", *curve, *subject, *files]
    subprocess.run(command, check=True, capture_output=True)
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


def test_redirects_are_followed_over_https_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem)
    answers = {
        "/thing": Answer(CONTENT),
        "/away": Answer(status=302, headers={"Location": "/further"}),
        "/further": Answer(status=307, headers={"Location": "/thing"}),
        "/round": Answer(status=301, headers={"Location": "/round"}),
        "/plain": Answer(status=302, headers={"Location": "http://127.0.0.1:9/thing"}),
    }
    with serving(answers) as server:
        server.encrypt(context)
        urls = [f"{server.url}/{name}" for name in ("round", "plain", "away")]
        path = fetch("thing", environment=home(tmp_path), catalogue=thing(*urls))
        assert server.asked == ["/round"] * 6 + ["/plain", "/away", "/further", "/thing"]
        path.unlink()
        with pytest.raises(AssetError) as error:
            fetch("thing", environment=home(tmp_path), catalogue=thing(*urls[:2]))
        assert attempts(error) == [
            f"{urls[0]}: redirects more than 5 times",
            f"{urls[1]}: redirects to http://127.0.0.1, which is refused: not https",
        ]
    assert path.name == "thing.bin"


def test_certificate_that_nobody_vouches_for_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate(tmp_path))
    with serving({"/thing": Answer(CONTENT)}) as server:
        server.encrypt(context)
        url = f"{server.url}/thing"
        with pytest.raises(AssetError) as error:
            fetch("thing", environment=home(tmp_path), catalogue=thing(url))
    assert attempts(error)[0].startswith(f"{url}: ConnectError: [SSL: CERTIFICATE_VERIFY_FAILED]")
