"""Targets: files of recordings and labels."""

from __future__ import annotations

import gzip
import io
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from connectors.labels import LABEL_FILES, ImportSettings, LabelFormat
from connectors.lidar import ScanSettings, read_camera_boxes, read_scans
from connectors.lidar_calibration import read_calibration
from connectors.lidar_labels import read_labels
from connectors.wfdb_record import MOST_SAMPLES, WfdbRecord
from flows.evaluate.traces import read_presence, read_trace
from flows.evaluate.truth_files import read_mot_boxes
from records import Reading, SourceError
from tests.fuzz.mutation import Form
from tests.fuzz.target import Target
from tests.support.labels import confirm
from tests.support.queues import pictured, signalled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.fuzz.target import Read

ENTRIES = [pictured(0), pictured(1), signalled(2)]
"""The items whose labels come back."""

KNOWN = [item for item, _ in ENTRIES]
CLASSES = ImportSettings(("person", "car", "N"))
_READ_AT_ONCE = 1000
_FORMATS = (16, 32, 80, 212)
_HEADER = (
    b"gate 2 300/5 400 12:00:00.5 1/02/2000\n# comment\n"
    b"s.dat 16+24 1000.5(-3)/mV 16 0 0 0 0 lead I\ns.dat 16+24 200/mV 16 0 0 0 0 lead II\n"
)
_DATA = bytes(24) + np.arange(-400, 400, dtype="<i2").tobytes()
_LABEL = b"3 7 Car 0 1 -1.79 100 160 180 210 1.5 1.6 3.9 -4.5 1.8 13.4 -2.1\n"
_SCAN = b"0,2,100,150,200,250,0.0,1.5,1.6,4.0,-4.5,1.5,13.5,0.25,-1.7\n"
_CALIBRATION = (
    b"P2: 721.5 0 609.5 44.8 0 721.5 172.8 0.2 0 0 1 0.002\nR0_rect: 1 0 0 0 1 0 0 0 1\n"
    b"Tr_velo_to_cam: 0 -1 0 0 0 0 -1 0 1 0 0 0\n"
)
_MOT = b"1,9,499,158,31,75.5,1,-4.1,-7.3,0\n2,9,500,158,31,75.5,0.5,-1,-1,-1\n"


def _record(folder: Path) -> None:
    """Read a record as its source does, the first block of it."""
    record = WfdbRecord(folder / "gate")
    count = min(_READ_AT_ONCE, MOST_SAMPLES // len(record.channels))
    samples = record.read(0, count)
    Reading("ecg", 0, 0, record.header.rate_hz, samples, record.channels, record.units)
    record.read(record.samples, count)


def _wfdb_header(data: bytes, folder: Path) -> None:
    (folder / "s.dat").write_bytes(_DATA)
    (folder / "gate.hea").write_bytes(data)
    _record(folder)


def _wfdb_samples(data: bytes, folder: Path) -> None:
    (folder / "s.dat").write_bytes(data)
    number = _FORMATS[len(data) % len(_FORMATS)]
    lines = f"s.dat {number} 200\n" * 2
    (folder / "gate.hea").write_text(f"gate 2 300\n{lines}", encoding="utf-8")
    _record(folder)


def _written(name: str, read: Callable[[Path], object]) -> Callable[[bytes, Path], None]:
    def written(data: bytes, folder: Path) -> None:
        (folder / name).write_bytes(data)
        read(folder / name)

    return written


def _array(values: list[float]) -> bytes:
    file = io.BytesIO()
    np.save(file, np.array(values))
    return file.getvalue()


def _exports(form: LabelFormat, name: str, form_of: Form) -> Target:
    """A label format's reader; the file called `name` is the one that is damaged."""

    @contextmanager
    def opened(folder: Path) -> Iterator[Read]:
        LABEL_FILES[form].write(folder, ENTRIES, CLASSES.classes)
        where = confirm(form, folder)
        damaged = folder / name if where.is_dir() else where

        def read(data: bytes) -> None:
            damaged.write_bytes(data)
            LABEL_FILES[form].read(where, KNOWN, CLASSES)

        yield read

    return Target(
        f"labels from {form} ({name})",
        _SAMPLES[name],
        opened,
        form_of,
        (b"person", b"image", b"box", b'<!DOCTYPE a [<!ENTITY b "c">]>', b"&b;", b"<image", b"/>"),
    )


_ITEM = KNOWN[0]
_COCO = {
    "images": [{"id": 1, "file_name": f"{_ITEM.name}.jpg", "width": 64, "height": 48}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [5.0, 5.0, 10.0, 20.0]}],
    "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "car"}],
}
_BOX = {"x": 10.0, "y": 10.0, "width": 20.0, "height": 20.0, "rotation": 0}
_RESULT = {
    "type": "rectanglelabels", "original_width": 64, "original_height": 48,
    "value": _BOX | {"rectanglelabels": ["person"]},
}  # fmt: skip
_TASKS = [
    {
        "data": {"item": _ITEM.id},
        "annotations": [{"result": [_RESULT], "updated_at": "2026-05-01", "was_cancelled": False}],
    },
    {
        "data": {"item": KNOWN[2].id},
        "annotations": [{"result": [{"type": "choices", "value": {"choices": ["N"]}}]}],
    },
]
_CVAT = (
    f'<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>\n'
    f'<image id="0" name="{_ITEM.name}.jpg" width="64" height="48">\n'
    '<box label="person" source="manual" occluded="0" xtl="1.5" ytl="0" xbr="60" ybr="48"/>\n'
    "</image></annotations>"
)
_SAMPLES: dict[str, list[bytes]] = {
    "annotations.json": [json.dumps(_COCO).encode()],
    "tasks.json": [json.dumps(_TASKS).encode()],
    "annotations.xml": [_CVAT.encode()],
    "data.yaml": [b"path: .\nnames:\n  0: person\n  1: car\n", b"names: [person, car]\n"],
    f"labels/train/{_ITEM.name}.txt": [b"0 0.5 0.5 0.25 0.5\n1 0.1 0.1 0.1 0.1\n"],
}

