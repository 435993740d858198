"""Groups of processes: results, and how a group ends when one of it does."""

from __future__ import annotations

import multiprocessing

import pytest

from models.soap.plan import data_parallel
from models.soap.ranks import Ranks, RankSettings
from records import RecordError, SightflowError
from tests.support.rank_tasks import add, dawdle, refuse
from tests.support.soap import die_in_training, graph_of, remember


def test_a_dead_rank_ends_the_job() -> None:
    plan = data_parallel(graph_of("perceptron"), 2)
    with Ranks(RankSettings(2)) as ranks:
        assert ranks.run(add, 5) == [5, 6]
        ranks.run(remember, "perceptron", graph_of("perceptron"))
        with pytest.raises(SightflowError) as caught:
            ranks.run(die_in_training, "perceptron", plan.to_json(), 1)
        assert str(caught.value) == (
            "rank 1 must run until it has answered, but ended with exit code 7. The others were "
            "stopped. See its output for the cause, and start the ranks again"
        )
        assert multiprocessing.active_children() == []
        with pytest.raises(SightflowError) as caught:
            ranks.run(add, 5)
        assert str(caught.value) == (
            "the ranks must be running, but they were stopped. Start others"
        )


def test_an_error_of_a_rank_is_told() -> None:
    with Ranks(RankSettings(1)) as ranks, pytest.raises(SightflowError) as caught:
        ranks.run(refuse)
    assert str(caught.value) == "rank 0 failed: records.errors.RecordError: no work for 0"


def test_a_rank_that_takes_too_long_is_stopped() -> None:
    with Ranks(RankSettings(2, task_seconds=5)) as ranks, pytest.raises(SightflowError) as caught:
        ranks.run(dawdle)
    assert str(caught.value) == "ranks [1] took more than 5 s and were stopped"


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"count": 0}, "count must be in 1..64, got 0"),
        ({"count": 1, "threads": 0}, "threads must be at least 1, got 0"),
        ({"count": 1, "task_seconds": float("nan")}, "task_seconds must be above 0, got nan"),
        ({"count": 1, "backend": "mpi"}, "backend must be gloo or nccl, got 'mpi'"),
    ],
)
def test_settings_out_of_range(fields: dict[str, object], complaint: str) -> None:
    with pytest.raises(RecordError) as caught:
        RankSettings(**fields)  # type: ignore[arg-type]  # the point of the test
    assert str(caught.value) == complaint
