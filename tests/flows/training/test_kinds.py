from __future__ import annotations

from typing import TYPE_CHECKING

from connectors.queue import RetrainingQueue
from flows.training.cascade_round import CascadeKind
from flows.training.examples import Examples
from flows.training.kinds import RoundData, examples_for, training_examples
from flows.training.split import Part
from records import Detections, Label
from records.retraining import HUMAN
from tests.support.training import camera

if TYPE_CHECKING:
    from pathlib import Path

EVERY = 20
"""Of the queue's frames every so many are examples."""


def test_after_an_alarm_only_what_came_since_is_held_out_and_all_is_trained_on(
    tmp_path: Path,
) -> None:
    place = camera(tmp_path)
    job = place.job()
    job.place.mkdir(parents=True)
    label = Label(HUMAN, boxes=Detections.empty(("person",)))
    with Examples(job.place) as examples:
        with RetrainingQueue(place.queue) as live:
            chosen = [one.item for one in live.items()[::EVERY]]
            examples.add([((one, live.crop(one.id)), label) for one in chosen], 0)
        middle_ns = chosen[len(chosen) // 2].time_ns
        before = RoundData(job, examples, frozenset(), tmp_path, None, 0)
        since = RoundData(job, examples, frozenset(), tmp_path, None, 0, {"gate": middle_ns})
        kind = CascadeKind()
        for part in Part:
            every = examples_for(before, kind, part)
            late = [one for one in every if one.item.time_ns >= middle_ns]
            assert 0 < len(late) < len(every)
            wanted = every if part is Part.TRAIN else late
            assert examples_for(since, kind, part) == wanted
        assert training_examples(since, kind) == training_examples(before, kind)
