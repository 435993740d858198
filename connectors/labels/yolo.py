"""YOLO: ``data.yaml``, pictures in ``images/train``, one text file of boxes for each picture.

A line is ``class x y width height``: the class's number, then the box's centre and size as shares
of the picture. Labels belong into ``labels/train``; weak labels are in ``predictions/train``, with
the score as a sixth number, as predictions are written.

Format: https://docs.ultralytics.com/datasets/detect/
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import AliasEvent

from connectors.codec_fields import shown
from connectors.labels.exchange import (
    IMAGES,
    Exported,
    picture_crop,
    read_file,
    weak_boxes,
    write_file,
    write_pictures,
)
from connectors.labels.reader import Imported, ImportSettings, Reader
from records import SightflowError
from records.checks import MOST_BRACKETS, deepest_brackets

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from connectors.queue_items import Entry
    from records import Crop, RetrainingItem

DATA = "data.yaml"
"""The file of the classes and of where the pictures are."""

CLASSES = "classes.txt"
"""The file of the classes that other tools write, one a line."""

LABELS, PREDICTIONS, SPLIT = "labels", "predictions", "train"
"""The folders of labels and of weak labels, and the one in each of them."""

MOST_YAML_BYTES = 2**20
"""The largest file of classes, bytes: YAML takes much time and memory for its size."""

_FIELDS = 5
_MOST_NUMBER = 2**63


def write(folder: Path, entries: Sequence[Entry], classes: Sequence[str]) -> Exported:
    """Write pictures, classes and weak labels.

    Args:
        folder: Where to.
        entries: The items with their pictures.
        classes: The names of the classes that are to be labelled.

    Raises:
        SightflowError: a file cannot be written.
    """
    pictures, exported = write_pictures(folder / IMAGES / SPLIT, entries)
    numbers = {name: number for number, name in enumerate(classes)}
    for item, crop in pictures:
        lines = [
            f"{numbers[name]} {_shares(crop, box)} {score:.6f}\n"
            for name, box, score in weak_boxes(item, crop, classes)
        ]
        if item.label is not None:
            path = folder / PREDICTIONS / SPLIT / f"{item.name}.txt"
            write_file(path, "".join(lines).encode())
    try:
        (folder / LABELS / SPLIT).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SightflowError(f"{folder / LABELS} cannot be made: {error}") from error
    # JSON's text is YAML's as well.
    names = "".join(
        f"  {number}: {json.dumps(name, ensure_ascii=False)}\n" for name, number in numbers.items()
    )
    data = f"path: .\ntrain: {IMAGES}/{SPLIT}\nval: {IMAGES}/{SPLIT}\nnames:\n{names}"
    write_file(folder / DATA, data.encode())
    return exported


def _shares(crop: Crop, box: tuple[float, float, float, float]) -> str:
    x1, y1, x2, y2 = box
    shares = (
        (x1 + x2) / 2 / crop.width,
        (y1 + y2) / 2 / crop.height,
        (x2 - x1) / crop.width,
        (y2 - y1) / crop.height,
    )
    return " ".join(f"{share:.8f}" for share in shares)


def read(path: Path, known: Sequence[RetrainingItem], settings: ImportSettings) -> Imported:
    """Read the labels of a folder.

    Args:
        path: The folder, with ``data.yaml`` or ``classes.txt``, and ``labels``.
        known: The items that labels may be for.
        settings: How labels are read.

    Raises:
        SightflowError: a file cannot be read, or the classes are not told.
    """
    names = _names(path)
    reader = Reader(known, settings)
    files = sorted((path / LABELS).rglob("*.txt"))
    if not files:
        raise SightflowError(f"{path / LABELS} must hold a text file for each labelled picture")
    for file in files:
        if file.name == CLASSES:
            continue
        place = str(file.relative_to(path))
        item = reader.named(place, file.name)
        if item is not None:
            text = read_file(file).decode("utf-8", "replace")
            for number, line in enumerate(text.splitlines(), 1):
                if line.strip():
                    _read_line(f"{place}:{number}", item, line.split(), names, reader)
    return reader.finish()


def _read_line(
    place: str, item: RetrainingItem, words: list[str], names: dict[int, str], reader: Reader
) -> None:
    try:
        number, shares = int(words[0]), [float(word) for word in words[1:]]
    except ValueError:
        number, shares = -1, []
    if len(words) != _FIELDS or len(shares) != _FIELDS - 1:
        line = shown(" ".join(words))
        reader.refuse(place, f"must be class, x, y, width and height, got {line}", item)
        return
    crop = picture_crop(item)
    if crop is None:
        reader.refuse(place, "must be of an item with a picture", item)
        return
    x, y, width, height = shares
    corners = (
        (x - width / 2) * crop.width,
        (y - height / 2) * crop.height,
        (x + width / 2) * crop.width,
        (y + height / 2) * crop.height,
    )
    reader.box(place, item, names.get(number, number), corners)


def _read_yaml(path: Path) -> Any:  # noqa: ANN401 - whatever is in the file
    """Read YAML without aliases: small files of them can stand for more than memory holds."""
    data = read_file(path, MOST_YAML_BYTES)
    if deepest_brackets(data.decode("utf-8", "replace")) > MOST_BRACKETS:
        raise SightflowError(f"{path} must be YAML: it is nested too deeply")
    try:
        if any(isinstance(each, AliasEvent) for each in YAML(typ="safe", pure=True).parse(data)):
            raise SightflowError(f"{path} must hold no aliases (*name); write the values out")
        return YAML(typ="safe", pure=True).load(data)
    except (YAMLError, RecursionError, ValueError, TypeError, AttributeError, LookupError) as error:
        # The parser raises plain Python errors for some broken scalars and tags.
        raise SightflowError(f"{path} must be YAML: {error}") from error


def _is_name(value: object) -> bool:
    """Whether this may be a class's name: a text, or a number that YAML made of one."""
    return isinstance(value, str) or (isinstance(value, int) and abs(value) < _MOST_NUMBER)


def _names(path: Path) -> dict[int, str]:
    """The name of each class by its number."""
    data = path / DATA
    if data.is_file():
        found = _read_yaml(data)
        names = found.get("names") if isinstance(found, dict) else None
        if isinstance(names, list):
            names = dict(enumerate(names))
        if isinstance(names, dict):
            named = {key: name for key, name in names.items() if isinstance(key, int)}
            if all(map(_is_name, named.values())):
                return {key: str(name) for key, name in named.items()}
        raise SightflowError(f"{data} must have names, a list or a map from numbers, of texts")
    for file in (path / CLASSES, path / LABELS / CLASSES):
        if file.is_file():
            lines = read_file(file).decode("utf-8", "replace").splitlines()
            return dict(enumerate(line.strip() for line in lines))
    raise SightflowError(f"{path} must hold {DATA} or {CLASSES}, which name the classes")