TARGETS = (
    Target.of("wfdb headers", [_HEADER], _wfdb_header, Form.TEXT, (b"212", b"80", b"32"),
              (SourceError,)),
    Target.of("wfdb samples", [_DATA], _wfdb_samples, errors=(SourceError,)),
    Target.of("lidar scans", [_SCAN * 2], _written("s.txt", lambda path: read_scans(
        path, ScanSettings("roof"))), Form.TEXT, errors=(SourceError,)),
    Target.of("lidar camera boxes", [b"0,1,2,3,4,0.5\n"], _written("c.txt", read_camera_boxes),
              Form.TEXT, errors=(SourceError,)),
    Target.of("lidar calibrations", [_CALIBRATION], _written("k.txt", lambda path: read_calibration(
        path, 1242, 375)), Form.TEXT, errors=(SourceError,)),
    Target.of("kitti labels", [_LABEL], _written("l.txt", read_labels), Form.TEXT,
              errors=(SourceError,)),
    Target.of("mot boxes", [_MOT], _written("m.txt", lambda path: read_mot_boxes(path, "person")),
              Form.TEXT, errors=(SourceError,)),
    Target.of("traces", [b"1\n0.5\n2e3\n"], _written("t.txt", read_trace), Form.TEXT,
              errors=(SourceError,)),
    Target.of("traces of counts", [b"1\n0\n-3\n"], _written("n.txt", read_presence), Form.TEXT,
              errors=(SourceError,)),
    Target.of("traces in gzip", [gzip.compress(b"1\n0\n2\n" * 20, mtime=0)],
              _written("t.gz", read_trace), errors=(SourceError,)),
    Target.of("traces in npy", [_array([1.0, 2.0, 0.5])], _written("t.npy", read_trace),
              errors=(SourceError,)),
    _exports(LabelFormat.COCO, "annotations.json", Form.JSON),
    _exports(LabelFormat.LABEL_STUDIO, "tasks.json", Form.JSON),
    _exports(LabelFormat.CVAT, "annotations.xml", Form.TEXT),
    _exports(LabelFormat.YOLO, "data.yaml", Form.TEXT),
    _exports(LabelFormat.YOLO, f"labels/train/{_ITEM.name}.txt", Form.TEXT),
)  # fmt: skip
"""The targets of this module."""
