"""Targets: what people and other programs write: configurations, queries, addresses."""

from __future__ import annotations

from pathlib import Path
from random import Random

from connectors.outbound import parse_url
from connectors.video.uri import parse_uri, redact
from connectors.webhook_message import retry_after_seconds
from connectors.webhook_settings import WebhookSettings, retry_seconds
from flows import config
from flows.query import parse
from flows.replay.address import parse_topic
from models.soap.machine_file import read_machine
from records import ConfigurationError, QueryError, RecordError
from tests.fuzz.mutation import Form
from tests.fuzz.target import Target
from tests.support.configurations import BROKEN_TEXTS, ENVIRONMENT, SECRET, WHOLE

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
_LONGEST_ENVIRONMENT = "9" * 5000
_ENVIRONMENT = {
    **ENVIRONMENT, "SIGHTFLOW_VIDEO": "clip.mp4", "SIGHTFLOW_WEBHOOK_URL": "https://example.com/x",
    "SIGHTFLOW_WEBHOOK_SECRET": SECRET, "HOME": _LONGEST_ENVIRONMENT,
}  # fmt: skip
QUERIES = (
    "SELECT FCOUNT(*) FROM gate WHERE class='car' GROUP BY TUMBLE(INTERVAL '60' SECOND) "
    "ERROR WITHIN 0.1 AT CONFIDENCE 95% USING blazeit BUDGET 100",
    "SELECT timestamp FROM gate, till GROUP BY timestamp HAVING SUM(class='bus')>=1 AND "
    "SUM(class='car')>=5 LIMIT 10 GAP 300 SECONDS",
    "EXPLAIN SELECT * FROM gate WHERE class IN ('bus', 'car') AND redness(content) > 17.5 AND "
    "area BETWEEN 1 AND 9e4 AND timestamp >= '2026-05-01T08:00:00Z' FNR WITHIN 0.05",
    "SELECT COUNT(DISTINCT trackid) FROM gate WHERE zone = 'door' AND -1 < xmin GROUP BY class, "
    "HOP(INTERVAL '10' SECOND, INTERVAL '1' MINUTE)",
)
_SQL = (
    b"SELECT", b"FROM", b"WHERE", b"GROUP BY", b"HAVING", b"LIMIT", b"GAP", b"AND ", b"OR", b"IN (",
    b"ERROR WITHIN", b"SUM(class='a')", b"HOP(", b"INTERVAL '1' SECOND", b"content", b"timestamp",
    b"1e400", b"1e-400", b"class='a' AND " * 900, b"NOT " * 900, b"- " * 900, b"/*", b"--", b";",
    b"(SELECT 1)", b"UNION", b"CASE WHEN", b"::int", b"@x", b"$$", b"0b1", b"1_000",
    b"'9999-12-31'",
    b"LIMIT \xc2\xb2", b"JOIN till ON 1=1", b"WITH x AS (SELECT 1)",
)  # fmt: skip
_YAML = (
    b"? ", b"- ", b"|\n", b">\n", b"!!binary ", b"!!timestamp 2020", b"!!int ", b"!!set {a}",
    b"<<: [*a, *a]", b"&a", b"*a", b"0o777", b"1:30:00", b".inf", b"2026-05-01",
    b"%YAML 1.1\n---\n",
    b"\t", b"---\n", b"...\n", b"~", b"${THRESHOLD}", b"${HOOK_SECRET}", b"$${", b"${",
    b"${bad name}",
)  # fmt: skip
_MACHINE = b"""\
name: lab
nodes: 2
switches: 1
devices: 4
device: {kind: A4000, memory_bytes: 17179869184, flops: 19.2e12, memory_bytes_per_second: 448e9}
links:
  switch: {bytes_per_second: 16e9, latency_seconds: 1e-5}
  node: {bytes_per_second: 16e9, latency_seconds: 1e-5, shared: true}
  network: {bytes_per_second: 1.25e9, latency_seconds: 5e-5, shared: true}
"""
_SETTINGS = WebhookSettings("https://example.com/hook", (SECRET,))


def _configuration(data: bytes, folder: Path) -> None:
    path = folder / "flow.yaml"
    path.write_bytes(data)
    (folder / "clip.mp4").touch()
    config.load(path, _ENVIRONMENT)


def _query(data: bytes, _: Path) -> None:
    parse(data.decode("utf-8", "replace"))


def _machine(data: bytes, folder: Path) -> None:
    path = folder / "machine.yaml"
    path.write_bytes(data)
    read_machine(path)


def _retry_after(data: bytes, _: Path) -> None:
    asked = retry_after_seconds(data.decode("latin-1"), 0)
    assert asked >= 0
    wait = retry_seconds(_SETTINGS, 1, Random(0), asked)
    assert 0 <= wait <= _SETTINGS.most_retry_seconds


def _url(data: bytes, _: Path) -> None:
    parse_url(data.decode("utf-8", "surrogateescape"))


def _uri(data: bytes, _: Path) -> None:
    text = data.decode("utf-8", "surrogateescape")
    redact(text)
    parse_uri(text)


def _address(data: bytes, _: Path) -> None:
    parse_topic(data.decode("utf-8", "surrogateescape"))


def _configurations() -> list[bytes]:
    return [WHOLE.encode(), *(path.read_bytes() for path in sorted(CONFIGS.glob("people.yaml")))]


TARGETS = (
    Target.of("configurations", _configurations(), _configuration, Form.TEXT,
              (*_YAML, *(text.encode() for text in BROKEN_TEXTS)), (ConfigurationError,)),
    Target.of("FrameQL", [query.encode() for query in QUERIES], _query, Form.TEXT, _SQL,
              (QueryError,)),
    Target.of("machine descriptions", [_MACHINE], _machine, Form.TEXT, _YAML,
              (ConfigurationError,)),
    Target.of("Retry-After", [b"120", b"Thu, 01 Jan 1970 00:01:00 GMT"], _retry_after, Form.TEXT),
    Target.of("webhook URLs", [b"https://alerts.example.com:8443/in?token=1", b"http://[::1]/a"],
              _url, Form.TEXT, (b"@", b"http://", b"%", b"\xc3\xa9", b"xn--", b"[", b"]", b"\t"),
              (RecordError,)),
    Target.of("video URIs", [b"rtsp://admin:pw@gate.local:554/main?a=1", b"file:///a/b.mp4"],
              _uri, Form.TEXT, (b"@", b"://", b"webcam:", b"/dev/video", b"[", b"]"),
              (RecordError,)),
    Target.of("topic addresses", [b"kafka://a:9092,b:9092/sightflow.detections?from=0:5,1:6&to=9"],
              _address, Form.TEXT, (b"kafka://", b"from=", b"to=", b"2026-05-01T08:00:00Z"),
              (RecordError,)),
)  # fmt: skip
"""The targets of this module."""
