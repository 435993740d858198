from __future__ import annotations

import base64
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.webhook_settings import WebhookSettings, new_secret, retry_seconds
from records import RecordError

URL = "https://alerts.example.com/in?token=hunter2"
SECRET = "whsec_" + base64.b64encode(b"a" * 24).decode()


def test_neither_url_nor_secret_shows() -> None:
    settings = WebhookSettings(URL, (SECRET,))
    assert repr(settings) == (
        "WebhookSettings(timeout_seconds=10.0, attempts=10, first_retry_seconds=5.0, "
        "retry_factor=4.0, most_retry_seconds=86400.0, jitter=0.5, allow_private=False, "
        "queue_at_most=1000, drain_seconds=10.0, body='standard')"
    )
    assert settings.host == "alerts.example.com"
    assert settings.endpoint == "alerts.example.com#7b071651892d"


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
            "most_retry_seconds must be at least first_retry_seconds, 5.0, got 0.5",
        ),
        ({"retry_factor": 0.5}, "retry_factor must be at least 1, got 0.5"),
        ({"retry_factor": float("inf")}, "retry_factor must be at least 1, got inf"),
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


def test_waits_grow_by_the_factor_up_to_the_limit() -> None:
    settings = WebhookSettings(
        URL, (SECRET,), first_retry_seconds=1, retry_factor=2, most_retry_seconds=20, jitter=0
    )
    waits = [retry_seconds(settings, attempt, Random(1)) for attempt in (1, 2, 3, 4, 5, 6, 5000)]
    assert waits == [1, 2, 4, 8, 16, 20, 20]


def test_ten_attempts_by_default_are_spread_over_one_to_two_days() -> None:
    settings = WebhookSettings(URL, (SECRET,), jitter=0)
    waits = [retry_seconds(settings, k, Random(1)) for k in range(1, settings.attempts)]
    assert waits == [5, 20, 80, 320, 1280, 5120, 20480, 81920, 86400]


schedules = st.builds(
    WebhookSettings,
    url=st.just(URL),
    secrets=st.just((SECRET,)),
    first_retry_seconds=st.floats(1e-3, 1e3),
    retry_factor=st.floats(1, 1e6),
    most_retry_seconds=st.floats(1e3, 1e9),
    jitter=st.floats(0, 1),
)


@given(schedules, st.integers(1, 10**6), st.floats(0), st.integers(0, 2**32))
def test_every_wait_is_within_the_jitter_below_the_schedule_or_what_is_asked(
    settings: WebhookSettings, attempt: int, asked: float, seed: int
) -> None:
    whole = replace(settings, jitter=0)
    scheduled = retry_seconds(whole, attempt, Random(seed))
    assert settings.first_retry_seconds <= scheduled <= settings.most_retry_seconds
    assert scheduled <= retry_seconds(whole, attempt + 1, Random(seed))
    wait = retry_seconds(settings, attempt, Random(seed))
    assert scheduled * (1 - settings.jitter) <= wait <= scheduled
    with_request = retry_seconds(settings, attempt, Random(seed), asked)
    assert with_request == min(max(wait, asked), settings.most_retry_seconds)


def test_waits_are_left_to_chance_by_the_share_of_the_jitter() -> None:
    settings = WebhookSettings(URL, (SECRET,), jitter=0.25)
    chance, same_chance = Random(7), Random(7)
    waits = [retry_seconds(settings, 2, chance) for _ in range(100)]
    assert waits == [20 * (1 - 0.25 * same_chance.random()) for _ in range(100)]
    assert 15 <= min(waits) < 16
    assert 19 < max(waits) <= 20


@pytest.mark.parametrize(("asked", "wait"), [(0.5, 5), (7, 7), (1e9, 86400), (float("inf"), 86400)])
def test_what_the_endpoint_asks_is_honoured_within_the_limit(asked: float, wait: float) -> None:
    settings = WebhookSettings(URL, (SECRET,), jitter=0)
    assert retry_seconds(settings, 1, Random(1), asked) == wait
