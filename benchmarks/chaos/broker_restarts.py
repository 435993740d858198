"""The broker goes away 20 times at 1000 messages a second: nothing is lost.

Detections come at 1000 a second; ``sightflow run`` reads them and writes its verdicts to another
topic of the same broker. The broker is away 20 times: its clients lose their connections with
requests under way (see `benchmarks.chaos.relay`), and a new process of the broker goes on with its
data.

The tests' broker has two faults of its own, which shape what can be tried with it:

- It forgets an open transaction when it is stopped, and still says yes to the commit that comes
  then. So with transactions the connections are cut 20 times, and the broker goes on.
- It does not force messages to the disk one by one: when it is killed (SIGKILL), it loses what it
  had acknowledged. That is done besides, and counted apart: what the broker lost is not
  Sightflow's to keep, but it must be told of.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.chaos.bars import Row, Trial, wait_for
from benchmarks.chaos.flow import TopicFlow
from benchmarks.chaos.messages import KINDS, Feeder, detection_id, ends, running_broker, written
from benchmarks.chaos.relay import HOST, Relay
from tests.support.kafka_broker import create, read

if TYPE_CHECKING:
    from collections.abc import Callable

    from connectors.kafka import KafkaSettings
    from tests.support.kafka_broker import Broker

RATE_HZ = 1000
"""Messages a second."""

UP_SECONDS = (1.0, 3.0)
"""How long the broker is there between two times that it is away, seconds."""

REST_SECONDS = 0.3
"""How long the broker comes to rest behind the relay before it is stopped, seconds."""

RESTARTS, QUICK_RESTARTS = 20, 3
"""How often the broker is away."""

KILLS, QUICK_KILLS = 5, 2
"""How often it is killed, besides."""

QUIET_SECONDS = 30.0
"""When nothing more has come for so long, no more is waited for, seconds."""

PARTITIONS = 2
"""Of each topic."""


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What was sent, what the broker kept of it, and what became of that.

    Attributes:
        acknowledged: The ids of what the broker said it had.
        kept: The ids of what it has at the end.
        out: The ids of the verdicts, and how often each is there.
        missing: How many messages the run said did not come.
        failures: How often the run failed, and was started again.
    """

    acknowledged: frozenset[str]
    kept: frozenset[str]
    out: Counter[str]
    missing: int
    failures: int

    @property
    def unwritten(self) -> int:
        """How many the broker has that no verdict was written of."""
        return len(self.kept - self.out.keys())

    @property
    def doubles(self) -> int:
        """How many verdicts are there again, with the same id."""
        return self.out.total() - len(self.out)


def bars(trial: Trial) -> list[Row]:
    """Restarts, cut connections, and then a broker that loses what it acknowledged."""
    times = trial.size(RESTARTS, QUICK_RESTARTS)
    restarted = _drive(trial, "restarted", times, _restart, transactions=False)
    cut = _drive(trial, "cut", times, _cut, transactions=True)
    return [
        _row(restarted, f"broker restarted {times} times at {RATE_HZ} messages/s", doubles=True),
        _row(cut, f"connections cut {times} times, with transactions", doubles=False),
        _kills(trial, trial.size(KILLS, QUICK_KILLS)),
    ]


def _row(found: _Outcome, bar: str, *, doubles: bool) -> Row:
    lost = len(found.acknowledged - found.out.keys())
    unknown = len(found.out.keys() - found.kept)
    return Row(
        bar,
        f"{lost} of {len(found.acknowledged)} lost, {found.doubles} doubles by id",
        "0 lost, doubles removable by id" if doubles else "0 lost, 0 doubles",
        lost == unknown == found.unwritten == 0 and (doubles or not found.doubles),
        _figures(found) | {"lost": lost, "unknown": unknown},
    )


def _cut(_: Broker, relay: Relay) -> None:
    relay.cut()
    time.sleep(REST_SECONDS)
    relay.mend()


def _restart(broker: Broker, relay: Relay) -> None:
    relay.cut()
    time.sleep(REST_SECONDS)
    broker.stop()
    broker.start()
    relay.mend()


def _kills(trial: Trial, times: int) -> Row:
    found = _drive(trial, "killed", times, _kill, transactions=False)
    by_broker = len(found.acknowledged - found.kept)
    absent = len(found.acknowledged - found.out.keys())
    untold = max(absent - found.missing, 0)
    return Row(
        f"broker killed {times} times, and loses what it acknowledged",
        f"{by_broker} lost by the broker, {absent} without verdict, {found.missing} told missing, "
        f"{found.failures} failures of the run",
        "never silent",
        untold == 0 or found.failures > 0,
        _figures(found) | {"lost_by_broker": by_broker, "absent": absent, "untold": untold},
    )


def _kill(broker: Broker, _: Relay) -> None:
    broker.kill()
    broker.start()


def _figures(found: _Outcome) -> dict[str, int]:
    return {
        "acknowledged": len(found.acknowledged),
        "kept_by_broker": len(found.kept),
        "unwritten": found.unwritten,
        "doubles": found.doubles,
        "missing_told": found.missing,
        "failures_of_the_run": found.failures,
    }


def _drive(
    trial: Trial,
    name: str,
    times: int,
    away: Callable[[Broker, Relay], None],
    *,
    transactions: bool,
) -> _Outcome:
    """Feed a run while its broker is away again and again; see that all comes through."""
    folder = trial.folder / name
    folder.mkdir()
    chance = random.Random(trial.seed)  # noqa: S311 - when the broker is away
    with running_broker(folder) as broker, Relay(broker.port) as relay:
        server = [f"{HOST}:{relay.port}"]
        source = broker.settings(bootstrap_servers=server)
        target = broker.settings(bootstrap_servers=server)
        (topic,) = create(source, "detections", partitions=PARTITIONS)
        create(target, *KINDS, partitions=PARTITIONS)
        with TopicFlow(folder / "flow", topic, target, transactions=transactions) as flow:
            feeder = Feeder(source, topic, RATE_HZ)
            wait_for(lambda: ends(target, target.topic("detections")) > 0, "the first verdict")
            for _ in range(times):
                time.sleep(chance.uniform(*UP_SECONDS))
                away(broker, relay)
                flow.keep()
            time.sleep(UP_SECONDS[0])
            feeder.end()
            kept = _kept(source, topic)
            _settle(flow, target, kept)
            flow.end()
            out = _verdicts(target)
            return _Outcome(
                frozenset(map(detection_id, feeder.acknowledged)), kept, out,
                flow.missing(), flow.starts - 1,
            )  # fmt: skip


def _kept(settings: KafkaSettings, topic: str) -> frozenset[str]:
    """The ids of the messages that a topic has."""
    values = (json.loads(message.value) for message in read(settings, topic))
    return frozenset(f"{value['stream']}:{value['sequence']}" for value in values)


def _verdicts(target: KafkaSettings) -> Counter[str]:
    """The ids of the verdicts; those of events have another part."""
    ids = written(target, target.topic("detections"))
    return Counter(each for each in ids if each.count(":") == 1)


def _settle(flow: TopicFlow, target: KafkaSettings, kept: frozenset[str]) -> None:
    """Wait until all is written, or nothing more comes."""
    since, before = time.monotonic(), -1
    while time.monotonic() - since < QUIET_SECONDS:
        flow.keep()
        out = _verdicts(target)
        if kept <= out.keys():
            return
        if len(out) != before:
            since, before = time.monotonic(), len(out)
        time.sleep(1.0)
