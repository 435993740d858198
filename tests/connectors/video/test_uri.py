from __future__ import annotations

import pytest

from connectors.video.uri import Address, parse_uri, redact
from records import RecordError

UNKNOWN = (
    "uri must be a file, a folder, webcam:N, /dev/videoN or a URL of rtsp, rtsps, http, https, "
    "rtmp, rtmps, rtp, udp, srt, tcp; got {}"
)


@pytest.mark.parametrize(
    ("uri", "url", "label", "live", "demuxer"),
    [
        ("gate.mp4", "file:gate.mp4", "gate.mp4", False, None),
        ("a:b.mp4", "file:a:b.mp4", "a:b.mp4", False, None),
        ("file:///tmp/a%20b.mp4", "file:/tmp/a b.mp4", "file:///tmp/a%20b.mp4", False, None),
        ("webcam:1", "/dev/video1", "webcam:1", True, "v4l2"),
        ("/dev/video0", "/dev/video0", "/dev/video0", True, "v4l2"),
        ("RTSP://cam/1", "RTSP://cam/1", "RTSP://cam/1", True, None),
        ("udp://@239.0.0.1:1234", "udp://@239.0.0.1:1234", "udp://@239.0.0.1:1234", True, None),
        ("srt://h:1?passphrase=x", "srt://h:1?passphrase=x", "srt://h:1?***", True, None),
    ],
)
def test_a_uri_says_how_it_is_opened(
    *, uri: str, url: str, label: str, live: bool, demuxer: str | None
) -> None:
    address = parse_uri(uri)
    assert (address.url, address.label, address.live, address.demuxer) == (
        url,
        label,
        live,
        demuxer,
    )


def test_files_may_not_lead_ffmpeg_to_the_network() -> None:
    assert parse_uri("gate.mp4").options == {"protocol_whitelist": "file"}


def test_rtsp_prefers_tcp() -> None:
    assert parse_uri("rtsp://cam/1").options["rtsp_flags"] == "prefer_tcp"


@pytest.mark.parametrize("uri", ["", "a\nb", "x" * 4097])
def test_a_uri_that_is_no_text_is_refused(uri: str) -> None:
    with pytest.raises(RecordError, match="^uri must be 1 to 4096 printable characters$"):
        parse_uri(uri)


def test_an_unknown_scheme_is_refused_without_telling_its_secrets() -> None:
    with pytest.raises(RecordError) as refused:
        parse_uri("ftp://admin:hunter2@cam/a?key=hunter2")
    assert str(refused.value) == UNKNOWN.format("'ftp://***@cam/a?***'")


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("rtsp://admin:hunter2@cam:554/main", "rtsp://***@cam:554/main"),
        ("rtsp://admin:hun/ter@2@cam/main", "rtsp://***@cam/main"),
        ("two http://a:b@c/d and rtmp://e:f@g/h", "two http://***@c/d and rtmp://***@g/h"),
        ("http://cam/mjpg?user=a&pwd=b", "http://cam/mjpg?***"),
        ("no address, a@b.c and why?", "no address, a@b.c and why?"),
    ],
)
def test_secrets_are_hidden(text: str, safe: str) -> None:
    assert redact(text) == safe


def test_an_address_does_not_show_its_url() -> None:
    assert "hunter2" not in repr(parse_uri("rtsp://admin:hunter2@cam/1?token=hunter2"))
    assert isinstance(parse_uri("rtsp://cam/1"), Address)
