"""Several processes of one machine share a run."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from connectors.replay import EventLog
from flows.cluster import run_in_processes
from flows.member import Member
from records import SightflowError, Verdict
from tests.support.scenes import write_configuration

if TYPE_CHECKING:
    from tests.support.scenes import Street

STREAMS = "\n  ".join(f"{name}: {{uri: scene.mp4}}" for name in ("gate", "till", "yard"))


def write_three(street: Street, more: str = "") -> None:
    write_configuration(street, more=more)
    text = street.configuration.read_text(encoding="utf-8")
    street.configuration.write_text(
        text.replace("gate: {uri: scene.mp4}", STREAMS), encoding="utf-8"
    )


def test_two_processes_share_three_streams(street: Street) -> None:
    write_three(street)
    run_dir = street.folder / "run"
    summary = run_in_processes([str(street.configuration), "--run-dir", str(run_dir)], 2)
    assert (summary.frames, summary.good, summary.stopped) == (360, True, False)
    assert {name: counts.entered for name, counts in summary.streams.items()} == {
        "gate": 120,
        "till": 120,
        "yard": 120,
    }
    assert len({json.dumps(one.to_json()) for one in summary.streams.values()}) == 1
    for name in summary.streams:
        verdicts = [one for one in EventLog.open(run_dir).records(name) if isinstance(one, Verdict)]
        assert [verdict.sequence for verdict in verdicts] == list(range(120))


def test_one_failure_ends_all_and_is_told(street: Street) -> None:
    write_three(street)
    (street.folder / "run").write_text("a file where the folder should be", encoding="utf-8")
    with pytest.raises(SightflowError, match=r"^process \d of 2 failed: .*run.* cannot be made"):
        run_in_processes([str(street.configuration), "--run-dir", str(street.folder / "run")], 2)


def test_an_interrupt_ends_all_in_order(street: Street) -> None:
    write_three(street)
    text = street.configuration.read_text(encoding="utf-8")
    live = text.replace("scene.mp4}", "scene.mp4, live: true, drop: newest}")
    street.configuration.write_text(live, encoding="utf-8")
    words = ["run", str(street.configuration), "--processes", "2", "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.cli", *words], stdout=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + 120
        while not list(street.folder.rglob("*.seg")):
            assert time.monotonic() < deadline, "the run wrote nothing"
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=120)
    finally:
        process.kill()  # its own processes end with it
    told = json.loads(out)
    assert told["ok"] is True
    for counts in told["streams"].values():
        assert counts["entered"] == sum(counts["decided"].values())


@pytest.mark.parametrize(
    ("process", "addresses", "message"),
    [
        (2, ("a:1", "b:2"), "the process must be one of 0 to 1, got 2"),
        (0, ("a",), "an address must be host:port, got 'a'"),
        (0, tuple("abcdefghi"), "an address must be host:port, got 'a'"),
        (0, tuple(f"a:{port}" for port in range(9)), "at most 8 processes may share a run, got 9"),
    ],
)
def test_members_are_checked(process: int, addresses: tuple[str, ...], message: str) -> None:
    with pytest.raises(SightflowError) as caught:
        Member(process, addresses)
    assert str(caught.value) == message
