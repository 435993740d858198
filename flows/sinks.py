"""The sinks of a configuration: made together, closed together."""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import structlog
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from typing_extensions import override

from connectors.kafka import KafkaSink
from connectors.lines import STANDARD_OUTPUT, ConsoleSink, JsonLinesSink
from connectors.log_sink import EventLogSink
from connectors.log_writer import LogSettings
from connectors.outbox import Outbox
from connectors.webhook import WebhookSettings, WebhookSink
from flows.kafka import kafka_settings, write_settings
from flows.member import ALONE, OneProcessSink
from records import SightflowError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from bytewax.outputs import Sink
    from rich.console import Console

    from connectors.kafka import DeadLetter
    from connectors.metrics import Metrics
    from flows.config import Configuration, WebhookSection
    from flows.member import Member

MEGABYTE = 1_000_000
"""Bytes in a megabyte, as segments are sized."""

PENDING = "pending"
"""Why an alert is undelivered that waits in a durable outbox: its turn comes at the next start."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Sinks:
    """The sinks of a run.

    Attributes:
        steps: Each sink, by the name of its step in the dataflow.
        webhooks: Those among them that deliver in the background.
        outbox: Where alerts wait for those; None without any.
        kafka: Writes to Kafka, dead letters also where nothing else is; None without.
    """

    steps: dict[str, Sink[Any]]
    webhooks: tuple[WebhookSink, ...]
    outbox: Outbox | None = None
    kafka: KafkaSink | None = None

    @classmethod
    def make(
        cls,
        configuration: Configuration,
        folder: Path,
        run_dir: Path | None,
        metrics: Metrics,
        *,
        console: Console | None,
        member: Member = ALONE,
    ) -> Sinks:
        """Make the sinks of a configuration. Only the outbox of webhooks is opened yet.

        The outbox lies beside the runs, in the event log's directory, so that what one run could
        not deliver goes on in the next. Without an event log it is in memory.

        Args:
            configuration: The configuration.
            folder: Where its relative paths count from.
            run_dir: The run's folder, for the event log; None for none.
            metrics: Counts deliveries.
            console: Where the console sink writes, if it is configured; None for nowhere.
            member: Which process of the run this is: files of lines, the console and webhooks
                belong to the first.

        Raises:
            SightflowError: the outbox cannot be opened, or another run delivers from it.
        """
        section = configuration.sinks
        steps: dict[str, Sink[Any]] = {}
        if run_dir is not None and section.event_log is not None:
            settings = LogSettings(segment_bytes=section.event_log.segment_megabytes * MEGABYTE)
            steps["event_log"] = EventLogSink(run_dir, settings)
        for place, lines in enumerate(section.json_lines):
            path = lines.path if lines.path == STANDARD_OUTPUT else folder / lines.path
            steps[f"json_lines_{place}"] = OneProcessSink(JsonLinesSink(path, lines.kinds), member)
        if section.console is not None and console is not None:
            shown = ConsoleSink("stderr", section.console.kinds, console)
            steps["console"] = OneProcessSink(shown, member)
        kafka = _kafka(configuration, folder, metrics)
        if not section.webhooks:
            return cls(steps, (), None, kafka)
        webhooks = webhook_settings(section.webhooks)
        outbox = Outbox(
            None
            if run_dir is None or section.event_log is None or not member.is_first
            else outbox_path(folder / section.event_log.directory, configuration.name)
        )
        sinks = webhook_sinks(webhooks, outbox, metrics)
        steps |= {
            f"webhook_{place}": OneProcessSink(sink, member) for place, sink in enumerate(sinks)
        }
        return cls(steps, sinks, outbox, kafka)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Meanwhile deliveries go on between one dataflow that uses the sinks and the next."""
        held = [webhook.build("held", 0, 1) for webhook in self.webhooks]
        try:
            yield
        finally:
            for partition in held:
                partition.close()

    def close(self) -> None:
        """End deliveries, waiting as long as each endpoint's settings say, at the same time."""
        for webhook in self.webhooks:
            webhook.finish()
        for webhook in self.webhooks:
            webhook.close()
        if self.outbox is not None:
            self.outbox.close()

    @property
    def delivered(self) -> int:
        """Alerts that webhooks took."""
        return sum(webhook.report.delivered for webhook in self.webhooks)

    @property
    def undelivered(self) -> dict[str, int]:
        """Alerts that webhooks did not take, by reason; `PENDING` for those that still wait."""
        total: dict[str, int] = {}
        for report in [webhook.report for webhook in self.webhooks]:
            waiting = {PENDING: report.pending} if report.pending else {}
            for reason, count in (report.failed | waiting).items():
                total[reason] = total.get(reason, 0) + count
        return total


