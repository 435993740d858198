"""The guard of outbound requests: only public addresses are called, unless the user allows more.

A URL in a configuration must not become a way into the network that Sightflow runs in (server-side
request forgery). The host name is resolved once, every address is checked, and the connection goes
to a checked address itself, so that a second answer of the name server changes nothing (DNS
rebinding). TLS still verifies the host's name. Redirects are not followed and proxies of the
environment are not used: both would choose another address.

OWASP: Server-Side Request Forgery Prevention Cheat Sheet.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING

import httpx

from records import RecordError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

_PORTS = {"http": 80, "https": 443}
_LAST_PORT = 65_535
_LONGEST_URL = 2048
_NAT64 = IPv6Network("64:ff9b::/96")
_IPV4_BITS = 0xFFFF_FFFF
_CLOUD_ADDRESSES = frozenset({"168.63.129.16"})
"""Addresses that look public, and are a cloud's services for its own machines: Azure's."""
_KINDS = ("loopback", "link_local", "multicast", "unspecified", "private", "reserved")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A URL that may be called, as far as its text tells.

    Attributes:
        url: The URL. It may hold a token, so logs and messages name the host only.
        host: The host's name or address, ASCII.
        port: The TCP port.
    """

    url: httpx.URL
    host: str
    port: int


def parse_url(url: str) -> Endpoint:
    """Check the text of a URL.

    Raises:
        RecordError: it is no http or https URL, holds user information, or names no host. The
            message does not repeat the URL.

    >>> parse_url("https://alerts.example.com/in?token=1").host
    'alerts.example.com'
    >>> parse_url("ftp://example.com")
    Traceback (most recent call last):
    ...
    records.errors.RecordError: a URL must begin with http:// or https://
    """
    if len(url) > _LONGEST_URL:
        raise RecordError(f"a URL must be at most {_LONGEST_URL} characters, got {len(url)}")
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError):
        # The cause quotes pieces of the URL, which may be a password.
        raise RecordError("a URL must be well-formed, like https://example.com/path") from None
    if parsed.scheme not in _PORTS:
        raise RecordError("a URL must begin with http:// or https://")
    if parsed.userinfo:
        raise RecordError("a URL must not hold a user or password; sign with a secret instead")
    host = parsed.raw_host.decode("ascii")
    if not host:
        raise RecordError("a URL must name a host")
    port = _PORTS[parsed.scheme] if parsed.port is None else parsed.port
    if not 0 < port <= _LAST_PORT:
        raise RecordError(f"a URL's port must be 1 to {_LAST_PORT}, got {port}")
    return Endpoint(parsed, host, port)


def address_problem(address: IPv4Address | IPv6Address) -> str:
    """Say why an address is not public; empty when it is.

    >>> address_problem(ip_address("8.8.8.8"))
    ''
    >>> address_problem(ip_address("::ffff:127.0.0.1"))
    'loopback'
    """
    if isinstance(address, IPv6Address):
        inner = _embedded(address)
        if inner is not None:
            return address_problem(inner)
        if address.is_site_local:  # withdrawn, yet still routed in some networks
            return "site-local"
    if str(address) in _CLOUD_ADDRESSES:
        return "a cloud's own"
    for kind in _KINDS:
        if getattr(address, f"is_{kind}"):
            return kind.replace("_", "-")
    return "" if address.is_global else "not public"


def _embedded(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that a translator would call for this one, if there is one."""
    if address in _NAT64:
        return IPv4Address(int(address) & _IPV4_BITS)
    return address.ipv4_mapped or address.sixtofour


def resolve(endpoint: Endpoint, *, allow_private: bool = False) -> tuple[str, ...]:
    """Resolve the host and check every address of it.

    Args:
        endpoint: What `parse_url` gave.
        allow_private: Whether addresses that are not public may be called.

    Returns:
        The addresses, in the order of the resolver, at least one.

    Raises:
        RecordError: an address is not public, and that is not allowed.
        OSError: the name cannot be resolved (now).
    """
    try:
        found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise RecordError(f"'{endpoint.host}' must be a host's name: {error}") from error
    addresses = tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
    for address in addresses if not allow_private else ():
        problem = address_problem(ip_address(address))
        if problem:
            raise RecordError(
                f"'{endpoint.host}' must have public addresses only, got {address} ({problem}); "
                "set allow_private if this is meant"
            )
    return addresses


def new_client(timeout_seconds: float, trust: ssl.SSLContext | None = None) -> httpx.Client:
    """Make a client for `post`: no redirects, cookies, proxies or credentials of the environment.

    Args:
        timeout_seconds: For connecting, each write and each read.
        trust: The certificate authorities to trust; None trusts the public ones.
    """
    return httpx.Client(
        # An endpoint must not have us keep, or send back, anything that it sets.
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        follow_redirects=False,
        trust_env=False,
        timeout=timeout_seconds,
        verify=True if trust is None else trust,
    )


def post(
    client: httpx.Client,
    endpoint: Endpoint,
    body: bytes,
    headers: Mapping[str, str],
    *,
    allow_private: bool = False,
) -> httpx.Response:
    """POST to a checked address of the endpoint; the response's body is not read.

    Addresses are tried in turn until one accepts the connection.

    Raises:
        RecordError: an address is not public, and that is not allowed.
        OSError: the name cannot be resolved (now).
        httpx.TransportError: no address answers, or not in time.
    """
    addresses = resolve(endpoint, allow_private=allow_private)
    for address in addresses[:-1]:
        try:
            return _post(client, endpoint, address, body, headers)
        except httpx.ConnectError:
            continue
    return _post(client, endpoint, addresses[-1], body, headers)


def _post(
    client: httpx.Client,
    endpoint: Endpoint,
    address: str,
    body: bytes,
    headers: Mapping[str, str],
) -> httpx.Response:
    request = client.stream(
        "POST",
        endpoint.url.copy_with(host=address),
        content=body,
        headers={**headers, "Host": endpoint.url.netloc.decode("ascii")},
        extensions={"sni_hostname": endpoint.host},
    )
    try:
        with request as response:
            return response
    except (httpx.InvalidURL, ValueError) as error:
        # The client reads where a redirect leads to, though it does not go there.
        raise httpx.RemoteProtocolError("the answer redirects to no URL") from error
