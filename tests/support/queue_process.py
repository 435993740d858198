"""A process that fills a queue until it is killed: FILE, [BYTES].

It writes the id of each item to standard output when it is in the queue. With BYTES, files may
grow to that size and no further: then it writes ``refused REASON`` and ends at the first refusal.
"""

from __future__ import annotations

import resource
import signal
import sys
from pathlib import Path

from connectors.queue import RetrainingQueue
from tests.support.queues import pictured


def main() -> None:
    path = Path(sys.argv[1])
    if len(sys.argv) > 2:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        most = int(sys.argv[2])
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    with RetrainingQueue(path) as queue:
        number = 0
        while True:
            entry = pictured(number)
            done = queue.add([entry], now_ns=number)
            if done.refused:
                sys.stdout.write(f"refused {done.refused[0][1]}\n")
                return
            sys.stdout.write(f"{entry[0].id}\n")
            sys.stdout.flush()
            number += 1


if __name__ == "__main__":
    main()