def _kafka(configuration: Configuration, folder: Path, metrics: Metrics) -> KafkaSink | None:
    section = configuration.kafka
    if section is None or (section.read is None and section.write is None):
        return None

    def unwritten(letter: DeadLetter) -> None:
        metrics.observe_dead_letter(letter.message.topic, str(letter.reason))

    return KafkaSink(
        kafka_settings(section, folder),
        write_settings(section, configuration.name),
        on_dead_letter=unwritten,
    )


def outbox_path(directory: Path, name: str) -> Path:
    """Where the outbox of a flow is.

    Args:
        directory: The event log's directory, which holds the runs.
        name: The flow's name.

    >>> from pathlib import Path
    >>> outbox_path(Path("runs"), "shop/north").name
    'shop%2Fnorth.outbox.sqlite3'
    """
    return directory / f"{quote(name, safe='').lstrip('.') or 'run'}.outbox.sqlite3"


def webhook_settings(sections: Sequence[WebhookSection]) -> tuple[WebhookSettings, ...]:
    """The settings of webhook sections.

    Raises:
        SightflowError: two have the same URL.
    """
    settings = tuple(
        WebhookSettings(
            secrets=tuple(secret.get_secret_value() for secret in section.secrets),
            **section.model_dump(exclude={"secrets"}),
        )
        for section in sections
    )
    for name, count in Counter(one.endpoint for one in settings).items():
        if count > 1:
            raise SightflowError(
                f"each webhook must have a URL of its own, {name} has {count}; keep one of them, "
                "with the secrets of all"
            )
    return settings


def webhook_sinks(
    webhooks: Sequence[WebhookSettings], outbox: Outbox, metrics: Metrics
) -> tuple[WebhookSink, ...]:
    """Make the sinks of webhooks, which share an outbox.

    What waits in it for other endpoints, say for one whose URL has changed, is told of.
    """
    configured = {settings.endpoint for settings in webhooks}
    for name, count in outbox.waiting().items():
        if name not in configured:
            _log.warning(
                "alerts wait for an endpoint that the configuration does not name",
                endpoint=name,
                pending=count,
            )
    return tuple(_webhook(one, place, outbox, metrics) for place, one in enumerate(webhooks))


def _webhook(
    settings: WebhookSettings, place: int, outbox: Outbox, metrics: Metrics
) -> WebhookSink:
    def failed(alert_id: str, reason: str) -> None:
        metrics.observe_delivery(settings.host, reason)
        _log.error("alert not delivered", endpoint=settings.host, alert=alert_id, reason=reason)

    # Seeded by the endpoint's place: endpoints do not retry in step, and chance stays repeatable.
    sink = WebhookSink(
        settings,
        random.Random(place),  # noqa: S311 - spreads retries, guards nothing
        outbox=outbox,
        on_failure=failed,
        on_delivered=lambda _: metrics.observe_delivery(settings.host),
    )
    metrics.watch_pending(settings.endpoint, lambda: sink.report.pending)
    return sink


class _NowherePartition(StatelessSinkPartition[Any]):
    @override
    def write_batch(self, items: list[Any]) -> None:
        """Let the records go."""


class Nowhere(DynamicSink[Any]):
    """The output of a run that only observes."""

    @override
    def build(self, step_id: str, worker_index: int, worker_count: int) -> _NowherePartition:
        return _NowherePartition()
