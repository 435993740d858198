"""Rules and findings on their way through the operators that told the alerts, up to a moment."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flows.asserted import episode_settings, evidence
from operators.alerting import AlertOrigin, CountRule, Episodes, EpisodeState
from operators.assertions.monitor import Monitored
from operators.finding_episodes import FindingEpisodes
from records import AlertState, Finding, Verdict, VerdictBatch
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from flows.why_asked import Asked
    from operators.finding_episode_settings import (
        FindingEpisode,
        FindingEpisodesState,
        Key,
        Muted,
    )
    from records import Alert

MOST_OUTCOMES = 200
"""The most findings that concern the moment and are kept."""

NEAR_SECONDS = 10.0
"""A moment's frame is at most so old: no camera takes fewer pictures."""


class RuleReplay:
    """One rule, run again on the verdicts of a stream up to a moment.

    Args:
        rule: The rule.

    Attributes:
        rule: The rule.
        before: Where it stood before the last frame.
        after: Where it stood after it.
        alert: What it told at the last frame; None for nothing.
        opened: The episodes that it opened, with the time of each.
    """

    def __init__(self, rule: CountRule) -> None:
        self.rule = rule
        self._episodes = Episodes([rule], AlertOrigin())
        self.before = self.after = EpisodeState()
        self.alert: Alert | None = None
        self.opened: set[tuple[str, int]] = set()

    def take(self, verdict: Verdict) -> None:
        """Take the next verdict."""
        self.before = self.after
        told = self._episodes.on_item(VerdictBatch(verdict.stream, (verdict,)))
        (self.after,) = self._episodes.snapshot()
        self.alert = None if told is None else told[0]
        if self.alert is not None and self.alert.state is AlertState.OPENED:
            self.opened.add((self.alert.episode, self.alert.opened_ns))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a finding.

    Attributes:
        finding: The finding.
        muted: Why it led to no alert; None when it belongs to an episode that is told.
        opened: The alert that it opened; None for none.
        episode: The episode that it belongs to; None when it was muted before.
        closed_ns: For a cooldown: when the episode before had closed.
        evidence: For a promise on false alarms: its e-value.
    """

    finding: Finding
    muted: Muted | None
    opened: Alert | None
    episode: FindingEpisode | None
    closed_ns: int | None
    evidence: float


class FindingReplay:
    """The findings that may alert, run again up to a moment and some time past it.

    Args:
        asked: What the run was asked to tell; it asks for alerts of findings.
        stream: The stream.
        time_ns: The moment, nanoseconds since 1970 UTC.

    Attributes:
        settings: How findings are gathered.
        at: Where the episodes stood at the moment; None until it is reached.
        outcomes: What became of the findings that concern the moment or came near it.
        left_out: How many of them were not kept, by assertion.
        nearest: The last finding of each assertion up to the moment.
    """

    def __init__(self, asked: Asked, stream: str, time_ns: int) -> None:
        known = asked.known
        assert known is not None, "it asks for alerts of findings"
        self.settings = episode_settings(known)
        self._asked, self._time_ns = asked, time_ns
        self._evidence = evidence(known)
        self._episodes = FindingEpisodes(self.settings, AlertOrigin(), self._evidence)
        self._stream = stream
        self._alerting: dict[str, bool] = {}
        self.at: FindingEpisodesState | None = None
        self.outcomes: list[Outcome] = []
        self.left_out: Counter[str] = Counter()
        self.nearest: dict[str, Finding] = {}

    def take(self, finding: Finding) -> None:
        """Take the next finding of the log."""
        if finding.time_ns > self._time_ns:
            self.reach()
        else:
            self.nearest[finding.assertion] = finding
        name = finding.assertion
        if name not in self._alerting:
            self._alerting[name] = self._asked.alerts(name)
        if self._alerting[name]:
            self._run(finding)
        elif self._concerns(finding):
            self._keep(Outcome(finding, None, None, None, None, 0.0))

    def reach(self, *, ended: bool = False) -> None:
        """Close what is over at the moment, and note where the episodes stand.

        Args:
            ended: Whether the stream had ended by then.
        """
        if self.at is None:
            reached = (0, self._time_ns)
            self._episodes.on_item(Monitored(self._stream, reached, ended=ended))
            self.at = self._episodes.snapshot()

    def key(self, finding: Finding) -> Key:
        """What the episode of a finding is about."""
        return finding.assertion, "" if self.settings.group_seconds > 0 else finding.object

    def _run(self, finding: Finding) -> None:
        reached = (finding.sequence, finding.time_ns)
        told = self._episodes.on_item(Monitored(finding.stream, reached, (finding,)))
        if not self._concerns(finding):
            return
        key = self.key(finding)
        muted = None if told is None else next(iter(told.muted), None)
        alerts = () if told is None else told.alerts
        opened = [one for one in alerts if one.state is AlertState.OPENED]
        stands = self._episodes.snapshot()
        self._keep(
            Outcome(
                finding,
                muted,
                opened[0] if opened else None,
                stands.open.get(key),
                stands.closed_ns.get(key),
                self._evidence(finding),
            )
        )

    def _concerns(self, finding: Finding) -> bool:
        """Whether a finding says something of the moment, or of a frame just before it."""
        begins_ns = self._time_ns - round(NEAR_SECONDS * NANOSECONDS)
        return finding.start_ns <= self._time_ns and finding.time_ns >= begins_ns

    def _keep(self, outcome: Outcome) -> None:
        if len(self.outcomes) < MOST_OUTCOMES:
            self.outcomes.append(outcome)
        else:
            self.left_out[outcome.finding.assertion] += 1
