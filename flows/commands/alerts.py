"""Commands about alerts: what there were, and sending again what webhooks did not take."""

from __future__ import annotations

import json as json_text
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from connectors.codec import iso_time, to_json
from connectors.metrics import Metrics
from connectors.outbox import Outbox
from connectors.outbox_inspection import OutboxContents, PutBack, in_use, put_back, read_outbox
from connectors.replay import EventLog
from flows import config
from flows.commands.alerts_why import explain_alert, explain_silence
from flows.output import (
    EXIT_FAILURE,
    JsonOption,
    console,
    note,
    print_json,
    print_text,
    set_up_logs,
)
from flows.sinks import webhook_settings, webhook_sinks
from records import Alert, AlertState, SightflowError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from connectors.outbox_inspection import StoredMessage
    from connectors.webhook import WebhookSettings

app = typer.Typer(name="alerts", help="Alerts, and what became of their webhooks.",
                  no_args_is_help=True)  # fmt: skip
app.command("why")(explain_alert)
app.command("why-not")(explain_silence)

LogOption = Annotated[Path | None, typer.Option(help="A run's folder, for its event log.")]
"""The event log that alerts are listed from."""

OutboxOption = Annotated[
    Path | None, typer.Option(help="An outbox of webhooks, NAME.outbox.sqlite3.")
]
"""The outbox that alerts are listed from."""

RequiredOutboxOption = Annotated[
    Path, typer.Option("--outbox", help="The outbox, NAME.outbox.sqlite3.")
]
"""The outbox that deliveries are put back in."""

WebhooksOption = Annotated[
    Path | None,
    typer.Option("--config", help="Deliver now, with this configuration's webhooks."),
]
"""The configuration whose webhooks deliver."""


@dataclass(slots=True)
class _Episode:
    """An episode, put together from its changes.

    Attributes:
        last: Its latest change, as plain JSON values.
        changes: The changes seen, by id and event time.
        closed: Whether one of them closed it.
        deliveries: How many of its webhooks stand where, by endpoint.
        reasons: Why webhooks of it are not delivered.
    """

    last: dict[str, Any]
    changes: set[tuple[str, int]] = field(default_factory=set)
    closed: bool = False
    deliveries: dict[str, Counter[str]] = field(default_factory=dict)
    reasons: set[str] = field(default_factory=set)

    def to_json(self) -> dict[str, Any]:
        last = self.last
        return {
            "id": _episode_id(last),
            "stream": last["stream"],
            "rule": last["rule"],
            "state": "closed" if self.closed else "open",
            "opened": iso_time(last["opened_ns"]),
            "changed": iso_time(last["time_ns"]),
            "peak": last["peak"],
            "severity": last["severity"],
            "message": last["message"],
            "changes": [alert_id for alert_id, _ in sorted(self.changes, key=lambda one: one[1])],
            "deliveries": {name: dict(count) for name, count in self.deliveries.items()},
            "reasons": sorted(self.reasons),
        }


@app.command("list")
def list_alerts(
    *,
    log: LogOption = None,
    outbox: OutboxOption = None,
    last: Annotated[int, typer.Option(min=0, help="Show this many, the latest; 0 = all.")] = 50,
    json: JsonOption = False,
) -> None:
    """List alerts by episode, and where their webhooks stand, from a log, an outbox, or both."""
    if log is None and outbox is None:
        raise typer.BadParameter("name a run's folder with --log, an outbox with --outbox, or both")
    episodes: dict[tuple[str, int], _Episode] = {}
    faults: tuple[str, ...] = ()
    if log is not None:
        opened = EventLog.open(log)
        _gather(episodes, (to_json(one) for one in opened.records() if isinstance(one, Alert)))
        faults = tuple(str(fault) for fault in opened.faults)
    contents = OutboxContents((), ()) if outbox is None else read_outbox(outbox)
    for message in contents.messages:
        _gather_deliveries(_gather(episodes, [_data(message)])[0], message)
    found = sorted(episodes.values(), key=lambda one: one.last["opened_ns"])
    shown = found[-last:] if last else found
    if json:
        print_json({"ok": True, "total": len(found), "alerts": [one.to_json() for one in shown],
                    "endpoints": _endpoints(contents), "log_faults": list(faults)})  # fmt: skip
        return
    console().print(_table(shown))
    if len(shown) < len(found):
        note(f"{len(found) - len(shown)} earlier ones are not shown; say --last 0 for all")
    for endpoint in _endpoints(contents):
        if endpoint["disabled"]:
            note(f"{endpoint['name']} is disabled since {endpoint['disabled']}: it answered 410")
    for fault in faults:
        note(f"the event log is damaged: {fault}")


@app.command("replay")
def replay_alerts(
    alert: Annotated[
        str, typer.Argument(metavar="ID", help="An alert's id, or that of a whole episode.")
    ] = "",
    *,
    everything: Annotated[bool, typer.Option("--all", help="All that was not delivered.")] = False,
    outbox: RequiredOutboxOption,
    endpoint: Annotated[
        str, typer.Option(help="Only for this host, or host#digest as 'alerts list' shows it.")
    ] = "",
    configuration: WebhooksOption = None,
    json: JsonOption = False,
) -> None:
    """Send again what webhooks did not take, and enable endpoints that a 410 has disabled."""
    if bool(alert) == everything:
        raise typer.BadParameter("name an alert's id, or say --all")
    set_up_logs()
    # Loaded first: with a wrong configuration nothing is changed.
    webhooks = None
    if configuration is not None:
        webhooks = webhook_settings(config.load(configuration)[0].sinks.webhooks)
    done = put_back(outbox, time.time_ns(), alert=alert or None, endpoint=endpoint or None)
    busy = in_use(outbox)
    result: dict[str, Any] = {
        "ok": True, "outbox": str(outbox), "put_back": dict(done.deliveries),
        "hastened": done.hastened, "enabled": list(done.enabled), "in_use": busy,
    }  # fmt: skip
    if webhooks is not None and not busy:
        result |= _deliver(outbox, webhooks, endpoint)
    if json:
        print_json(result)
    else:
        for line in _replay_lines(done, result):
            print_text(line)
    if not result["ok"]:
        raise typer.Exit(EXIT_FAILURE)


