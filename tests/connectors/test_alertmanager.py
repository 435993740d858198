from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from connectors.alertmanager import alertmanager_body
from records import Alert, AlertState, RecordError
from tests.support.records import alert

ADDRESS = "https://watch.example.org"


def body(*alerts: Alert) -> dict[str, Any]:
    made = alertmanager_body(alerts, receiver="desk", external_url=ADDRESS)
    assert json.loads(json.dumps(made)) == made
    return made


def test_the_body_of_one_open_episode() -> None:
    labels = {"alertname": "crowd", "stream": "gate", "object": "12"}
    annotations = {
        "summary": "6 persons, at most 4 allowed",
        "severity": "1.5",
        "value": "6",
        "peak": "6",
        "count": "3",
        "episode": "gate:crowd:12:0",
        "stage": "reference",
        "model": "yolox_nano",
        "configuration": "ab12",
    }
    assert body(replace(alert(), object="12", count=3)) == {
        "version": "4",
        "groupKey": '{}:{alertname="crowd", stream="gate"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "desk",
        "groupLabels": {"alertname": "crowd", "stream": "gate"},
        "commonLabels": labels,
        "commonAnnotations": annotations,
        "externalURL": ADDRESS,
        "alerts": [
            {
                "status": "firing",
                "labels": labels,
                "annotations": annotations,
                "startsAt": "2023-11-14T22:13:20.000000000Z",
                "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": ADDRESS,
                "fingerprint": "38ed0e3abe420767",
            }
        ],
    }


def test_a_closed_episode_is_resolved_when_it_closed() -> None:
    opened = alert()
    closed = replace(
        opened, state=AlertState.CLOSED, time_ns=opened.time_ns + 2 * 10**9, sequence=20
    )
    made = body(opened, closed)
    assert made["status"] == "resolved"
    (shown,) = made["alerts"]
    assert (shown["status"], shown["startsAt"], shown["endsAt"]) == (
        "resolved",
        "2023-11-14T22:13:20.000000000Z",
        "2023-11-14T22:13:22.000000000Z",
    )
    assert shown["fingerprint"] == body(opened)["alerts"][0]["fingerprint"]


def test_episodes_of_several_streams_share_what_they_share() -> None:
    other = replace(alert("yard"), state=AlertState.CLOSED)
    made = body(alert(), other)
    assert made["status"] == "firing"
    assert [each["status"] for each in made["alerts"]] == ["firing", "resolved"]
    assert made["groupLabels"] == made["commonLabels"] == {"alertname": "crowd"}
    assert made["groupKey"] == '{}:{alertname="crowd"}'
    assert made["alerts"][0]["fingerprint"] != made["alerts"][1]["fingerprint"]
    assert body(alert(), replace(alert("yard"), rule="empty"))["groupKey"] == "{}:{}"


@pytest.mark.parametrize(("count", "got"), [(0, "0"), (10_001, "10001")])
def test_too_few_and_too_many_are_refused(count: int, got: str) -> None:
    with pytest.raises(RecordError, match=f"^alerts must be 1 to 10000, got {got}$"):
        alertmanager_body([alert()] * count)
