from __future__ import annotations

import base64
from random import Random

import pytest

from connectors.webhook_settings import WebhookSettings, new_secret, retry_seconds
from records import RecordError

URL = "https://alerts.example.com/in?token=hunter2"
SECRET = "whsec_" + base64.b64encode(b"a" * 24).decode()


def test_neither_url_nor_secret_shows() -> None:
    settings = WebhookSettings(URL, (SECRET,))
    assert repr(settings) == (
        "WebhookSettings(timeout_seconds=10.0, attempts=10, first_retry_seconds=1.0, "
        "most_retry_seconds=300.0, jitter=0.5, allow_private=False, queue_at_most=1000, "
        "drain_seconds=10.0)"
    )
    assert settings.host == "alerts.example.com"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"url": "alerts.example.com"}, "a URL must begin with http:// or https://"),
        ({"secrets": ()}, "secrets must be 1 to 8, got 0"),
        ({"secrets": (SECRET,) * 9}, "secrets must be 1 to 8, got 9"),
        ({"attempts": 0}, "attempts must be at least 1, got 0"),
        ({"queue_at_most": 0}, "queue_at_most must be at least 1, got 0"),
        ({"timeout_seconds": 0}, "timeout_seconds must be above 0, got 0"),
        ({"timeout_seconds": float("nan")}, "timeout_seconds must be above 0, got nan"),
        ({"first_retry_seconds": -1}, "first_retry_seconds must be above 0, got -1"),
        (
            {"most_retry_seconds": 0.5},
            "most_retry_seconds must be at least first_retry_seconds, 1.0, got 0.5",
        ),
        ({"jitter": 1.5}, "jitter must be 0 to 1, got 1.5"),
        ({"drain_seconds": -1}, "drain_seconds must be at least 0, got -1"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(RecordError) as caught:
        WebhookSettings(**({"url": URL, "secrets": (SECRET,)} | changes))  # type: ignore[arg-type]  # the fault under test
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        "hunter2",
        SECRET.removeprefix("whsec_"),
        "whsec_" + base64.b64encode(b"a" * 23).decode(),
        "whsec_" + base64.b64encode(b"a" * 65).decode(),
        "whsec_" + "!" * 32,
        "whsec_" + "é" * 32,
    ],
)
def test_secrets_that_are_none_are_refused_unshown(secret: str) -> None:
    with pytest.raises(RecordError) as caught:
        WebhookSettings(URL, (SECRET, secret))
    assert str(caught.value) == (
        "secrets[1] must be whsec_ and base64 of 24 to 64 bytes (what was given is not shown)"
    )


def test_new_secrets_differ() -> None:
    assert len({new_secret() for _ in range(10)}) == 10


def test_waits_double_up_to_the_limit() -> None:
    settings = WebhookSettings(URL, (SECRET,), most_retry_seconds=20, jitter=0)
    waits = [retry_seconds(settings, attempt, Random(1)) for attempt in (1, 2, 3, 4, 5, 6, 5000)]
    assert waits == [1, 2, 4, 8, 16, 20, 20]


def test_waits_are_left_to_chance_by_the_share_of_the_jitter() -> None:
    settings = WebhookSettings(URL, (SECRET,), jitter=0.25)
    chance, same_chance = Random(7), Random(7)
    waits = [retry_seconds(settings, 3, chance) for _ in range(100)]
    assert waits == [4 * (1 - 0.25 * same_chance.random()) for _ in range(100)]
    assert 3 <= min(waits) < 3.2
    assert 3.8 < max(waits) <= 4


@pytest.mark.parametrize(("asked", "wait"), [(0.5, 1), (7, 7), (1e9, 300), (float("inf"), 300)])
def test_what_the_endpoint_asks_is_honoured_within_the_limit(asked: float, wait: float) -> None:
    settings = WebhookSettings(URL, (SECRET,), jitter=0)
    assert retry_seconds(settings, 1, Random(1), asked) == wait
