from __future__ import annotations

import logging
import ssl
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import certifi
import pytest

from connectors.kafka.cluster import Cluster
from connectors.kafka.settings import KafkaSettings
from records import RecordError, SourceError

if TYPE_CHECKING:
    from pathlib import Path

GOOD: dict[str, Any] = {"bootstrap_servers": ["broker:9092"]}
SASL: dict[str, Any] = {
    "security_protocol": "SASL_SSL",
    "sasl_mechanism": "SCRAM-SHA-512",
    "username": "u5er",
    "password": "hunter2",
}


def test_secrets_do_not_show() -> None:
    settings = KafkaSettings(**GOOD, **SASL)
    assert "hunter2" not in repr(settings)
    assert "u5er" not in repr(settings)
    options = settings.client_options()
    assert "hunter2" not in f"{options}"
    assert "u5er" not in f"{options}"
    assert options["sasl_plain_password"] == "hunter2"


def test_secrets_are_not_logged_by_clients(caplog: pytest.LogCaptureFixture) -> None:
    settings = KafkaSettings(["127.0.0.1:1"], **SASL, request_timeout_seconds=0.2)
    with caplog.at_level(logging.DEBUG), pytest.raises(SourceError) as error:
        Cluster(settings)
    assert "Starting KafkaAdminClient" in caplog.text
    assert "hunter2" not in caplog.text
    assert str(error.value) == (
        "cannot connect to Kafka at 127.0.0.1:1: "
        "KafkaTimeoutError: Unable to bootstrap from ['127.0.0.1:1']"
    )


def test_what_clients_are_given() -> None:
    settings = KafkaSettings(
        ["a:1", "[::1]:2"], client_id="me", compression="none", request_timeout_seconds=1.5,
        delivery_timeout_seconds=2, max_message_bytes=1000,
    )  # fmt: skip
    client = {
        "bootstrap_servers": ["a:1", "[::1]:2"],
        "client_id": "me",
        "security_protocol": "PLAINTEXT",
        "ssl_context": None,
        "sasl_mechanism": None,
        "sasl_plain_username": None,
        "sasl_plain_password": None,
        "request_timeout_ms": 1500,
        "bootstrap_timeout_ms": 1500,
    }
    assert settings.client_options() == client
    assert settings.producer_options() == client | {
        "acks": "all",
        "enable_idempotence": True,
        "compression_type": None,
        "delivery_timeout_ms": 2000,
        "max_block_ms": 2000,
        "max_request_size": 1000,
        "batch_size": 1000,
        "allow_auto_create_topics": False,
    }


def test_brokers_are_verified() -> None:
    settings = KafkaSettings(**GOOD, security_protocol="SSL", ca_file=certifi.where())
    context = settings.client_options()["ssl_context"]
    assert context.get_ca_certs()
    assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)


def test_certificates_that_cannot_be_used(tmp_path: Path) -> None:
    junk = tmp_path / "junk.pem"
    junk.write_text("junk")
    settings = KafkaSettings(**GOOD, security_protocol="SSL", ca_file=str(tmp_path / "none.pem"))
    with pytest.raises(RecordError) as error:
        settings.client_options()
    assert str(error.value) == (
        "ca_file must be PEM files that fit: [Errno 2] No such file or directory"
    )
    settings = replace(settings, ca_file=None, certificate_file=str(junk), key_file=str(junk))
    with pytest.raises(RecordError, match="^certificate_file and key_file must be PEM files that "):
        settings.client_options()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bootstrap_servers": []}, "bootstrap_servers must be a list of host:port, got []"),
        ({"bootstrap_servers": "a:1"}, "bootstrap_servers must be a list of host:port, got 'a:1'"),
        ({"bootstrap_servers": ["a"]}, "bootstrap_servers must be host:port each, got 'a'"),
        ({"bootstrap_servers": ["a:0"]}, "bootstrap_servers must be host:port each, got 'a:0'"),
        (
            {"security_protocol": "TLS"},
            "security_protocol must be one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL, got 'TLS'",
        ),
        ({"compression": "snappy"}, "compression must be one of none, gzip, lz4, zstd, "
                                    "got 'snappy'"),
        ({"topic_prefix": "a b"}, "topic_prefix must be 1 to 200 of the characters "
                                  "A-Z a-z 0-9 . _ -, got 'a b'"),
        (
            SASL | {"sasl_mechanism": None},
            "sasl_mechanism must be one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 with SASL_SSL, "
            "got None",
        ),
        (SASL | {"password": ""}, "SASL_SSL needs username and password"),
        (
            SASL | {"security_protocol": "SSL"},
            "sasl_mechanism, username and password need security_protocol SASL_PLAINTEXT or "
            "SASL_SSL, got SSL",
        ),
        (
            {"ca_file": "ca"},
            "ca_file, certificate_file and key_file need security_protocol SSL or SASL_SSL, "
            "got PLAINTEXT",
        ),
        (
            {"security_protocol": "SSL", "key_file": "k"},
            "certificate_file and key_file must be given together",
        ),
        ({"request_timeout_seconds": 0}, "request_timeout_seconds must be above 0, got 0"),
        (
            {"delivery_timeout_seconds": 1},
            "delivery_timeout_seconds must be at least request_timeout_seconds, 30.0, got 1",
        ),
        ({"max_message_bytes": 0}, "max_message_bytes must be 1 to 67108864, got 0"),
    ],
)  # fmt: skip
def test_faults(change: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError) as error:
        replace(KafkaSettings(**GOOD), **change)
    assert str(error.value) == message
