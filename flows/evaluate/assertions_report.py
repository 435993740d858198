"""Adding up what assertions found, over all parts that are judged."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from flows.evaluate.assertions_correct import corrected
from flows.evaluate.truth import Tally
from operators.assertions.agree import context_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from flows.evaluate.assertions_faults import Fault
    from flows.evaluate.assertions_judge import FindingJudge, Judgement
    from operators.severity import SeverityCalibration
    from records import Finding

DIGITS = 4
"""Digits of the shares that are told."""


class Fired(NamedTuple):
    """A finding with what is true of it.

    Attributes:
        recording: The place of its recording.
        frame: The place of its frame in the recording.
        finding: The finding.
        judgement: What is true of it.
    """

    recording: int
    frame: int
    finding: Finding
    judgement: Judgement


class Part(NamedTuple):
    """Consecutive frames of a recording, from `start` up to before `stop`."""

    recording: int
    start: int
    stop: int

    def holds(self, recording: int, frame: int) -> bool:
        """Whether a frame is one of them."""
        return recording == self.recording and self.start <= frame < self.stop


def within(fired: Iterable[Fired], parts: Sequence[Part]) -> list[Fired]:
    """The findings in some parts."""
    return [one for one in fired if any(part.holds(one.recording, one.frame) for part in parts)]


@dataclass
class Counts:
    """What was counted of some findings.

    Attributes:
        fires: The findings.
        judged: Those of which the truth says whether a model was wrong.
        wrong: Those of which it was.
        boxes: Those about one box that the truth judges.
        boxes_false: Those whose box is false.
        corrections: Those whose correction the truth judges.
        right: Those whose correction is right.
        applied: The corrections that were applied.
        applied_right: The applied that are right, of those that the truth judges.
        applied_judged: The applied that the truth judges.
    """

    fires: int = 0
    judged: int = 0
    wrong: int = 0
    boxes: int = 0
    boxes_false: int = 0
    corrections: int = 0
    right: int = 0
    applied: int = 0
    applied_right: int = 0
    applied_judged: int = 0

    def add(self, judgement: Judgement, *, applied: bool) -> None:
        """Count one finding."""
        self.fires += 1
        self.judged += judgement.model_wrong is not None
        self.wrong += judgement.model_wrong is True
        self.boxes += judgement.box_false is not None
        self.boxes_false += judgement.box_false is True
        self.corrections += judgement.correction_right is not None
        self.right += judgement.correction_right is True
        self.applied += applied
        self.applied_right += applied and judgement.correction_right is True
        self.applied_judged += applied and judgement.correction_right is not None

    def to_json(self) -> dict[str, Any]:
        """The counts and shares as plain JSON values."""
        return {
            "fires": self.fires,
            "judged": self.judged,
            "precision": share(self.wrong, self.judged),
            "box_false": share(self.boxes_false, self.boxes),
            "corrections": self.corrections,
            "correction_right": share(self.right, self.corrections),
            "applied": self.applied,
            "applied_right": share(self.applied_right, self.applied_judged),
        }


@dataclass
class AssertionCounts:
    """What was counted of one assertion.

    Attributes:
        whole: All of its findings.
        contexts: By the context in which severities are calibrated: output and kind of correction.
        sought: The faults that it should find, by output.
        found: Those that its findings point at, by output.
    """

    whole: Counts = field(default_factory=Counts)
    contexts: dict[str, Counts] = field(default_factory=lambda: defaultdict(Counts))
    sought: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)

    def to_json(self) -> dict[str, Any]:
        """The counts and shares as plain JSON values."""
        value = self.whole.to_json() | {
            "faults": self.sought.total(),
            "recall": share(self.found.total(), self.sought.total()),
        }
        if len(self.sought) > 1:
            value["outputs"] = {
                output: {"faults": n, "recall": share(self.found[output], n)}
                for output, n in sorted(self.sought.items())
            }
        if len(self.contexts) > 1:
            value["contexts"] = {name: one.to_json() for name, one in sorted(self.contexts.items())}
        return value


class Report:
    """Adds up parts.

    Args:
        judges: The judge of each recording.
        names: The assertions.
        apply_at: A correction is applied where the lower end of its probability reaches this.
    """

    def __init__(
        self, judges: Sequence[FindingJudge], names: Sequence[str], apply_at: float
    ) -> None:
        self._judges = judges
        self._apply_at = apply_at
        self._counts = {name: AssertionCounts() for name in names}
        self._before: dict[tuple[int, str], Tally] = {}
        self._after: dict[tuple[int, str], Tally] = {}
        self._frames = 0

    def add(
        self, calibration: SeverityCalibration, fired: Sequence[Fired], parts: Sequence[Part]
    ) -> None:
        """Judge parts by what was calibrated elsewhere."""
        for part in parts:
            inside = within(fired, [part])
            applied = [
                one
                for one in inside
                if calibration.surely_right(one.finding, self._apply_at, context_of(one.finding))
            ]
            chosen = set(map(id, applied))
            for one in inside:
                counts = self._counts[one.finding.assertion]
                for each in (counts.whole, counts.contexts[context_of(one.finding)]):
                    each.add(one.judgement, applied=id(one) in chosen)
            self._add_faults(inside, part)
            self._add_accuracy([one.finding for one in applied], part)
            self._frames += part.stop - part.start

    def to_json(self, microseconds: Mapping[str, float]) -> dict[str, Any]:
        """Everything as plain JSON values.

        Args:
            microseconds: What each assertion takes a frame.
        """
        outputs = sorted({output for _, output in self._before})
        return {
            "frames": self._frames,
            "assertions": {
                name: counts.to_json() | {"microseconds_per_frame": round(microseconds[name], 1)}
                for name, counts in self._counts.items()
            },
            **self._accuracy(),
            "outputs": {name: self._accuracy(output=name) for name in outputs},
            "recordings": {
                judge.name: self._accuracy(recording=k) for k, judge in enumerate(self._judges)
            },
        }

    def _accuracy(
        self, recording: int | None = None, output: str | None = None
    ) -> dict[str, float]:
        """F1 of the boxes before and after the corrections; of all when not told of which."""
        chosen = [
            where
            for where in self._before
            if recording in (None, where[0]) and output in (None, where[1])
        ]
        none = Tally(0, 0, 0)
        return {
            name: round(sum((tallies[where] for where in chosen), none).accuracy, DIGITS)
            for name, tallies in (
                ("accuracy_before", self._before),
                ("accuracy_after", self._after),
            )
        }

    def _add_faults(self, inside: Iterable[Fired], part: Part) -> None:
        """Count the faults of a part, and those that findings in it point at."""
        found: dict[str, set[Fault]] = defaultdict(set)
        for one in inside:
            found[one.finding.assertion] |= one.judgement.faults
        for name, counts in self._counts.items():
            sought = {
                fault
                for fault in self._judges[part.recording].faults(name)
                if part.start <= fault.frame < part.stop
            }
            counts.sought.update(fault.output for fault in sought)
            counts.found.update(fault.output for fault in sought & found[name])

    def _add_accuracy(self, findings: Sequence[Finding], part: Part) -> None:
        """Add a part's boxes as they are, and as the corrections make them."""
        judge = self._judges[part.recording]
        corrections = [one.correction for one in findings if one.correction is not None]
        changed = corrected(judge.frames, judge.place_of, corrections)
        for output, frames in judge.frames.items():
            span = range(part.start, part.stop)
            where = (part.recording, output)
            self._before[where] = Tally.of(frames[k] for k in span)
            self._after[where] = Tally.of(changed.get((output, k), frames[k]) for k in span)


def share(part: int, whole: int) -> float | None:
    """A share, rounded; None of nothing.

    >>> share(1, 3), share(0, 0)
    (0.3333, None)
    """
    return round(part / whole, DIGITS) if whole else None
