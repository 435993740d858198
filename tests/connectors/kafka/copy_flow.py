"""A flow that a test kills: copies readings from one topic to another, slowly.

Arguments: the broker, the prefix of the topics read, that of those written, the folder for
recovery, and whether to use transactions.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from datetime import timedelta

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig
from bytewax.testing import run_main

from connectors.kafka import (
    KafkaSettings,
    KafkaSink,
    KafkaSinkSettings,
    KafkaSource,
    KafkaSourceSettings,
    Records,
    kafka_input,
)

BATCH_SECONDS = 0.005
EPOCH = timedelta(milliseconds=40)


def slowly(records: Records) -> Records:
    time.sleep(BATCH_SECONDS)
    return records


def main(server: str, source: str, target: str, recovery: str, transactions: str) -> None:
    settings = KafkaSettings([server], topic_prefix=source, delivery_timeout_seconds=40)
    wanted = KafkaSourceSettings(
        {settings.topic("readings"): None}, end="latest", readers=2, batch_messages=3
    )
    flow = Dataflow("copy")
    records = kafka_input("kafka", flow, KafkaSource(settings, wanted)).records
    sink = KafkaSink(
        replace(settings, topic_prefix=target),
        KafkaSinkSettings(
            "copy", transactions=transactions == "yes", writers=1 if transactions == "yes" else 2
        ),
    )
    op.output("sink", op.map_value("slowly", records, slowly), sink)
    run_main(flow, epoch_interval=EPOCH, recovery_config=RecoveryConfig(recovery))


if __name__ == "__main__":
    main(*sys.argv[1:])
