"""What is said of episodes, frames and decisions, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connectors.codec import iso_time
from flows.why import Kind
from records import Stage
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from flows.why import Why
    from flows.why_frames import Shown
    from records import Finding, Verdict

_MILLISECONDS = len("1970-01-01T00:00:00.000")
_DIGEST = 12


def moment(time_ns: int) -> str:
    """An event time for people, to the millisecond.

    >>> moment(1_700_000_000_250_000_000)
    '2023-11-14T22:13:20.250Z'
    """
    return f"{iso_time(time_ns)[:_MILLISECONDS]}Z"


def seconds(nanoseconds: int) -> str:
    """A duration for people.

    >>> seconds(1_250_000_000)
    '1.25 s'
    """
    return f"{nanoseconds / NANOSECONDS:.4g} s"


def headline(found: Why) -> str:
    """What was told when the episode opened."""
    first = found.changes[0]
    concerned = f" of {first.object}" if first.object else ""
    return f"{first.rule}{concerned} on {first.stream}: {first.message}"


def summary_words(found: Why) -> str:
    """When the episode was open, how bad it was, and what stands behind it."""
    last = found.last
    end = "open still"
    if found.closed_ns is not None:
        end = f"closed after {seconds(found.closed_ns - last.opened_ns)}"
    words = [f"opened {moment(last.opened_ns)}", end, f"peak {last.peak:g}",
             f"severity {last.severity:.3g}"]  # fmt: skip
    if found.kind is Kind.ASSERTION:
        words.append(f"{last.count} finding{'s' * (last.count != 1)}")
    if last.model:
        words.append(f"model {last.model}")
    if last.configuration:
        words.append(f"configuration {last.configuration[:_DIGEST]}")
    return ", ".join(words)


def frame_words(found: Why, one: Shown) -> tuple[str, str, str]:
    """When a frame was, what was measured in it, and what decided it."""
    verdict = one.verdict
    after = (verdict.time_ns - found.last.opened_ns) / NANOSECONDS
    measured = f"{len(verdict.answer)} boxes"
    if found.rule is not None and one.value is not None:
        rule = found.rule
        measured = f"{one.value:g} of class '{rule.class_name}', the rule is {rule.at_least}"
    elif one.value:
        measured = f"severity {one.value:.3g}, {measured}"
    elif one.value is not None:
        measured = f"no finding, {measured}"
    return f"{after:+.2f} s, frame {verdict.sequence}", measured, decided_shortly(verdict)


def decided_shortly(verdict: Verdict) -> str:
    """The stage that decided a frame and its score, in a few words."""
    words = f"{verdict.stage} {verdict.score:.3g}"
    if verdict.audited:
        words += ", audited"
    if verdict.copied_from is not None:
        words += f", copied from frame {verdict.copied_from}"
    if verdict.corrected:
        words += f", corrected by {', '.join(verdict.corrected)}"
    return words


def decided(verdict: Verdict) -> str:
    """How a frame was decided, in a sentence.

    >>> from records import Detections, Stage, Verdict
    >>> copied = Verdict("gate", 9, 0, Stage.DIFFERENCE, 3.25, Detections.empty(), copied_from=7)
    >>> decided(copied)
    'the difference detector (score 3.25) copied the answer of frame 7: no detector saw this frame'
    """
    score = f"(score {verdict.score:.3g})"
    match verdict.stage:
        case Stage.REFERENCE:
            drawn = ", drawn for the audit," if verdict.audited else ""
            words = f"the reference detector itself{drawn} saw this frame {score}"
        case Stage.DIFFERENCE:
            words = f"the difference detector {score}"
        case Stage.SPECIALISED:
            words = f"the specialised model {score}"
        case Stage.PACKETS:
            words = f"the model of packet sizes {score}, without decoding,"
        case Stage.SKIP:
            words = "the frame was skipped; the cascade"
    if verdict.stage is not Stage.REFERENCE:
        unseen = "no detector saw this frame"
        if verdict.copied_from is not None:
            words += f" copied the answer of frame {verdict.copied_from}: {unseen}"
        else:
            said = {True: "said yes", False: "said no", None: "decided"}[verdict.positive]
            words += f" {said}: {unseen}, so there are no boxes to count"
    if verdict.corrected:
        words += f"; corrected by {', '.join(verdict.corrected)}"
    return words


def finding_words(finding: Finding) -> str:
    """What a finding says, how probable that is, and what would put it right."""
    words = f"{finding.message}, severity {finding.severity:.3g}"
    if finding.model_wrong is not None:
        words += f", the model is wrong with probability {finding.model_wrong:.2f}"
    if finding.correction is not None:
        count = len(finding.correction.places)
        words += f"; correction: {finding.correction.kind} at {count} place{'s' * (count != 1)}"
        right = finding.correction_right
        words += ", not calibrated" if right is None else f", right with probability {right:.2f}"
    return words


def printable(text: str) -> str:
    r"""The text without characters that could steer a terminal.

    >>> printable("gate\x1b[2J") == "gate\N{REPLACEMENT CHARACTER}[2J"
    True
    """
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
