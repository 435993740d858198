"""What a video's URI names, how FFmpeg must open it, and how people may see it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from records.errors import RecordError

if TYPE_CHECKING:
    from collections.abc import Mapping

NETWORK_SCHEMES = ("rtsp", "rtsps", "http", "https", "rtmp", "rtmps", "rtp", "udp", "srt", "tcp")
"""The URL schemes that are read over the network."""

LONGEST_URI = 4096
"""The longest URI, in characters."""

_ANALYSIS = {"analyzeduration": "500000", "fpsprobesize": "5"}
"""How much of a live stream FFmpeg may analyse before the first frame: microseconds, frames."""

_RTSP_OPTIONS = {
    # TCP loses no packets; UDP stays possible for cameras that offer nothing else.
    "rtsp_flags": "prefer_tcp",
    "allowed_media_types": "video",
}

_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*)://")
_USER_INFO = re.compile(r"(?<=://)[^\s'\"]+@")
_QUERY = re.compile(r"(\w://[^\s?'\"]*)\?[^\s'\"]*")
_WEBCAM = re.compile(r"webcam:(\d{1,3})")
_DEVICE = re.compile(r"/dev/video\d{1,3}")


@dataclass(frozen=True, slots=True)
class Address:
    """How a URI is opened.

    Attributes:
        url: What FFmpeg opens; may hold credentials.
        label: The same for people: without credentials or query.
        live: Whether it is a live source by nature.
        path: The file or folder; None for the network and for webcams.
        demuxer: FFmpeg's name of the demuxer; None lets FFmpeg find out.
        options: FFmpeg's options for opening it.
    """

    url: str = field(repr=False)
    label: str
    live: bool
    path: Path | None = None
    demuxer: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)


def parse_uri(uri: str) -> Address:
    """Say what a URI names.

    Args:
        uri: A path, a URL of one of NETWORK_SCHEMES, ``file://…`` or ``webcam:N``.

    Raises:
        RecordError: it is none of these.

    >>> parse_uri("rtsp://admin:secret@gate.local:554/main?channel=1").label
    'rtsp://***@gate.local:554/main?***'
    >>> parse_uri("webcam:0").url
    '/dev/video0'
    >>> parse_uri("ftp://host/a.mp4")
    Traceback (most recent call last):
    ...
    records.errors.RecordError: uri must be a file, a folder, webcam:N, /dev/videoN or a URL of \
rtsp, rtsps, http, https, rtmp, rtmps, rtp, udp, srt, tcp; got 'ftp://host/a.mp4'
    """
    if not isinstance(uri, str) or not 0 < len(uri) <= LONGEST_URI or not uri.isprintable():
        raise RecordError(f"uri must be 1 to {LONGEST_URI} printable characters")
    scheme = match[1].lower() if (match := _SCHEME.match(uri)) else ""
    if scheme == "file":
        try:
            path = unquote(urlsplit(uri).path)
        except ValueError as error:
            raise RecordError(f"uri must be file:///PATH, got {redact(uri)!r}: {error}") from error
        return _file(path, uri)
    if scheme:
        return _network(scheme, uri)
    if webcam := _WEBCAM.fullmatch(uri):
        return Address(f"/dev/video{webcam[1]}", uri, live=True, demuxer="v4l2")
    if _DEVICE.fullmatch(uri):
        return Address(uri, uri, live=True, demuxer="v4l2")
    return _file(uri, uri)


def file_url(path: Path) -> str:
    """The URL of a file for FFmpeg, which takes a bare name with a colon for a protocol."""
    return f"file:{path}"


def redact(text: str) -> str:
    """Hide credentials and queries (which may hold tokens) in every URL of a text.

    >>> redact("cannot open 'http://user:p@ss@host/a?token=1', http://b/c")
    "cannot open 'http://***@host/a?***', http://b/c"
    """
    return _QUERY.sub(r"\1?***", _USER_INFO.sub("***@", text))


def _file(path: str, label: str) -> Address:
    # A playlist that poses as a video must not make FFmpeg fetch from the network.
    only_files = {"protocol_whitelist": "file"}
    return Address(file_url(Path(path)), label, live=False, path=Path(path), options=only_files)


def _network(scheme: str, uri: str) -> Address:
    if scheme not in NETWORK_SCHEMES:
        raise RecordError(
            "uri must be a file, a folder, webcam:N, /dev/videoN or a URL of "
            f"{', '.join(NETWORK_SCHEMES)}; got {redact(uri)!r}"
        )
    options = dict(_ANALYSIS)
    if scheme in ("rtsp", "rtsps"):
        options |= _RTSP_OPTIONS
    if scheme == "udp":
        # A burst that overruns the receive buffer costs packets, not the stream.
        options["overrun_nonfatal"] = "1"
    return Address(uri, redact(uri), live=True, options=options)
