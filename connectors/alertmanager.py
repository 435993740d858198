"""Alerts in the shape that Prometheus Alertmanager posts to its webhooks, version 4.

Whatever takes Alertmanager's notifications (chat bridges, incident tools) takes these too:
https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from connectors.codec import iso_time
from records import AlertState, RecordError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from records import Alert

VERSION = "4"
"""The version of the body."""

NO_END = "0001-01-01T00:00:00Z"
"""What stands for the end of an alert that has none yet: Go's zero time."""

FINGERPRINT_DIGITS = 16
"""Hexadecimal digits of a fingerprint, as many as Alertmanager's."""

MOST_ALERTS = 10_000
"""The most alerts in one body."""


def alertmanager_body(
    alerts: Sequence[Alert], *, receiver: str = "sightflow", external_url: str = ""
) -> dict[str, Any]:
    """The body of one notification, as plain JSON values.

    The alerts are one group, by stream and rule where these are common to all. Of several changes
    of one episode only the last counts. The status is ``firing`` while any episode is open.

    Args:
        alerts: Changes of episodes, in order; at least one.
        receiver: The name of the receiver.
        external_url: Where people can look further.

    Raises:
        RecordError: there is no alert, or there are too many.
    """
    if not 0 < len(alerts) <= MOST_ALERTS:
        raise RecordError(f"alerts must be 1 to {MOST_ALERTS}, got {len(alerts)}")
    latest = list({alert.episode: alert for alert in alerts}.values())
    shown = [_alert(alert, external_url) for alert in latest]
    common = _common([each["labels"] for each in shown])
    group = {name: common[name] for name in ("alertname", "stream") if name in common}
    resolved = all(alert.state is AlertState.CLOSED for alert in latest)
    return {
        "version": VERSION,
        "groupKey": "{}:{" + ", ".join(f'{name}="{group[name]}"' for name in group) + "}",
        "truncatedAlerts": 0,
        "status": "resolved" if resolved else "firing",
        "receiver": receiver,
        "groupLabels": group,
        "commonLabels": common,
        "commonAnnotations": _common([each["annotations"] for each in shown]),
        "externalURL": external_url,
        "alerts": shown,
    }


def _alert(alert: Alert, external_url: str) -> dict[str, Any]:
    # Labels name the episode, so nothing that changes while it is open may be one.
    labels = {"alertname": alert.rule, "stream": alert.stream}
    if alert.object:
        labels["object"] = alert.object
    closed = alert.state is AlertState.CLOSED
    return {
        "status": "resolved" if closed else "firing",
        "labels": labels,
        "annotations": {
            "summary": alert.message,
            "severity": f"{alert.severity:g}",
            "value": f"{alert.value:g}",
            "peak": f"{alert.peak:g}",
            "count": str(alert.count),
            "episode": alert.episode,
            "stage": alert.stage,
            "model": alert.model,
            "configuration": alert.configuration,
        },
        "startsAt": iso_time(alert.opened_ns),
        "endsAt": iso_time(alert.time_ns) if closed else NO_END,
        "generatorURL": external_url,
        "fingerprint": _fingerprint(labels),
    }


def _fingerprint(labels: Mapping[str, str]) -> str:
    """The same for the same labels, whatever their order."""
    # Nothing that prints holds these two separators, so different labels give different text.
    text = "\x1e".join(f"{name}\x1f{value}" for name, value in sorted(labels.items()))
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return digest[:FINGERPRINT_DIGITS]


def _common(maps: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """What all maps agree on."""
    first, *others = maps
    return {
        name: value
        for name, value in first.items()
        if all(other.get(name) == value for other in others)
    }
