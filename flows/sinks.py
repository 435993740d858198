"""The sinks of a configuration: made together, closed together."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from connectors.lines import STANDARD_OUTPUT, ConsoleSink, JsonLinesSink
from connectors.log_writer import EventLogSink, LogSettings
from connectors.webhook import WebhookSettings, WebhookSink

if TYPE_CHECKING:
    from pathlib import Path

    from bytewax.outputs import Sink
    from rich.console import Console

    from connectors.metrics import Metrics
    from flows.config import Configuration, WebhookSection
    from records import Alert

MEGABYTE = 1_000_000
"""Bytes in a megabyte, as segments are sized."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Sinks:
    """The sinks of a run.

    Attributes:
        steps: Each sink, by the name of its step in the dataflow.
        webhooks: Those among them that deliver in the background.
    """

    steps: dict[str, Sink[Any]]
    webhooks: tuple[WebhookSink, ...]

    @classmethod
    def make(
        cls,
        configuration: Configuration,
        folder: Path,
        run_dir: Path | None,
        metrics: Metrics,
        *,
        console: Console | None,
    ) -> Sinks:
        """Make the sinks of a configuration. Nothing is opened yet.

        Args:
            configuration: The configuration.
            folder: Where its relative paths count from.
            run_dir: The run's folder, for the event log; None for none.
            metrics: Counts deliveries.
            console: Where the console sink writes, if it is configured; None for nowhere.
        """
        section = configuration.sinks
        steps: dict[str, Sink[Any]] = {}
        if run_dir is not None and section.event_log is not None:
            settings = LogSettings(segment_bytes=section.event_log.segment_megabytes * MEGABYTE)
            steps["event_log"] = EventLogSink(run_dir, list(configuration.streams), settings)
        for place, lines in enumerate(section.json_lines):
            path = lines.path if lines.path == STANDARD_OUTPUT else folder / lines.path
            steps[f"json_lines_{place}"] = JsonLinesSink(path, lines.kinds)
        if section.console is not None and console is not None:
            steps["console"] = ConsoleSink("stderr", section.console.kinds, console)
        webhooks = tuple(
            _webhook(webhook, place, metrics) for place, webhook in enumerate(section.webhooks)
        )
        steps |= {f"webhook_{place}": sink for place, sink in enumerate(webhooks)}
        return cls(steps, webhooks)

    def close(self) -> None:
        """End deliveries, waiting as long as each endpoint's settings say."""
        for webhook in self.webhooks:
            webhook.close()

    @property
    def delivered(self) -> int:
        """Alerts that webhooks took."""
        return sum(webhook.report.delivered for webhook in self.webhooks)

    @property
    def undelivered(self) -> dict[str, int]:
        """Alerts that webhooks did not take, by reason."""
        total: dict[str, int] = {}
        for webhook in self.webhooks:
            for reason, count in webhook.report.failed.items():
                total[reason] = total.get(reason, 0) + count
        return total


def _webhook(section: WebhookSection, place: int, metrics: Metrics) -> WebhookSink:
    settings = WebhookSettings(
        secrets=tuple(secret.get_secret_value() for secret in section.secrets),
        **section.model_dump(exclude={"secrets"}),
    )

    def failed(alert: Alert, reason: str) -> None:
        metrics.observe_delivery(settings.host, reason)
        _log.error("alert not delivered", endpoint=settings.host, alert=alert.id, reason=reason)

    # Seeded by the endpoint's place: endpoints do not retry in step, and chance stays repeatable.
    return WebhookSink(
        settings,
        random.Random(place),  # noqa: S311 - spreads retries, guards nothing
        on_failure=failed,
        on_delivered=lambda _: metrics.observe_delivery(settings.host),
    )
