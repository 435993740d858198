"""Findings as alerts: episodes that are opened once, updated while they get worse, and closed.

A model that is wrong is wrong for a while, and an assertion fires again and again. An episode is
all that one assertion found about one object of one stream without a pause. Its alert is opened by
the first finding, or, under false-alarm control, by the first one whose evidence suffices; it
closes when nothing was found for `clear_seconds`. All times are event times, and an episode closes
at the same time however the findings were batched.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import bytewax.operators as op
from bytewax.dataflow import operator
from bytewax.operators import KeyedStream
from typing_extensions import override

from operators.alerting import AlertOrigin
from operators.assertions.monitor import Monitored
from operators.false_alarms import FalseAlarmControl
from operators.finding_episode_settings import (
    MOST_EPISODES,
    EpisodeSettings,
    FindingAlerts,
    FindingEpisode,
    FindingEpisodesState,
    Muted,
)
from operators.keyed import KeyedLogic
from records import Alert, AlertState, Finding, RecordError
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from operators.finding_episode_settings import Key

Evidence = Callable[[Finding], float]
"""Gives a finding its e-value against "nothing is wrong"; it must rise with the severity."""


class FindingEpisodes(KeyedLogic[Monitored, FindingAlerts, FindingEpisodesState]):
    """The episodes of one stream.

    Args:
        settings: How findings are gathered.
        origin: What the alerts say of where they come from.
        evidence: The evidence of a finding; needed with `settings.false_alarms`.
        resume: The state to go on from; None at a new start.

    Raises:
        RecordError: false alarms are to be controlled without evidence.
    """

    def __init__(
        self,
        settings: EpisodeSettings,
        origin: AlertOrigin,
        evidence: Evidence | None = None,
        resume: FindingEpisodesState | None = None,
    ) -> None:
        if settings.false_alarms is not None and evidence is None:
            raise RecordError("evidence must be given with false_alarms: it is what they judge by")
        state = resume or FindingEpisodesState()
        self._settings, self._origin, self._evidence = settings, origin, evidence
        self._open, self._closed_ns = dict(state.open), dict(state.closed_ns)
        self._control_state = state.control
        self._control: FalseAlarmControl | None = None
        self._alerts: list[Alert] = []
        self._muted: Counter[Muted] = Counter()

    @override
    def on_item(self, item: Monitored) -> FindingAlerts | None:
        """The changes of episodes in a batch; None when there is nothing to tell."""
        if self._settings.false_alarms is not None and self._control is None:
            self._control = FalseAlarmControl(
                self._settings.false_alarms, item.stream, self._control_state
            )
        for finding in item.findings:
            self._close(item.stream, finding.time_ns)
            self._take(finding)
        self._close(item.stream, item.reached[1])
        if item.ended:
            self._end(item.stream, item.reached[1])
        if not self._alerts and not self._muted:
            return None
        told = FindingAlerts(item.stream, tuple(self._alerts), dict(self._muted))
        self._alerts, self._muted = [], Counter()
        return told

    @override
    def snapshot(self) -> FindingEpisodesState:
        """A copy of what survives a restart."""
        control = self._control_state if self._control is None else self._control.snapshot()
        return FindingEpisodesState(dict(self._open), dict(self._closed_ns), control)

    def _take(self, finding: Finding) -> None:
        grouped = self._settings.group_seconds > 0
        key = (finding.assertion, "" if grouped else finding.object)
        reason = self._mutes(finding, key)
        if reason is not None:
            self._muted[reason] += 1
            return
        episode = self._open.get(key)
        if episode is None:
            needed = 0.0 if self._control is None else self._control.begin(finding.time_ns)
            episode = FindingEpisode(
                finding.time_ns, finding.sequence, finding.time_ns, finding.sequence, needed=needed
            )
        episode = replace(
            episode,
            last_ns=max(finding.time_ns, episode.last_ns),
            last_sequence=finding.sequence,
            count=episode.count + 1,
            value=finding.severity,
            peak=max(finding.severity, episode.peak),
        )
        self._open[key] = self._tell(key, episode, finding)

    def _mutes(self, finding: Finding, key: Key) -> Muted | None:
        """Why a finding is muted; None when it is not."""
        settings = self._settings
        inhibiting = {assertion for assertion, _ in self._open} & set(settings.inhibited_by)
        if inhibiting and finding.assertion not in settings.inhibited_by:
            return Muted.INHIBITED
        wrong = finding.model_wrong
        if wrong is not None and wrong < settings.least_model_wrong:
            return Muted.IMPROBABLE
        if key in self._open:
            return None
        if key in self._closed_ns:
            return Muted.COOLDOWN
        return Muted.CROWDED if len(self._open) >= MOST_EPISODES else None

    def _tell(self, key: Key, episode: FindingEpisode, finding: Finding) -> FindingEpisode:
        """Tell of an episode if there is something new; the episode as it is afterwards."""
        if episode.told_ns is None:
            if not self._suffices(episode, finding):
                self._muted[Muted.WITHHELD] += 1
                return episode
            state, message = AlertState.OPENED, finding.message
        else:
            due_ns = episode.told_ns + self._settings.update_seconds * NANOSECONDS
            if finding.time_ns < due_ns or episode.peak <= episode.told_peak:
                return episode
            state, message = AlertState.UPDATED, f"{finding.message} ({episode.count} findings)"
        self._alerts.append(
            self._alert(finding.stream, key, episode, state, episode.last_ns, message)
        )
        return replace(episode, told_ns=finding.time_ns, told_peak=episode.peak)

    def _suffices(self, episode: FindingEpisode, finding: Finding) -> bool:
        if self._control is None or self._evidence is None:
            return True
        return self._control.tell(self._evidence(finding), episode.needed)

    def _close(self, stream: str, now_ns: int) -> None:
        """Close what nothing was found of for long enough, and forget what has cooled down."""
        quiet_ns = round(self._settings.quiet_seconds * NANOSECONDS)
        cooldown_ns = self._settings.cooldown_seconds * NANOSECONDS
        over = [key for key, each in self._open.items() if now_ns >= each.last_ns + quiet_ns]
        for key in over:
            self._close_one(stream, key, self._open[key].last_ns + quiet_ns)
        for key in [key for key, at in self._closed_ns.items() if now_ns >= at + cooldown_ns]:
            del self._closed_ns[key]

    def _end(self, stream: str, now_ns: int) -> None:
        """Close every episode: the stream has ended, and nothing will be found of any."""
        for key in tuple(self._open):
            self._close_one(stream, key, max(now_ns, self._open[key].last_ns))

    def _close_one(self, stream: str, key: Key, closed_ns: int) -> None:
        episode = self._open.pop(key)
        if episode.told_ns is None:
            return
        self._closed_ns[key] = closed_ns
        seconds = (episode.last_ns - episode.opened_ns) / NANOSECONDS
        plural = "finding" if episode.count == 1 else "findings"
        message = f"over: {episode.count} {plural} in {seconds:.1f} s, worst {episode.peak:.3g}"
        self._alerts.append(
            self._alert(stream, key, episode, AlertState.CLOSED, closed_ns, message)
        )

    def _alert(
        self,
        stream: str,
        key: Key,
        episode: FindingEpisode,
        state: AlertState,
        time_ns: int,
        message: str,
    ) -> Alert:
        assertion, concerned = key
        return Alert(
            stream=stream,
            rule=assertion,
            state=state,
            time_ns=time_ns,
            sequence=episode.last_sequence,
            opened_ns=episode.opened_ns,
            opened_sequence=episode.opened_sequence,
            severity=episode.peak,
            value=0.0 if state is AlertState.CLOSED else episode.value,
            peak=episode.peak,
            message=message,
            model=self._origin.model,
            configuration=self._origin.configuration,
            object=concerned,
            count=episode.count,
        )


@operator
def finding_episodes(
    step_id: str,
    up: KeyedStream[Monitored],
    settings: EpisodeSettings,
    origin: AlertOrigin,
    evidence: Evidence | None = None,
) -> KeyedStream[FindingAlerts]:
    """Gather the findings of each stream into episodes and give their alerts."""
    return op.stateful_batch(
        "finding_episodes",
        up,
        lambda resume: FindingEpisodes(settings, origin, evidence, resume).as_bytewax(),
    )
