#!/usr/bin/env python3
"""Asks a running flow for its health: ``sightflow-probe healthz`` or ``sightflow-probe readyz``.

Exits with 0 when the answer is yes, with 1 and the reasons when it is no. The port is that of
``metrics.port`` (SIGHTFLOW_METRICS_PORT, 9464 by default) plus the number of the process
(SIGHTFLOW_PROCESS, 0 by default).
"""

from __future__ import annotations

import http.client
import os
import sys

HOST = "127.0.0.1"
"""Where a flow answers its own probes."""

PORT = 9464
"""The port of the first process."""

TIMEOUT_SECONDS = 3.0
"""How long an answer may take, seconds."""

PROBES = ("healthz", "readyz")
"""What can be asked."""


def main(words: list[str]) -> int:
    """Ask; the exit code.

    Args:
        words: The words of the command line after the program.
    """
    if len(words) != 1 or words[0] not in PROBES:
        sys.stderr.write(f"usage: sightflow-probe {'|'.join(PROBES)}\n")
        return 2
    first, process = (
        os.environ.get(f"SIGHTFLOW_{name}", "") for name in ("METRICS_PORT", "PROCESS")
    )
    port = int(first or PORT) + int(process or 0)
    connection = http.client.HTTPConnection(HOST, port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", f"/{words[0]}")
        answer = connection.getresponse()
        told = answer.read().decode("utf-8", "replace")
    except OSError as error:
        sys.stdout.write(f"nothing answers on {HOST}:{port}: {error}\n")
        return 1
    finally:
        connection.close()
    sys.stdout.write(told)
    return 0 if answer.status == http.client.OK else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
