from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.registry import Change, ChangeKind, Pointers
from models.registry_history import VersionState, standing_after
from models.registry_log import LARGEST_HISTORY
from records import DetectorError
from tests.support.registries import new_version, registry_with

if TYPE_CHECKING:
    from pathlib import Path

CHANGES = st.lists(
    st.builds(Change, st.just(0), st.just("gate"), st.sampled_from(ChangeKind), st.integers(1, 5)),
    max_size=30,
)


def test_how_versions_stand() -> None:
    steps = "added 1,added 2,added 3,added 4,added 5,added 6,promoted 1,promoted 2,promoted 3,"
    steps += "promoted 4,rolled_back 3,proposed 5"
    changes = [
        Change(0, "gate", ChangeKind(what), int(number))
        for what, number in (step.split() for step in steps.split(","))
    ]
    standing = standing_after(changes)
    assert [standing.state(number).value for number in range(1, 7)] == [
        "superseded",
        "previous",
        "current",
        "rejected",
        "candidate",
        "added",
    ]
    assert (standing.previous, standing.highest) == (2, 6)


@given(CHANGES)
def test_what_holds_after_any_history(changes: list[Change]) -> None:
    standing, revisions = standing_after([]), [0]
    for change in changes:
        standing.apply(change)
        revisions.append(standing.revision)
    assert revisions == sorted(revisions)
    assert standing.previous is None or standing.previous != standing.current
    assert standing.candidate is None or standing.candidate not in standing.rejected
    assert standing.current is None or standing.highest >= standing.current
    states = [standing.state(number) for number in range(1, 6)]
    for one in (VersionState.CURRENT, VersionState.CANDIDATE, VersionState.PREVIOUS):
        assert states.count(one) <= 1


@given(CHANGES, st.lists(st.integers(6, 9), unique=True))
def test_rollbacks_undo_promotions(changes: list[Change], promoted: list[int]) -> None:
    standing = standing_after(changes)
    earlier = [standing.current]
    for number in promoted:
        standing.apply(Change(0, "gate", ChangeKind.PROMOTED, number))
        earlier.append(standing.current)
    for before in reversed(earlier[:-1]):
        assert standing.previous == before
        if before is not None:
            standing.apply(Change(0, "gate", ChangeKind.ROLLED_BACK, before))
            assert standing.current == before


def test_a_torn_last_line_has_not_happened(tmp_path: Path) -> None:
    registry = registry_with(tmp_path, 2)
    registry.promote("gate", 1)
    path = tmp_path / "models/gate/history.jsonl"
    before, short = registry.history("gate"), path.stat().st_size
    registry.promote("gate", 2)
    whole = path.read_bytes()
    for length in range(short, len(whole), 7):
        path.write_bytes(whole[:length])
        assert registry.history("gate") == before
        assert registry.pointers("gate") == Pointers(1, None, 1)
    registry.propose("gate", 2)
    assert registry.pointers("gate") == Pointers(1, 2, 2)
    assert [one.what for one in registry.history("gate")[len(before) :]] == [ChangeKind.PROPOSED]


@pytest.mark.parametrize("data", [b"", b"{", b"[1]", b"\xff", b'{"current": "x"}', b"1" * 5000])
def test_a_damaged_state_is_made_anew_from_the_history(tmp_path: Path, data: bytes) -> None:
    registry = registry_with(tmp_path, 2)
    registry.promote("gate", 2)
    path = tmp_path / "models/gate/state.json"
    for spoilt in (True, False):
        path.write_bytes(data) if spoilt else path.unlink()
        assert registry.pointers("gate") == Pointers(2, None, 1)
        registry.promote("gate", 2)
        assert json.loads(path.read_bytes())["current"] == 2


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{}", "'what'"),
        ("nonsense", "Expecting value: line 1 column 1 (char 0)"),
        ('{"what": "eaten"}', "'eaten' is not a valid ChangeKind"),
        ('{"what": "added", "time_ns": 0, "name": "gate", "number": 0}',
         "number must be a version's number, at least 1, got 0"),
    ],
)  # fmt: skip
def test_a_damaged_line_is_told_and_the_state_still_known(
    tmp_path: Path, line: str, why: str
) -> None:
    registry = registry_with(tmp_path, 1)
    registry.promote("gate", 1)
    path = tmp_path / "models/gate/history.jsonl"
    lines = path.read_text().splitlines()
    spoilt = line.ljust(len(lines[0]))
    path.write_text("\n".join([spoilt, *lines[1:]]) + "\n")
    assert registry.pointers("gate") == Pointers(1, None, 1)
    for act in (
        lambda: registry.history("gate"),
        lambda: registry.add("gate", tmp_path / "source", new_version()),
    ):
        with pytest.raises(DetectorError) as caught:
            act()
        assert str(caught.value) == (
            f"{path}:1 is no change of a model ({why}). The file is damaged; "
            "restore it from a backup, or take that line out"
        )
    path.write_text("\n".join(lines[1:]) + "\n")
    registry.promote("gate", 1)
    assert [one.what for one in registry.history("gate")] == [ChangeKind.PROMOTED, ChangeKind.ADDED]


def test_a_history_too_large_is_not_read(tmp_path: Path) -> None:
    registry = registry_with(tmp_path, 1)
    path = tmp_path / "models/gate/history.jsonl"
    with path.open("r+b") as file:
        file.truncate(LARGEST_HISTORY + 1)  # sparse: takes no room
    with pytest.raises(DetectorError) as caught:
        registry.history("gate")
    assert str(caught.value) == f"{path} must hold at most 67108864 bytes, it holds more"


def test_folders_that_come_and_go_are_told_in_the_history(tmp_path: Path) -> None:
    registry = registry_with(tmp_path, 3)
    registry.promote("gate", 1)
    registry.promote("gate", 3)
    versions = tmp_path / "models/gate/versions"
    (versions / "1").rename(tmp_path / "1")
    (versions / ".DS_Store").touch()
    with pytest.raises(DetectorError, match="no earlier version"):
        registry.rollback("gate")
    last = registry.history("gate")[-1]
    assert (last.what, last.number, last.reason) == (ChangeKind.REMOVED, 1, "its folder is gone")
    (tmp_path / "1").rename(versions / "1")
    registry.promote("gate", 1, "restored")
    assert [one.what.value for one in registry.history("gate")[-2:]] == ["added", "promoted"]
