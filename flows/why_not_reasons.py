"""Why a rule or an assertion told no alert at a moment: what was, what was needed, in words."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from flows.why_asked import boxes_counted
from flows.why_words import decided, moment, seconds
from operators.finding_episode_settings import Muted
from records import AlertState, EventKind
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from flows.why_not import Moment, WhyNot
    from flows.why_not_replay import FindingReplay, Outcome, RuleReplay
    from operators.finding_episode_settings import FindingEpisode, Key

NO_FRAME = "there is no frame at that time"
"""What is said of every rule where the stream has no frame."""

MOST_NAMES = 5
"""The most scores or episodes that a sentence lists."""

_NO_FRAMES = frozenset(EventKind) - {EventKind.OPENED, EventKind.RECONNECTED}
"""The events after which a frame may be missing."""


class Reason(StrEnum):
    """Why there was no alert."""

    TOLD = "told"
    OPEN = "open"
    NO_FRAME = "no_frame"
    NOT_WATCHED = "not_watched"
    COUNT = "count"
    SCORE = "score"
    TOO_SHORT = "too_short"
    NOTHING_FOUND = "nothing_found"
    NOT_ALERTING = "not_alerting"
    DISABLED = "disabled"
    INHIBITED = "inhibited"
    IMPROBABLE = "improbable"
    COOLDOWN = "cooldown"
    CROWDED = "crowded"
    WITHHELD = "withheld"


@dataclass(frozen=True, slots=True)
class Answer:
    """Why one rule or assertion told no alert.

    Attributes:
        name: Its name.
        kind: ``rule`` or ``assertion``.
        reason: The reason.
        words: The same for people.
        measured: What was, by name.
        needed: What would have been needed, by name.
        episode: The episode that it is about; empty for none.
    """

    name: str
    kind: str
    reason: Reason
    words: str
    measured: dict[str, float] = field(default_factory=dict)
    needed: dict[str, float] = field(default_factory=dict)
    episode: str = ""


def answers(found: WhyNot) -> list[Answer]:
    """The answer of each rule and assertion that was asked about."""
    rules = [_rule_answer(found.moment, each) for each in found.rules]
    return rules + [_assertion_answer(found, name) for name in found.assertions]


def no_frame_words(at: Moment) -> str:
    """Why there was no frame, by what befell the stream between the frames around it."""
    before, after = at.before, at.after
    start_ns = 0 if before is None else before.time_ns
    fitting = [
        one
        for one in at.events
        if one.kind in _NO_FRAMES
        and start_ns <= one.time_ns
        and (after is None or one.time_ns <= after.time_ns)
    ]
    around = []
    if before is not None:
        around.append(f"the last before it is frame {before.sequence} at {moment(before.time_ns)}")
    if after is not None:
        around.append(f"the next is frame {after.sequence} at {moment(after.time_ns)}")
    words = f"{NO_FRAME}; {', '.join(around) or 'the stream has none'}"
    for event in fitting:
        count = f" {event.count}" if event.count else ""
        reason = f" ({event.reason})" if event.reason else ""
        words += f"; {event.kind}{count}{reason} at {moment(event.time_ns)}"
        words += f": {event.detail}" if event.detail else ""
    return words if fitting else f"{words}; no event says why"


def _rule_answer(at: Moment, replayed: RuleReplay) -> Answer:
    rule, frame = replayed.rule, at.frame
    if rule.streams and at.stream not in rule.streams:
        words = f"the rule watches {', '.join(rule.streams)} only"
        return Answer(rule.name, "rule", Reason.NOT_WATCHED, words)
    if frame is None:
        return Answer(rule.name, "rule", Reason.NO_FRAME, NO_FRAME)
    count, low = boxes_counted(rule, frame)
    state = replayed.after
    held_ns = 0 if state.since_ns is None else frame.time_ns - state.since_ns
    reason, words, episode = _rule_reason(at, replayed, count, low)
    return Answer(
        rule.name,
        "rule",
        reason,
        words,
        {
            "count": count,
            "low_scores": len(low),
            "held_seconds": held_ns / NANOSECONDS if count >= rule.at_least else 0.0,
        },
        {
            "at_least": rule.at_least,
            "score_at_least": rule.score_at_least,
            "for_seconds": rule.for_seconds,
        },
        episode,
    )


def _rule_reason(
    at: Moment, replayed: RuleReplay, count: int, low: list[float]
) -> tuple[Reason, str, str]:
    """The reason, in words, and the episode that it is about."""
    rule, told, frame = replayed.rule, replayed.alert, at.frame
    assert frame is not None, "asked only where there is one"
    if told is not None and told.state is AlertState.OPENED:
        return Reason.TOLD, f"it did: alert {told.id} was told at this frame", told.episode
    if replayed.before.opened_ns is not None:
        opened_ns, opened = replayed.before.opened_ns, replayed.before.opened_sequence
        episode = f"{at.stream}:{rule.name}:{opened}"
        words = f"episode {episode} has been open since {moment(opened_ns)}, and opens once"
        if told is not None:
            words += f"; it was {told.state} at this frame: {told.message}"
        return Reason.OPEN, words, episode
    words = f"{count} of class '{rule.class_name}', {rule.at_least} are needed"
    if count >= rule.at_least:
        since_ns = replayed.after.since_ns
        held_ns = 0 if since_ns is None else frame.time_ns - since_ns
        words += f", but for {rule.for_seconds:g} s, and so far they held {seconds(held_ns)}"
        return Reason.TOO_SHORT, words, ""
    if low:
        scores = ", ".join(f"{score:.2f}" for score in low[:MOST_NAMES])
        words += f"; {len(low)} more score below {rule.score_at_least:g}: {scores}"
    enough = count + len(low) >= rule.at_least
    # Where the detector saw the frame, its count is all there is to say.
    unseen = f"; {decided(frame)}" if frame.stage != "reference" or frame.corrected else ""
    return Reason.SCORE if enough else Reason.COUNT, f"{words}{unseen}", ""


def _assertion_answer(found: WhyNot, name: str) -> Answer:
    at, replayed = found.moment, found.findings
    if name in at.disabled:
        event = at.disabled[name]
        words = f"{event.detail}, at {moment(event.time_ns)}"
        return Answer(name, "assertion", Reason.DISABLED, words)
    outcomes = _outcomes(at, replayed, name)
    if replayed is None or not found.asked.alerts(name):
        count = f"findings that concern this time: {len(outcomes)}; " if outcomes else ""
        words = f"{count}it does not alert: assertions.alerts says which do"
        return Answer(name, "assertion", Reason.NOT_ALERTING, words)
    opened = next((one.opened for one in outcomes if one.opened is not None), None)
    if opened is not None:
        words = f"it did: alert {opened.id} was told at {moment(opened.time_ns)}"
        return Answer(name, "assertion", Reason.TOLD, words, episode=opened.episode)
    for one in outcomes:
        if one.muted is None and one.episode is not None:
            return _joined_answer(replayed, one)
    return _muted_answer(replayed, name, outcomes[0]) if outcomes else _silent_answer(found, name)


def _outcomes(at: Moment, replayed: FindingReplay | None, name: str) -> list[Outcome]:
    """What became of the findings of an assertion that concern the moment."""
    if replayed is None:
        return []
    frame = at.frame
    return [
        one
        for one in replayed.outcomes
        if one.finding.assertion == name
        and (
            one.finding.start_sequence <= frame.sequence <= one.finding.sequence
            if frame is not None
            else one.finding.start_ns <= at.time_ns <= one.finding.time_ns
        )
    ]


def _joined_answer(replayed: FindingReplay, outcome: Outcome) -> Answer:
    """A finding that concerns the moment belongs to an episode that was told before."""
    finding, episode = outcome.finding, outcome.episode
    assert episode is not None, "asked only where it has one"
    label = _label(finding.stream, replayed.key(finding), episode)
    words = f"found at frame {finding.sequence}: {finding.message}; it belongs to episode {label}, "
    words += f"open since {moment(episode.opened_ns)}, which opens once"
    measured = {"severity": finding.severity}
    return Answer(finding.assertion, "assertion", Reason.OPEN, words, measured, episode=label)


def _label(stream: str, key: Key, episode: FindingEpisode) -> str:
    """The id of an episode."""
    assertion, concerned = key
    return ":".join(
        part for part in (stream, assertion, concerned, str(episode.opened_sequence)) if part
    )


def _muted_answer(replayed: FindingReplay, name: str, outcome: Outcome) -> Answer:
    """Why a finding that concerns the moment led to no alert."""
    finding, settings = outcome.finding, replayed.settings
    measured: dict[str, float] = {"severity": finding.severity}
    needed: dict[str, float] = {}
    words = f"found at frame {finding.sequence}: {finding.message}; but "
    match outcome.muted:
        case Muted.IMPROBABLE:
            measured["model_wrong"] = finding.model_wrong or 0.0
            needed["model_wrong"] = settings.least_model_wrong
            words += (
                f"the model is wrong with probability {measured['model_wrong']:.2f} only, "
                f"least_model_wrong asks for {settings.least_model_wrong:g}"
            )
        case Muted.COOLDOWN:
            closed_ns = outcome.closed_ns or 0
            measured["seconds_since_close"] = (finding.time_ns - closed_ns) / NANOSECONDS
            needed["seconds_since_close"] = settings.cooldown_seconds
            words += (
                f"the episode before closed at {moment(closed_ns)} and cooldown_seconds is "
                f"{settings.cooldown_seconds:g}"
            )
        case Muted.WITHHELD:
            measured["evidence"] = outcome.evidence
            needed["evidence"] = 0.0 if outcome.episode is None else outcome.episode.needed
            words += (
                f"its evidence {measured['evidence']:.3g} is less than the "
                f"{needed['evidence']:.3g} that false_alarms_per_day asks for"
            )
        case Muted.INHIBITED:
            words += "the input was at fault"
        case _:
            words += "too many episodes of the stream were open"
    assert outcome.muted is not None, "asked only where it was"
    return Answer(name, "assertion", Reason(str(outcome.muted)), words, measured, needed)


def _silent_answer(found: WhyNot, name: str) -> Answer:
    """Why nothing was found."""
    at, replayed = found.moment, found.findings
    assert replayed is not None, "asked only where findings alert"
    if at.health and name not in found.asked.health_names:
        fault = at.health[-1]
        words = f"findings were held back, as the input was at fault ({fault.assertion}, last told "
        words += f"at {moment(fault.time_ns)}: {fault.message})"
        if at.held_back is not None:
            words += f"; held back until {moment(at.held_back.time_ns)}: {at.held_back.detail}"
        return Answer(name, "assertion", Reason.INHIBITED, words)
    # A stream of signals has no frames, and is asserted on all the same.
    if at.frame is None and (at.before is not None or at.after is not None):
        return Answer(name, "assertion", Reason.NO_FRAME, NO_FRAME)
    words = "it found nothing that concerns this time"
    last = replayed.nearest.get(name)
    if last is not None:
        words += f"; it last did at frame {last.sequence}, {moment(last.time_ns)}: {last.message}"
    assert replayed.at is not None, "the moment was reached"
    still = [
        _label(at.stream, key, episode)
        for key, episode in replayed.at.open.items()
        if key[0] == name and episode.told_ns is not None
    ]
    if still:
        words += f"; open still: {', '.join(still[:MOST_NAMES])}"
    return Answer(name, "assertion", Reason.NOTHING_FOUND, words)
