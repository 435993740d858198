from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from connectors.labels import ImportSettings, Refusal, cvat
from records import SightflowError
from tests.support.labels import read_json
from tests.support.queues import pictured

if TYPE_CHECKING:
    from pathlib import Path

    from connectors.labels import Imported

ENTRIES = [pictured(0), pictured(1)]
FIRST, SECOND = (one for one, _ in ENTRIES)
BOX = '<box label="person" source="manual" occluded="0" xtl="0" ytl="0" xbr="64" ybr="48"/>'


def image(inner: str, number: int = 0, width: Any = 64) -> str:
    name = (FIRST, SECOND)[number].name
    return f'<image id="{number}" name="dir/{name}.jpg" width="{width}" height="48">{inner}</image>'


def read(folder: Path, *inner: str, **settings: Any) -> Imported:
    path = folder / "back.xml"
    path.write_text("<annotations>\n" + "\n".join(inner) + "\n</annotations>")
    return cvat.read(path, [FIRST, SECOND], ImportSettings(("person", "car"), **settings))


def test_the_file_is_that_of_cvat(tmp_path: Path) -> None:
    cvat.write(tmp_path, ENTRIES[:1], ("person",))
    assert (
        (tmp_path / "annotations.xml").read_text()
        == f"""\
<?xml version='1.0' encoding='utf-8'?>
<annotations>
  <version>1.1</version>
  <meta>
    <task>
      <name>Sightflow retraining queue</name>
      <size>1</size>
      <mode>annotation</mode>
      <labels>
        <label>
          <name>person</name>
          <type>rectangle</type>
        </label>
      </labels>
    </task>
  </meta>
  <image id="0" name="{FIRST.name}.jpg" width="64" height="48">
    <box label="person" source="auto" occluded="0" xtl="5.0000" ytl="5.0000" xbr="15.0000" \
ybr="25.0000" z_order="0" />
  </image>
</annotations>"""
    )
    assert read_json(tmp_path / "labels.json") == [
        {"name": "person", "type": "rectangle", "attributes": []}
    ]


def test_boxes_that_nobody_touched_are_refused_unless_they_were_looked_at(tmp_path: Path) -> None:
    untouched = BOX.replace("manual", "auto")
    found = read(tmp_path, image(untouched), image(BOX, 1))
    assert list(found.labels) == [SECOND.id]
    assert found.refused == (
        Refusal(
            "back.xml:2",
            "must be confirmed by a person, got the source auto; accept such boxes if they were "
            "looked at",
        ),
    )
    found = read(tmp_path, image(untouched), accept_auto=True)
    assert list(found.labels) == [FIRST.id]


def test_what_is_inside_a_box_is_passed_over(tmp_path: Path) -> None:
    inner = BOX.replace("/>", '><attribute name="colour">red</attribute></box>')
    assert list(read(tmp_path, "<meta><x><box/></x></meta>", image(inner)).labels) == [FIRST.id]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (image('<polygon label="person" points="1,1;2,2;3,3"/>'),
         "must be an upright box, got 'polygon'"),
        (image(BOX.replace("/>", ' rotation="30"/>')), "must be an upright box, got 'box'"),
        (image(BOX.replace("/>", ' rotation="x"/>')), "must be an upright box, got 'box'"),
        (image(BOX.replace('xtl="0"', 'xtl="x"')),
         "must have corners in pixels, got [None, 0.0, 64.0, 48.0]"),
        (image(BOX.replace('xtl="0"', "")),
         "must have corners in pixels, got [None, 0.0, 64.0, 48.0]"),
        (image(BOX.replace("person", "dog")), "must be one of the classes person, car, got 'dog'"),
        (image(BOX, width=65), "must be 64 x 48 pixels, got 65 x 48"),
        (image(BOX, width="9" * 5000), "must be 64 x 48 pixels, got '9999"),
        ('<track id="0" label="person"/>', "must be images: export as 'CVAT for images 1.1'"),
        ('<image name="x.jpg"/>', "must be the picture of an item, got 'x.jpg'"),
        ("<image/>", "must be the picture of an item, got None"),
    ],
)  # fmt: skip
def test_what_is_refused(tmp_path: Path, line: str, problem: str) -> None:
    found = read(tmp_path, line)
    (refusal,) = found.refused
    assert refusal.place == "back.xml:2"
    assert refusal.problem.startswith(problem)
    assert found.labels == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must be XML: no element found: line 1, column 0; export it again"),
        ("<annotations>", "must be XML: no element found: line 1, column 13; export it again"),
        ("<html/>", "must be annotations of CVAT for images 1.1, got <html>"),
        (
            '<!DOCTYPE a [<!ENTITY b "bbbb">]><annotations>&b;</annotations>',
            "must have no document type; export it again",
        ),
    ],
)
def test_what_is_no_annotations_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "annotations.xml"
    path.write_text(text)
    with pytest.raises(SightflowError) as caught:
        cvat.read(tmp_path, [FIRST], ImportSettings(("person",)))
    assert str(caught.value) == f"{path} {message}"
