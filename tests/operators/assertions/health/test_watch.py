"""Frames are checked where they are, and what is found travels with their verdicts."""

from __future__ import annotations

from dataclasses import replace

from operators.assertions.api import Moment, MomentBatch
from operators.assertions.health.dark import Dark
from operators.assertions.health.watch import HEALTH, InputWatch, Relayed
from operators.assertions.monitor import Monitor, MonitorSettings
from operators.assertions.multibox import Multibox
from records import Detections, FrameBatch
from tests.support.pictures import frames

NIGHT = frames([2] * 60).frames


def test_findings_travel_with_the_batch_of_their_frames() -> None:
    watch = InputWatch((Dark(),))
    outs = [watch.on_item(FrameBatch("gate", NIGHT[k : k + 10])) for k in range(0, 60, 10)]
    assert [out.frames for out in outs] == [NIGHT[k : k + 10] for k in range(0, 60, 10)]
    found = [finding for out in outs for finding in out.findings]
    assert [finding.sequence for finding in found] == [30, 40, 50]
    assert {finding.assertion for finding in found} == {"dark"}
    for out in outs:
        assert {one.sequence for one in out.findings} <= {frame.sequence for frame in out.frames}


def test_each_stream_of_a_shard_has_checks_of_its_own() -> None:
    watch = InputWatch((Dark(),))
    others = tuple(replace(frame, stream="till") for frame in NIGHT)
    for k in range(0, 60, 10):
        gate = watch.on_item(FrameBatch("gate", NIGHT[k : k + 10]))
        till = watch.on_item(FrameBatch("till", others[k : k + 10]))
        assert [replace(one, stream="gate") for one in till.findings] == list(gate.findings)
    assert set(watch.snapshot()) == {"gate", "till"}


def test_a_fault_of_the_input_inhibits_at_the_same_frame() -> None:
    watch = InputWatch((Dark(),))
    batch = watch.on_item(FrameBatch("gate", NIGHT))
    boxes = Detections.of([[0, 0, 10, 10]] * 3, [0.9] * 3, ["car"] * 3)
    by_sequence = {finding.sequence: finding for finding in batch.findings}
    moments = tuple(
        Moment(
            "gate",
            frame.sequence,
            frame.time_ns,
            {HEALTH: (by_sequence[frame.sequence],)} if frame.sequence in by_sequence else {},
            {"detections": boxes},
        )
        for frame in batch.frames
    )
    assertions = (Relayed("dark"), Multibox())
    monitor = Monitor(assertions, MonitorSettings(frozenset({"dark"})))
    out = monitor.on_item(MomentBatch("gate", moments))
    assert out is not None
    told = [(finding.assertion, finding.sequence) for finding in out.findings]
    assert [one for one in told if one[0] == "dark"] == [("dark", 30), ("dark", 40), ("dark", 50)]
    assert max(sequence for name, sequence in told if name == "multibox") < 30
