"""What all formats keep: pictures, sizes, classes and boxes go out and come back as they were."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.labels import LABEL_FILES, ImportSettings, LabelFormat
from records import Crop, Detections, Label, RecordError, SightflowError
from records.retraining import HUMAN, PICTURE
from tests.support.labels import confirm
from tests.support.queues import item, picture, pictured
from tests.support.records import repeatable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from connectors.labels import Imported
    from connectors.queue_items import Entry

CLASSES = ("person", 'ca"r & <b>', "café")
SETTINGS = ImportSettings(CLASSES)
FORMATS = list(LabelFormat)
PICTURE_BYTES = picture()


def entry(number: int, label: Label | None, region: tuple[float, ...]) -> Entry:
    digest = hashlib.sha256(PICTURE_BYTES).hexdigest()
    crop = Crop(PICTURE, digest, len(PICTURE_BYTES), 64, 48, region)  # type: ignore[arg-type]  # four
    return item(number, "gate/é 1", crop=crop, label=label), PICTURE_BYTES


def known(entries: Sequence[Entry]) -> list[Any]:
    return [one for one, _ in entries]


@st.composite
def labelled(draw: st.DrawFn) -> list[Entry]:
    """Pictures of parts of frames, with boxes of two pixels or more in them."""
    made = []
    for number in range(draw(st.integers(1, 3))):
        left, top = draw(st.floats(-50, 2000)), draw(st.floats(0, 2000))
        across, down = draw(st.floats(32, 2000)), draw(st.floats(32, 2000))
        boxes = []
        for _ in range(draw(st.integers(1, 4))):
            x1, y1 = draw(st.floats(0, 0.9)), draw(st.floats(0, 0.9))
            x2, y2 = draw(st.floats(x1 + 0.05, 1)), draw(st.floats(y1 + 0.05, 1))
            boxes.append([left + x1 * across, top + y1 * down, left + x2 * across, top + y2 * down])
        names = [draw(st.sampled_from(CLASSES)) for _ in boxes]
        scores = [draw(st.floats(0, 1, width=32)) for _ in boxes]
        label = Label("flicker", boxes=Detections.of(boxes, scores, names), probability=0.5)
        made.append(entry(number, label, (left, top, left + across, top + down)))
    return made


def round_trip(form: LabelFormat, entries: list[Entry]) -> Imported:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        done = LABEL_FILES[form].write(folder, entries, CLASSES)
        assert done.written == tuple(one.id for one, _ in entries)
        assert done.skipped == {}
        return LABEL_FILES[form].read(confirm(form, folder), known(entries), SETTINGS)


@repeatable
@given(labelled(), st.sampled_from(FORMATS))
def test_boxes_go_out_and_come_back(entries: list[Entry], form: LabelFormat) -> None:
    found = round_trip(form, entries)
    assert found.refused == ()
    assert list(found.labels) == [one.id for one, _ in entries]
    for one, _ in entries:
        assert one.label is not None
        assert one.crop is not None
        assert one.crop.region is not None
        label, want = found.labels[one.id], one.label.boxes
        assert want is not None
        assert label.boxes is not None
        assert (label.source, label.probability) == (HUMAN, None)
        assert label.boxes.classes == want.classes
        assert (label.boxes.scores == 1).all()
        # Four digits of a picture's pixel, and what float32 holds of a frame's.
        pixel = max(np.subtract(one.crop.region[2:], one.crop.region[:2]) / (64, 48))
        assert np.abs(label.boxes.boxes - want.boxes).max() <= 1e-4 * pixel + 1e-3


@pytest.mark.parametrize("form", FORMATS)
def test_weak_labels_alone_are_no_labels(form: LabelFormat, tmp_path: Path) -> None:
    entries = [pictured(0)]
    LABEL_FILES[form].write(tmp_path, entries, CLASSES)
    if form is LabelFormat.YOLO:
        with pytest.raises(SightflowError) as caught:
            LABEL_FILES[form].read(tmp_path, known(entries), SETTINGS)
        labels = tmp_path / "labels"
        assert str(caught.value) == f"{labels} must hold a text file for each labelled picture"
        return
    path = tmp_path / "tasks.json" if form is LabelFormat.LABEL_STUDIO else tmp_path
    found = LABEL_FILES[form].read(path, known(entries), SETTINGS)
    assert found.labels == {}
    if form is not LabelFormat.CVAT:
        assert (found.unlabelled, found.refused) == ((entries[0][0].id,), ())


@pytest.mark.parametrize("form", FORMATS)
def test_boxes_are_cut_at_the_picture_and_others_left_out(
    form: LabelFormat,
) -> None:
    boxes = Detections.of(
        [[90, 60, 120, 90], [0, 0, 90, 40], [150, 60, 160, 90], [150, 60, 170, 90]],
        [0.5] * 4,
        ["person", "person", "zebra", "café"],
    )
    label = Label("flicker", boxes=boxes)
    found = round_trip(form, [entry(0, label, (100, 50, 228, 146))])
    (got,) = found.labels.values()
    assert got.boxes is not None
    assert got.boxes.classes == ("person", "café")
    assert np.allclose(got.boxes.boxes, [[100, 60, 120, 90], [150, 60, 170, 90]], atol=1e-2)


@pytest.mark.parametrize("form", FORMATS)
def test_items_without_pictures_are_skipped_with_the_reason(
    form: LabelFormat, tmp_path: Path
) -> None:
    whole = pictured(1)
    damaged, _ = pictured(2)
    done = LABEL_FILES[form].write(tmp_path, [(item(0), None), whole, (damaged, None)], CLASSES)
    reason = "no picture"
    if form is LabelFormat.LABEL_STUDIO:
        reason = "no picture and no signal"
    assert done.written == (whole[0].id,)
    assert done.skipped == {item(0).id: reason, damaged.id: reason}
    (path,) = tmp_path.rglob("*.jpg")
    assert (path.name, path.read_bytes()) == (f"{whole[0].name}.jpg", whole[1])


@pytest.mark.parametrize("form", FORMATS)
def test_a_folder_that_cannot_be_written_is_told(form: LabelFormat, tmp_path: Path) -> None:
    (tmp_path / "images").write_text("a file, no folder")
    with pytest.raises(SightflowError) as caught:
        LABEL_FILES[form].write(tmp_path, [pictured(0)], CLASSES)
    assert str(caught.value).startswith(f"{tmp_path / 'images'}")
    assert str(caught.value).endswith("; check the free space and the permissions there")


def test_classes_are_needed_to_read() -> None:
    with pytest.raises(RecordError) as caught:
        ImportSettings(())
    assert str(caught.value) == "classes must be at least one, got none"
    with pytest.raises(RecordError) as caught:
        replace(SETTINGS, classes=("a:b",))
    assert str(caught.value).startswith("a class must be 1 to 200 printable characters")
