from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from connectors.outbound import address_problem, new_client, parse_url, post, resolve
from records import RecordError
from tests.support.endpoints import Reply, ScriptedServer, refusing_port

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("https://alerts.example.com/in?token=1", "alerts.example.com", 443),
        ("http://example.com", "example.com", 80),
        ("http://[2001:db8::1]:8080/", "2001:db8::1", 8080),
        ("https://münchen.example/", "xn--mnchen-3ya.example", 443),
    ],
)
def test_parse_url(url: str, host: str, port: int) -> None:
    endpoint = parse_url(url)
    assert (endpoint.host, endpoint.port) == (host, port)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://example.com", "a URL must begin with http:// or https://"),
        ("example.com/path", "a URL must begin with http:// or https://"),
        ("//example.com/path", "a URL must begin with http:// or https://"),
        ("file:///etc/passwd", "a URL must begin with http:// or https://"),
        (
            "https://user:hunter2@example.com/",
            "a URL must not hold a user or password; sign with a secret instead",
        ),
        (
            "http://8.8.8.8\\@127.0.0.1/",
            "a URL must not hold a user or password; sign with a secret instead",
        ),
        ("http:///path", "a URL must name a host"),
        ("http://example.com:0/", "a URL's port must be 1 to 65535, got 0"),
        ("http://example.com:65536/", "a URL's port must be 1 to 65535, got 65536"),
        (
            "http://user:hunter2\r\n@example.com/",
            "a URL must be well-formed, like https://example.com/path",
        ),
        ("https://example.com/" + "x" * 2048, "a URL must be at most 2048 characters, got 2068"),
    ],
)
def test_urls_that_are_refused(url: str, message: str) -> None:
    with pytest.raises(RecordError) as caught:
        parse_url(url)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("8.8.8.8", ""),
        ("2606:4700::1111", ""),
        ("127.0.0.1", "loopback"),
        ("127.9.9.9", "loopback"),
        ("::1", "loopback"),
        ("10.1.2.3", "private"),
        ("172.16.0.1", "private"),
        ("192.168.1.1", "private"),
        ("fd00::1", "private"),
        ("169.254.169.254", "link-local"),
        ("fe80::1", "link-local"),
        ("fe80::1%eth0", "link-local"),
        ("224.0.0.1", "multicast"),
        ("ff02::1", "multicast"),
        ("0.0.0.0", "unspecified"),  # noqa: S104 - an address to refuse
        ("::", "unspecified"),
        ("240.0.0.1", "private"),
        ("255.255.255.255", "private"),
        ("100.64.0.1", "not public"),
        ("100.127.255.255", "not public"),
        ("::ffff:127.0.0.1", "loopback"),
        ("::ffff:100.64.0.1", "not public"),
        ("::ffff:8.8.8.8", ""),
        ("64:ff9b::10.0.0.1", "private"),
        ("2002:7f00:1::", "loopback"),
    ],
)
def test_address_problem(address: str, problem: str) -> None:
    assert address_problem(ip_address(address)) == problem


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "0x7f.1", "2130706433"])
def test_private_addresses_need_leave(host: str) -> None:
    endpoint = parse_url(f"http://{host}:8080/")
    with pytest.raises(RecordError) as caught:
        resolve(endpoint)
    address = "::1" if "::1" in str(caught.value) else "127.0.0.1"
    assert str(caught.value) == (
        f"'{endpoint.host}' must have public addresses only, got {address} (loopback); "
        "set allow_private if this is meant"
    )
    assert set(resolve(endpoint, allow_private=True)) <= {"127.0.0.1", "::1"}


def test_one_private_address_among_public_ones_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def two_answers(host: str, port: int, **_: object) -> list[tuple[Any, ...]]:
        del host
        return [(0, 0, 0, "", (address, port)) for address in ("8.8.8.8", "10.0.0.7")]

    monkeypatch.setattr(socket, "getaddrinfo", two_answers)
    with pytest.raises(RecordError, match=r"got 10\.0\.0\.7 \(private\)"):
        resolve(parse_url("https://example.com/"))
    assert resolve(parse_url("https://example.com/"), allow_private=True) == ("8.8.8.8", "10.0.0.7")


def test_a_name_that_is_none() -> None:
    endpoint = parse_url(f"http://{'a' * 70}.example/")
    with pytest.raises((RecordError, OSError)):
        resolve(endpoint)


def test_post_goes_to_the_checked_address(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    real = socket.getaddrinfo

    def seen(host: str, *args: Any, **kwargs: Any) -> Any:
        asked.append(host)
        return real("127.0.0.1", *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", seen)
    with ScriptedServer() as server, new_client(10) as client:
        endpoint = parse_url(f"http://alerts.example.com:{server.port}/in?token=1")
        response = post(client, endpoint, b"body", {"x-test": "1"}, allow_private=True)
        (request,) = server.requests
    assert asked == ["alerts.example.com", "127.0.0.1"]
    assert response.status_code == 200
    assert (request.path, request.body) == ("/in?token=1", b"body")
    assert request.headers["host"] == f"alerts.example.com:{endpoint.port}"
    assert request.headers["x-test"] == "1"


def test_the_next_address_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo

    def two_answers(host: str, *args: Any, **kwargs: Any) -> Any:
        hosts = ["127.0.0.2", "127.0.0.1"] if host == "two.example.com" else [host]
        return [entry for each in hosts for entry in real(each, *args, **kwargs)]

    monkeypatch.setattr(socket, "getaddrinfo", two_answers)
    with ScriptedServer() as server, new_client(10) as client:
        endpoint = parse_url(f"http://two.example.com:{server.port}/")
        assert post(client, endpoint, b"", {}, allow_private=True).status_code == 200
    with refusing_port() as port, new_client(10) as client, pytest.raises(httpx.ConnectError):
        post(client, parse_url(f"http://two.example.com:{port}/"), b"", {}, allow_private=True)


def test_redirects_and_proxies_are_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    with refusing_port() as port, ScriptedServer() as inner:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
        reply = Reply(302, {"location": inner.url})
        with ScriptedServer(reply) as server, new_client(10) as client:
            endpoint = parse_url(server.url)
            assert post(client, endpoint, b"", {}, allow_private=True).status_code == 302
        assert inner.requests == []


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate for the host `name`, signed by itself, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl command to make a certificate")
    made, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-keyout", key, "-out", made, "-days", "2", "-subj", f"/CN={name}",
         "-addext", f"subjectAltName=DNS:{name}"],
        check=True, capture_output=True,
    )  # fmt: skip
    return made, key


@pytest.mark.parametrize("name", ["localhost", "other.example.com"])
def test_tls_verifies_the_name_though_the_address_is_called(tmp_path: Path, name: str) -> None:
    made, key = certificate(tmp_path, name)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(made, key)
    trust = ssl.create_default_context(cafile=made)
    with ScriptedServer(tls=tls) as server, new_client(10, trust) as client:
        endpoint = parse_url(f"https://localhost:{server.port}/")
        if name == "localhost":
            assert post(client, endpoint, b"", {}, allow_private=True).status_code == 200
        else:
            with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                post(client, endpoint, b"", {}, allow_private=True)
    with (
        ScriptedServer(tls=tls) as server,
        new_client(10) as client,
        pytest.raises(httpx.ConnectError),
    ):
        post(client, parse_url(f"https://localhost:{server.port}/"), b"", {}, allow_private=True)
