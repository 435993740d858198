from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from connectors.metrics import Metrics
from connectors.outbox import Outbox
from connectors.outbox_inspection import read_outbox
from connectors.receiver import WebhookReceiver
from connectors.webhook_settings import WebhookSettings
from flows import config
from flows.sinks import Sinks, outbox_path, webhook_sinks
from records import ConfigurationError, SightflowError
from tests.support.endpoints import Reply, ScriptedServer
from tests.support.records import alert
from tests.support.webhooks import SECRET

if TYPE_CHECKING:
    from pathlib import Path

    from flows.config import Configuration

TEXT = """\
version: 1
name: street
streams: {{gate: {{uri: clip.mp4}}}}
sinks:
  event_log: {event_log}
  console: null
  webhooks:
{webhooks}
"""


def configuration(folder: Path, *urls: str, event_log: str = "{directory: runs}",
                  more: str = "") -> Configuration:  # fmt: skip
    (folder / "clip.mp4").touch()
    webhooks = "\n".join(
        f'    - {{url: "{url}", secrets: ["${{SECRET}}"], allow_private: true{more}}}'
        for url in urls
    )
    text = TEXT.format(event_log=event_log, webhooks=webhooks)
    return config.parse(text, "a.yaml", folder, {"SECRET": SECRET})


def make(folder: Path, *urls: str, **changes: Any) -> Sinks:
    made = configuration(folder, *urls, **changes)
    run_dir = None if made.sinks.event_log is None else folder / "runs" / "street-1"
    return Sinks.make(made, folder, run_dir, Metrics(), console=None)


def write(sinks: Sinks, count: int) -> None:
    for webhook in sinks.webhooks:
        part = webhook.build("webhook", 0, 1)
        part.write_batch([("gate", [alert(sequence=k) for k in range(count)])])
        part.close()
    sinks.close()


def test_without_webhooks_there_is_no_outbox(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").touch()
    text = TEXT.format(event_log="null", webhooks="").replace("  webhooks:\n", "")
    made = config.parse(text, "a.yaml", tmp_path)
    sinks = Sinks.make(made, tmp_path, None, Metrics(), console=None)
    sinks.close()
    assert (sinks.outbox, sinks.webhooks, sinks.delivered, sinks.undelivered) == (None, (), 0, {})
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_the_outbox_outlives_the_run_beside_it(tmp_path: Path) -> None:
    with ScriptedServer(Reply(500)) as server:
        slow = ", first_retry_seconds: 1000, most_retry_seconds: 1000"
        first = make(tmp_path, server.url, more=slow)
        write(first, 2)
        assert (first.delivered, first.undelivered) == (0, {"pending": 2})
        path = outbox_path(tmp_path / "runs", "street")
        assert len(read_outbox(path).messages) == 2
        server.answer(Reply(200))
        # The wait of 1000 s is beyond the settings of the second run, as if the clock were wrong.
        second = make(tmp_path, server.url, more=", most_retry_seconds: 2")
        write(second, 3)
        assert (second.delivered, second.undelivered) == (3, {})


def test_without_an_event_log_nothing_outlives_the_run(tmp_path: Path) -> None:
    with ScriptedServer(Reply(500)) as server:
        sinks = make(
            tmp_path, server.url, event_log="null",
            more=", first_retry_seconds: 1000, most_retry_seconds: 1000",
        )  # fmt: skip
        write(sinks, 2)
    assert sinks.undelivered == {"not_drained": 2}
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_outcomes_are_counted_over_endpoints_and_in_the_metrics(tmp_path: Path) -> None:
    metrics = Metrics()
    with WebhookReceiver(SECRET) as receiver, ScriptedServer(Reply(404)) as server:
        made = configuration(tmp_path, receiver.url, server.url)
        sinks = Sinks.make(made, tmp_path, tmp_path / "runs" / "street-1", metrics, console=None)
        write(sinks, 2)
    assert (sinks.delivered, sinks.undelivered) == (2, {"status_404": 2})
    name = 'sightflow_webhook_deliveries_total{endpoint="127.0.0.1",outcome="%s"}'
    snapshot = metrics.snapshot()
    assert [snapshot[name % outcome] for outcome in ("delivered", "status_404")] == [2, 2]
    waiting = [value for key, value in snapshot.items() if key.startswith("sightflow_webhook_pe")]
    assert waiting == [0, 0]


def test_two_webhooks_with_one_url_are_refused_before_anything_is_opened(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make(tmp_path, "https://example.com/in", "https://example.com/in")
    (fault,) = caught.value.faults
    assert fault.key == "sinks.webhooks[1].url"
    assert (fault.problem, fault.remedy) == (
        "is the URL of two webhooks",
        "Keep one of them, with the secrets of all.",
    )
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_two_runs_do_not_deliver_from_one_outbox(tmp_path: Path) -> None:
    first = make(tmp_path, "https://example.com/in")
    with pytest.raises(SightflowError, match="is in use: one run at a time delivers from it"):
        make(tmp_path, "https://example.com/in")
    first.close()
    make(tmp_path, "https://example.com/in").close()


def test_what_waits_for_an_endpoint_of_old_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite3"
    with ScriptedServer(Reply(hang=True)) as server, Outbox(path) as outbox:
        old = WebhookSettings(server.url, (SECRET,), allow_private=True, drain_seconds=0)
        (sink,) = webhook_sinks([old], outbox, Metrics())
        sink.build("webhook", 0, 1).write_batch([("gate", [alert()])])
        sink.close()
        new = WebhookSettings("https://example.com/in", (SECRET,))
        with capture_logs() as logs:
            webhook_sinks([new], outbox, Metrics())
    assert logs == [
        {
            "event": "alerts wait for an endpoint that the configuration does not name",
            "log_level": "warning",
            "endpoint": old.endpoint,
            "pending": 1,
        }
    ]
