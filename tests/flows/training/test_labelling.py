from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from connectors.queue import RetrainingQueue
from connectors.queue_pictures import PictureSettings, take_picture
from connectors.video import VideoSettings, read_video
from flows.config.training_section import TrainingSection
from flows.training.cascade_round import CascadeKind
from flows.training.ecg_round import EcgKind
from flows.training.examples import Examples
from flows.training.labelling import picture_of
from flows.training.selecting import label_of, new_items, select
from flows.training.trainer import TrainRequest, train
from models.architecture import Architecture
from models.training import TrainSettings, train_specialised
from records import Crop, Detections, Frame, Label, RecordError
from records.retraining import HUMAN, PICTURE, REFERENCE
from tests.support.queues import item, pictured, signalled
from tests.support.training import camera, frames, item_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from connectors.queue_items import StoredItem
    from flows.training.kinds import Kind
    from tests.support.scenes import Street

SECTION = TrainingSection(model="gate", kind="cascade", items=100)
ALL_LABELS = SECTION.model_copy(
    update={"labels": ["human", "reference", "weak"], "ask_reference": False}
)
PERSON = Detections.of([[1, 1, 9, 9]], [0.9], ["person"])
BY_REFERENCE = Label(REFERENCE, boxes=PERSON)
BY_HUMAN = Label(HUMAN, boxes=PERSON)


def stored(queue: RetrainingQueue) -> Mapping[str, StoredItem]:
    return {one.item.id: one for one in queue.items()}


def test_whose_labels_count() -> None:
    with RetrainingQueue() as queue:
        weak = [item(k, label=Label("flicker", PERSON, probability=p)) for k, p in
                enumerate((0.9, 0.5, None))]  # fmt: skip
        known = item(3, label=BY_REFERENCE)
        plain = item(4)
        queue.add([(one, None) for one in (*weak, known, plain)], now_ns=0)
        queue.label({plain.id: BY_HUMAN}, now_ns=0)
        found = {name: label_of(one, ALL_LABELS) for name, one in stored(queue).items()}
        assert found == {
            weak[0].id: weak[0].label,
            weak[1].id: None,
            weak[2].id: None,
            known.id: BY_REFERENCE,
            plain.id: BY_HUMAN,
        }
        anything = ALL_LABELS.model_copy(update={"weak_at_least": 0.0})
        assert all(label_of(one, anything) for one in stored(queue).values())
        people = SECTION.model_copy(update={"labels": ["human"]})
        assert [
            name for name, one in stored(queue).items() if label_of(one, people) is not None
        ] == [plain.id]


@pytest.mark.parametrize(("kind", "unused"), [
    (CascadeKind(), {"no_picture": 2, "part_of_frame": 1, "no_label": 1}),
    (EcgKind(), {"no_signal": 3, "no_label": 1}),
])  # fmt: skip
def test_what_cannot_be_used_is_counted(kind: Kind, unused: dict[str, int]) -> None:
    with RetrainingQueue() as queue:
        whole = item_of(frames()[0][0], 7)
        queue.add([(item(1), None), pictured(2), signalled(3, label=None), whole], now_ns=0)
        found, got = new_items(queue.items(), ALL_LABELS, kind, {})
    assert (found, got) == ([], unused)


def test_people_come_first_then_the_selection(tmp_path: Path) -> None:
    with RetrainingQueue(camera(tmp_path).queue) as queue:
        ids = [one.item.id for one in queue.items()]
        queue.label(dict.fromkeys(ids[700:720], BY_HUMAN), now_ns=0)
        there = queue.items()
    found = select(there, SECTION, CascadeKind(), {}, seed=1)
    assert found.ids[:20] == tuple(ids[700:720])
    assert len(set(found.ids)) == 100
    assert found.chosen == {"human": 20, "audit_share": 8, "value": 72}
    assert found == select(there, SECTION, CascadeKind(), {}, seed=1)
    assert found != select(there, SECTION, CascadeKind(), {}, seed=2)
    # Examples are not taken again, unless people have said something else of them since.
    known = dict.fromkeys(ids, BY_REFERENCE)
    assert select(there, SECTION, CascadeKind(), known, seed=1).chosen == {"human": 20}
    for name in ("random", "uncertainty", "uniform", "bal", "all"):
        how = SECTION.model_copy(update={"select": name})
        chosen = select(there, how, CascadeKind(), {}, seed=1)
        assert len(chosen.ids) == (20 if name == "uniform" else 100)


def test_labels_become_examples_and_the_reference_is_asked_for_the_rest(tmp_path: Path) -> None:
    place = camera(tmp_path)
    with RetrainingQueue(place.queue) as queue:
        ids = [one.item.id for one in queue.items()]
        queue.remove(ids[30:])
        queue.label({ids[0]: BY_HUMAN}, now_ns=0)
        queue.add([item_of(frames()[40][0], 40, BY_REFERENCE)], now_ns=0)
    job = place.job(items=50)
    (state,) = train(job, TrainRequest(once=True), threading.Event(), lambda *_: None)
    assert state.labels == {"human": 1, "reference": 1, "asked": 29}
    with Examples(job.place) as examples:
        found = examples.labels()
        assert found[ids[0]] == BY_HUMAN
        truth = [len(there) for _, there in frames()[1:30]]
        answers = [found[one].boxes for one in ids[1:30]]
        asked = [0 if one is None else len(one) for one in answers]
        assert np.mean(np.array(asked) == truth) > 0.8
        assert examples.keep_newest(10) == 21
        assert len(examples.all()) == 10


def test_the_trainer_sees_squares_as_the_live_stage_does(scene: Street) -> None:
    """From the decoder's frame, and from the JPEG of the frame scaled down to 240 pixels."""
    live, kept, counts = [], [], []
    how = PictureSettings(side_at_most=240, quality=90)
    for frame in read_video("gate", VideoSettings(str(scene.folder / "scene.mp4"))):
        if not isinstance(frame, Frame):
            continue
        live.append(frame.pixels.rgb(64, 64))
        picture = take_picture(frame.pixels, None, how, (9, 8))
        kept.append(picture_of(picture.data, picture.crop, 64))
        counts.append(scene.truth[frame.sequence].count("person"))
    squares, stored_squares = np.stack(live), np.stack(kept)
    levels = np.abs(squares.astype(np.int16) - stored_squares)
    assert levels.mean() < 2.0
    many = np.array(counts) > np.median(counts)
    settings = TrainSettings(Architecture(), epochs=8, seconds=600)
    model = train_specialised(stored_squares, many.astype(np.int64), settings)
    apart = np.abs(model.score(squares) - model.score(stored_squares))
    assert np.median(apart) < 0.02
    assert np.quantile(apart, 0.95) < 0.2


def test_a_picture_that_is_none_is_refused() -> None:
    rgb = frames()[0][0]
    data = cv2.imencode(".jpg", rgb)[1].tobytes()
    signal = Crop("application/msgpack", "0" * 64, 4)
    with pytest.raises(RecordError, match=f"the crop must be a picture .{PICTURE}., got"):
        picture_of(data, signal)
