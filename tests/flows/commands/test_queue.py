from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from connectors.labels import LabelFormat
from connectors.queue import RetrainingQueue
from flows.cli import main
from records import Flag, Origin
from tests.support.labels import confirm, read_json, write_json
from tests.support.queues import item, pictured, signalled

if TYPE_CHECKING:
    from pathlib import Path

ENTRIES = [
    *(
        pictured(k, flags=(Flag("flicker", 1.0 + k, f"e{k}"),), propensity=1.0) for k in range(4)
    ),
    *(
        pictured(k, origins=(Origin.RANDOM,), flags=(), propensity=0.01, label=None)
        for k in range(4, 8)
    ),
]  # fmt: skip


def call(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main([str(word) for word in words])
    out, err = capsys.readouterr()
    code = caught.value.code
    return (code if isinstance(code, int) else 0), out, err


def call_json(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, dict[str, Any]]:
    code, out, _ = call(capsys, *words, "--json")
    return code, json.loads(out)


@pytest.fixture
def queue(tmp_path: Path) -> Path:
    path = tmp_path / "queue.sqlite3"
    with RetrainingQueue(path) as opened:
        opened.add(ENTRIES, 0)
    return path


def test_list(queue: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = call_json(capsys, "queue", "list", queue, "--last", 1)
    shown = found.pop("items")
    assert (code, found) == (
        0,
        {"ok": True, "total": 8, "states": {"waiting": 8}, "tally": {"added": 8}, "classes": []},
    )
    (one,) = shown
    assert one["id"] == item(7).id
    assert (one["state"], one["added"]) == ("waiting", "1970-01-01T00:00:00.000000000Z")
    assert (one["propensity"], one["human_label"]) == (0.01, None)
    code, out, err = call(capsys, "queue", "list", queue, "--last", 5)
    assert code == 0
    assert "right with 0.75" in out
    assert "8 added" in out
    assert err == "3 earlier ones are not shown; say --last 0 for all\n"
    assert call_json(capsys, "queue", "list", queue, "--stream", "roof")[1]["total"] == 0
    assert call_json(capsys, "queue", "list", queue, "--state", "labelled")[1]["total"] == 0


@pytest.mark.parametrize("form", list(LabelFormat))
def test_out_and_in_again(
    form: LabelFormat, queue: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "out"
    words = ("queue", "export", queue, folder, "--format", form, "--most", 5)
    code, done = call_json(capsys, *words)
    written = done.pop("written")
    assert (code, done) == (
        0,
        {
            "ok": True,
            "folder": str(folder),
            "format": form.value,
            "waiting": 8,
            "skipped": {},
            "classes": ["person"],
        },
    )
    # One from the random share, then the worst.
    choices = read_json(folder / "choices.json")
    assert [one["id"] for one in choices] == written
    assert [one["reason"] for one in choices] == ["audit_share"] + ["value"] * 4
    assert (choices[0]["propensity"], choices[0]["probability"]) == (0.01, 0.25)
    assert written[1:] == [item(k).id for k in (3, 2, 1, 0)]
    code, found = call_json(
        capsys, "queue", "import", queue, confirm(form, folder), "--format", form
    )
    assert (code, found["ok"], found["refused"]) == (0, True, [])
    assert set(found["labelled"]) == {item(k).id for k in range(4)}
    listed = call_json(capsys, "queue", "list", queue)[1]
    assert listed["states"] == {"labelled": 4, "exported": 1, "waiting": 3}
    assert listed["tally"] == {"added": 8, "labelled": 4}
    label = next(one["human_label"] for one in listed["items"] if one["id"] == item(0).id)
    assert (label["source"], label["boxes"]["classes"]) == ("human", ["person"])


def test_each_item_is_exported_once_unless_asked_again(
    queue: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def export(name: str, *words: object) -> list[str]:
        base = ("queue", "export", queue, tmp_path / name, "--format", "coco")
        found: list[str] = call_json(capsys, *base, *words)[1]["written"]
        return found

    first = export("a", "--select", "random", "--most", 5, "--class", "person")
    assert len(set(first) | set(export("b", "--select", "random"))) == 8
    assert export("c", "--select", "random") == []
    assert set(export("d", "--select", "random", "--again")) == {one.id for one, _ in ENTRIES}


@pytest.mark.parametrize("select", ["valuable", "random", "uncertainty", "uniform", "bal"])
def test_every_selection_can_be_asked_for(
    select: str, queue: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fires = write_json(tmp_path / "fires.json", [{"flicker": 9}, {"flicker": 6}])
    words = ("queue", "export", queue, tmp_path / "out", "--format", "yolo", "--select", select)
    code, done = call_json(capsys, *words, "--most", 3, "--fires", fires, "--class", "person")
    assert (code, len(done["written"])) == (0, 3)


def test_export_says_what_is_wrong(
    queue: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("queue", "export", queue, tmp_path / "out", "--format", "coco")
    fires = write_json(tmp_path / "fires.json", [{"flicker": -1}])
    code, _, err = call(capsys, *words, "--fires", fires)
    assert code == 1
    assert err.startswith(f"error: {fires}: the fires of flicker must be a whole number")
    write_json(fires, {})
    code, _, err = call(capsys, *words, "--fires", fires)
    assert (code, err) == (
        1,
        f"error: {fires} must be a list of objects, one a round, of fires by assertion\n",
    )
    code, _, err = call(capsys, "queue", "export", queue, tmp_path, "--format", "coco")
    assert (code, err) == (1, f"error: {tmp_path} must be a new or empty folder; name another\n")
    code, _, err = call(capsys, *words, "--class", "a:b")
    assert code == 1
    assert "--class must be 1 to 200 printable characters" in err
    gone = tmp_path / "gone.sqlite3"
    code, _, err = call(capsys, "queue", "export", gone, tmp_path / "out", "--format", "coco")
    assert code == 1
    assert "unable to open database file" in err
    assert not gone.exists()
    assert call(capsys, "queue", "export", queue, tmp_path / "x", "--format", "voc")[0] == 2


def test_classes_must_be_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "queue.sqlite3"
    with RetrainingQueue(path) as opened:
        opened.add(
            [pictured(0, label=None), (replace(signalled(1)[0], label=None), signalled()[1])], 0
        )
    message = "error: the classes must be known: no weak label names one; say --class NAME\n"
    words = ("queue", "export", path, tmp_path / "out", "--format", "coco")
    assert call(capsys, *words) == (1, "", message)
    code, done = call_json(capsys, *words, "--class", "dog", "--class", "cat")
    # A signal is no picture.
    assert (code, done["ok"], done["classes"]) == (1, False, ["dog", "cat"])
    assert done["skipped"] == {signalled(1)[0].id: "no picture"}
    code, found = call_json(
        capsys, "queue", "import", path, tmp_path / "out", "--format", "coco", "--empty"
    )
    assert (code, found["labelled"]) == (0, [item(0).id])


def test_what_is_refused_is_told_with_its_place_and_the_rest_is_kept(
    queue: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "out"
    call(capsys, "queue", "export", queue, folder, "--format", "coco", "--select", "uniform")
    path = confirm(LabelFormat.COCO, folder)
    found = read_json(path)
    found["annotations"][0]["bbox"] = [0, 0, 0, 0]
    write_json(path, found)
    code, out, err = call(capsys, "queue", "import", queue, path, "--format", "coco")
    assert (code, out) == (1, "3 items labelled, 0 not labelled yet\n")
    assert err == (
        "labelled.json: annotations[0]: must lie in the picture of 64 x 48 pixels and have an "
        "area, got [0, 0, 0, 0]\n"
        "what is refused was left as it was; mend it and import again\n"
    )
    code, done = call_json(capsys, "queue", "import", queue, path, "--format", "coco")
    assert (code, done["ok"], len(done["refused"])) == (1, False, 1)
