"""Runs items through a real dataflow into one sink."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSource, cluster_main, run_main

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bytewax.outputs import Sink


def run_into(
    sink: Sink[Any], items: Sequence[Any], *, workers: int = 1, recovery: Path | None = None
) -> None:
    """Run a dataflow that hands each item to `sink`.

    Args:
        sink: The sink under test.
        items: The items, one each a batch; TestingSource.ABORT() among them kills the flow there.
        workers: How many workers share the work.
        recovery: A folder for recovery, made if it is not there; every item ends an epoch.
    """
    flow = Dataflow("into")
    op.output("sink", op.input("items", flow, TestingSource(items)), sink)
    if workers > 1:
        cluster_main(flow, [], 0, worker_count_per_proc=workers)
    elif recovery is None:
        run_main(flow)
    else:
        if not recovery.is_dir():
            recovery.mkdir()
            init_db_dir(recovery, 1)
        config = RecoveryConfig(str(recovery))
        run_main(flow, epoch_interval=timedelta(0), recovery_config=config)
