from __future__ import annotations

from flows.evaluate.replay_alerts import AlertChanges, Episode, compare_episodes, episodes_of
from records import Alert, AlertState


def alert(state: AlertState, seconds: int, opened: int, peak: float = 2.0) -> Alert:
    return Alert(
        "gate", "crowd", state, seconds * 10**9, seconds, opened * 10**9, opened, 1.0, 1.0, peak, ""
    )


def episode(opened: int, closed: int, rule: str = "crowd", stream: str = "gate") -> Episode:
    return Episode(stream, rule, opened * 10**9, closed * 10**9, opened, 2.0)


def test_episodes_from_alerts() -> None:
    alerts = [
        alert(AlertState.OPENED, 1, 1),
        alert(AlertState.UPDATED, 2, 1, 3.0),
        alert(AlertState.CLOSED, 4, 1, 3.0),
        alert(AlertState.OPENED, 7, 7),
    ]
    assert episodes_of(alerts, 9 * 10**9) == [
        Episode("gate", "crowd", 10**9, 4 * 10**9, 1, 3.0),
        Episode("gate", "crowd", 7 * 10**9, 9 * 10**9, 7, 2.0),
    ]


def test_kept_lost_and_gained() -> None:
    a = [episode(0, 10), episode(20, 30), episode(40, 50), episode(60, 61)]
    b = [episode(2, 3), episode(4, 9), episode(30, 35), episode(60, 61, "other"),
         episode(40, 50, stream="door")]  # fmt: skip
    found = compare_episodes(a, b)
    # The longest overlap wins; touching is enough; rule and stream must be the same.
    assert found == AlertChanges(((a[0], b[1]), (a[1], b[2])), (a[2], a[3]), (b[0], b[3], b[4]))
    assert found.later_seconds == 7.0
    assert found.to_json() == {
        "kept": 2,
        "lost": [
            {"stream": "gate", "rule": "crowd", "opened": "1970-01-01T00:00:40.000000000Z",
             "seconds": 10.0, "sequence": 40, "peak": 2.0},
            {"stream": "gate", "rule": "crowd", "opened": "1970-01-01T00:01:00.000000000Z",
             "seconds": 1.0, "sequence": 60, "peak": 2.0},
        ],
        "gained": [one.to_json() for one in (b[0], b[3], b[4])],
        "opened_later_seconds": 7.0,
    }  # fmt: skip


def test_nothing_at_all() -> None:
    assert compare_episodes([], []).to_json() == {
        "kept": 0, "lost": [], "gained": [], "opened_later_seconds": None,
    }  # fmt: skip
