"""A process that delivers alerts from an outbox until it is killed: URL, FILE, COUNT.

It writes a line to standard output when the alerts are in the outbox.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from connectors.outbox import Outbox
from flows.output import set_up_logs
from tests.support.records import alert
from tests.support.webhooks import sink_for


def main() -> None:
    set_up_logs()
    url, path, count = sys.argv[1:]
    sink = sink_for(url, outbox=Outbox(Path(path)))
    part = sink.build("webhook", 0, 1)
    part.write_batch([("gate", [alert(sequence=k) for k in range(int(count))])])
    sys.stdout.write("in the outbox\n")
    sys.stdout.flush()
    threading.Event().wait()


if __name__ == "__main__":
    main()