def _gather(
    episodes: dict[tuple[str, int], _Episode], changes: Iterable[dict[str, Any]]
) -> list[_Episode]:
    """Add changes to their episodes, and give the episode of each."""
    gathered = []
    for change in changes:
        # A live stream counts its frames anew in each run: the time tells such episodes apart.
        key = (_episode_id(change), change["opened_ns"])
        episode = episodes.setdefault(key, _Episode(change))
        episode.changes.add((change["id"], change["time_ns"]))
        episode.closed = episode.closed or change["state"] == AlertState.CLOSED
        if change["time_ns"] >= episode.last["time_ns"]:
            episode.last = change
        gathered.append(episode)
    return gathered


def _gather_deliveries(episode: _Episode, message: StoredMessage) -> None:
    for delivery in message.deliveries:
        episode.deliveries.setdefault(delivery.endpoint, Counter())[delivery.state.value] += 1
        if delivery.reason:
            episode.reasons.add(delivery.reason)


def _episode_id(change: dict[str, Any]) -> str:
    # Alerts that an earlier release left in the outbox tell no object.
    concerned = f"{change['object']}:" if change.get("object") else ""
    return f"{change['stream']}:{change['rule']}:{concerned}{change['opened_sequence']}"


def _data(message: StoredMessage) -> dict[str, Any]:
    try:
        data: dict[str, Any] = json_text.loads(message.body)["data"]
    except (ValueError, KeyError, TypeError) as error:
        raise SightflowError(
            f"the message {message.id} in the outbox must be an alert's JSON: {error}; the file is "
            "damaged, alerts are in the event log as well"
        ) from error
    return data


def _endpoints(contents: OutboxContents) -> list[dict[str, Any]]:
    states: dict[str, Counter[str]] = {one.name: Counter() for one in contents.endpoints}
    for message in contents.messages:
        for delivery in message.deliveries:
            states[delivery.endpoint][delivery.state.value] += 1
    return [
        {
            "name": one.name,
            "host": one.host,
            "disabled": None if one.disabled_ns is None else iso_time(one.disabled_ns),
            "deliveries": dict(states[one.name]),
        }
        for one in contents.endpoints
    ]


def _table(episodes: list[_Episode]) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in ("Alert", "State", "Opened", "Last change", "Peak", "Webhooks"):
        table.add_column(title, justify="right" if title == "Peak" else "left", overflow="fold")
    for row in (one.to_json() for one in episodes):
        webhooks = [
            f"{name}: {', '.join(f'{n} {state}' for state, n in sorted(states.items()))}"
            for name, states in row["deliveries"].items()
        ]
        reasons = [f"({', '.join(row['reasons'])})"] if row["reasons"] else []
        cells = [row["id"], row["state"], row["opened"][:19] + "Z", row["changed"][:19] + "Z",
                 f"{row['peak']:g}", "\n".join(webhooks + reasons)]  # fmt: skip
        # Not as markup: it would make a picture of the rule in gate:car:7.
        table.add_row(*(Text(cell) for cell in cells))
    return table


def _deliver(path: Path, webhooks: tuple[WebhookSettings, ...], endpoint: str) -> dict[str, Any]:
    """Deliver what is pending, for as long as a finished run would."""
    chosen = [one for one in webhooks if endpoint in {"", one.host, one.endpoint}]
    if not chosen:
        raise SightflowError("the configuration names no such webhook; deliveries stay pending")
    with closing(Outbox(path)) as outbox:
        sinks = webhook_sinks(chosen, outbox, Metrics())
        for sink in sinks:
            sink.start()
        for sink in sinks:
            sink.finish()
        for sink in sinks:
            sink.close()
        waiting = outbox.waiting()
    failed: Counter[str] = Counter()
    for sink in sinks:
        failed.update(sink.report.failed)
    pending = sum(
        count for name, count in waiting.items() if endpoint in {"", name, name.partition("#")[0]}
    )
    return {
        "ok": not failed and not pending,
        "delivered": sum(sink.report.delivered for sink in sinks),
        "failed": dict(failed),
        "pending": pending,
    }


def _replay_lines(done: PutBack, result: dict[str, Any]) -> list[str]:
    lines = [f"{name}: {count} put back" for name, count in done.deliveries.items()]
    lines += [f"{name}: enabled again" for name in done.enabled]
    if done.hastened:
        lines.append(f"{done.hastened} that waited for their next attempt are due now")
    nothing = [] if lines else ["there was nothing to put back"]
    if result["in_use"]:
        lines.append("a run delivers from this outbox, and goes on with them now")
    elif "delivered" in result:
        failed = ", ".join(f"{n} failed ({why})" for why, n in result["failed"].items())
        lines.append(
            f"{result['delivered']} delivered, {failed or '0 failed'}, {result['pending']} pending"
        )
    elif lines:
        lines.append("the next run delivers them; --config CONFIG delivers now")
    return nothing + lines
