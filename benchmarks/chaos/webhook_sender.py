"""A process that raises alerts for webhooks until it is killed, or its standard input ends.

Arguments: the file of the outbox, the first alert's number, alerts a second, the URLs. The message
of each alert is when it was raised, nanoseconds of the machine's monotonic clock.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from pathlib import Path
from random import Random

from benchmarks.chaos.hooks import FRAME_NS, SECRET
from connectors.outbox import Outbox
from connectors.webhook import WebhookSettings, WebhookSink
from flows.output import set_up_logs
from records import Alert, AlertState

RETRY_SECONDS = 1.0
"""The longest wait before another attempt, seconds."""

ATTEMPTS = 1000
"""More than an endpoint that is dead can use up."""

DRAIN_SECONDS = 2.0
"""How long the sinks go on delivering when the input has ended, seconds."""


def raised(number: int) -> Alert:
    """Alert `number`, raised now."""
    time_ns = number * FRAME_NS
    return Alert(
        stream="gate",
        rule="crowd",
        state=AlertState.OPENED,
        time_ns=time_ns,
        sequence=number,
        opened_ns=time_ns,
        opened_sequence=number,
        severity=1.0,
        value=1.0,
        peak=1.0,
        message=str(time.monotonic_ns()),
    )


def _end_with_input(stop: threading.Event) -> None:
    sys.stdin.read()
    stop.set()


def main() -> None:
    """Raise alerts at a steady rate."""
    set_up_logs()
    logging.disable(logging.INFO)
    path, first, rate_hz, *urls = sys.argv[1:]
    stop = threading.Event()
    threading.Thread(target=_end_with_input, args=(stop,), daemon=True).start()
    with Outbox(Path(path)) as outbox:
        sinks = [
            WebhookSink(
                WebhookSettings(
                    url, (SECRET,), allow_private=True, attempts=ATTEMPTS, queue_at_most=10**6,
                    first_retry_seconds=RETRY_SECONDS / 10, most_retry_seconds=RETRY_SECONDS,
                    drain_seconds=DRAIN_SECONDS,
                ),
                Random(place),  # noqa: S311 - spreads retries
                outbox=outbox,
            )
            for place, url in enumerate(urls)
        ]  # fmt: skip
        parts = [sink.build("webhook", 0, 1) for sink in sinks]
        begun, number = time.monotonic(), int(first)
        while not stop.wait(
            max(begun + (number - int(first)) / float(rate_hz) - time.monotonic(), 0)
        ):
            alert = raised(number)
            for part in parts:
                part.write_batch([("gate", [alert])])
            number += 1
            sys.stdout.write(f"{number}\n")
            sys.stdout.flush()
        for sink in sinks:
            sink.finish()
        for sink in sinks:
            sink.close()


if __name__ == "__main__":
    main()
