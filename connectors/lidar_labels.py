"""Labels as KITTI's tracking benchmark writes them: the truth of camera and ranging sensor.

One object a line, parted by blanks: frame, track, type, truncation, occlusion, alpha, the box in
the image, height, width, length, x, y, z, yaw (Geiger et al., CVPR 2012, development kit of the
tracking benchmark). Type DontCare marks a region in which nothing is labelled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from connectors.lidar_files import FileFaults, check_corners, frame_of, number_of, read_rows
from records import UNTRACKED, RecordError

if TYPE_CHECKING:
    from pathlib import Path

DONT_CARE = "DontCare"
"""The type of a region in which objects may be without a label."""

COLUMNS = (
    "frame", "track", "type", "truncation", "occlusion", "alpha", "x1", "y1", "x2", "y2",
    "height", "width", "length", "x", "y", "z", "yaw",
)  # fmt: skip
"""The columns of a line; a score may follow, as in results, and is not read."""


@dataclass(frozen=True, slots=True)
class Label:
    """One labelled object, or a region that is not labelled.

    Attributes:
        frame: The frame, counted from 0.
        track: The object's number in the recording; -1 for none.
        kind: Car, Van, Pedestrian … or DontCare.
        truncation: How far it leaves the image: 0 not, 1 partly, 2 largely.
        occlusion: 0 visible, 1 partly covered, 2 largely covered, 3 unknown.
        box: Corners x1, y1, x2, y2 in the image, pixels.
        solid: Height, width, length, x, y, z, yaw, as in `RangeBoxes.solids`, metres and radians.
    """

    frame: int
    track: int
    kind: str
    truncation: float
    occlusion: float
    box: tuple[float, float, float, float]
    solid: tuple[float, ...]


def read_labels(path: Path) -> tuple[list[Label], FileFaults]:
    """Read a file of labels, in its order.

    Raises:
        SourceError: the file cannot be read, or is too large.
    """
    return read_rows(path, parse_label)


def parse_label(line: str) -> Label:
    """Read one line.

    Raises:
        RecordError: it is no label.

    >>> label = parse_label("3 7 Car 0 1 -1.79 100 160 180 210 1.5 1.6 3.9 -4.5 1.8 13.4 -2.1")
    >>> label.frame, label.kind, label.box, label.solid[5]
    (3, 'Car', (100.0, 160.0, 180.0, 210.0), 13.4)
    """
    words = line.split()
    if len(words) not in (len(COLUMNS), len(COLUMNS) + 1):
        raise RecordError(f"must have {len(COLUMNS)} fields, got {len(words)}")
    fields = {
        name: number_of(name, word)
        for name, word in zip(COLUMNS, words, strict=False)
        if name != "type"
    }
    x1, y1, x2, y2 = (fields[name] for name in ("x1", "y1", "x2", "y2"))
    check_corners(x1, y1, x2, y2)
    track = fields["track"]
    if track != int(track) or not UNTRACKED <= track < 2**53:
        raise RecordError(f"track must be a whole number of at least -1, got {track:g}")
    return Label(
        frame=frame_of(fields["frame"]),
        track=int(track),
        kind=words[COLUMNS.index("type")],
        truncation=fields["truncation"],
        occlusion=fields["occlusion"],
        box=(x1, y1, x2, y2),
        solid=tuple(fields[name] for name in COLUMNS[COLUMNS.index("height") :]),
    )
