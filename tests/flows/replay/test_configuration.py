from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flows import config
from flows.config import ConsoleSection
from flows.replay import load_for_replay
from flows.replay.configuration import kept_sinks, left_out_sinks, no_sinks
from records import ConfigurationError
from tests.support.configurations import ENVIRONMENT, WHOLE

if TYPE_CHECKING:
    from pathlib import Path

AWAY = """\
version: 1
name: away
streams: {gate: {uri: gone.mp4}}
detector: {model: silhouette, weights: gone.png}
sinks:
  webhooks: [{url: "https://example.com/x", secrets: ["${NOT_SET}"]}]
"""


def test_inputs_models_and_secrets_need_not_be_there(tmp_path: Path) -> None:
    path = tmp_path / "away.yaml"
    path.write_text(AWAY, encoding="utf-8")
    configuration, text = load_for_replay(path, deliver=False)
    assert (configuration.name, list(configuration.streams), text) == ("away", ["gate"], AWAY)
    with pytest.raises(ConfigurationError) as error:
        load_for_replay(path, deliver=True)
    assert [fault.key for fault in error.value.faults] == ["sinks.webhooks[0].secrets[0]"]


def test_all_else_must_be_right(tmp_path: Path) -> None:
    path = tmp_path / "away.yaml"
    path.write_text(AWAY + "windows: 3\n", encoding="utf-8")
    with pytest.raises(ConfigurationError) as error:
        load_for_replay(path, deliver=False)
    assert [fault.key for fault in error.value.faults] == ["windows"]


def test_the_sinks_of_a_replay(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").touch()
    more = "    - {path: 'other/out.jsonl'}\n    - {path: '-', kinds: [alert]}\n  console:"
    text = WHOLE.replace("  console:", more)
    configuration = config.parse(text, "a.yaml", tmp_path, ENVIRONMENT)
    kept = kept_sinks(configuration, tmp_path / "run", deliver=False)
    assert [lines.path for lines in kept.sinks.json_lines] == [
        str(tmp_path / "run" / "out.jsonl"), str(tmp_path / "run" / "other-out.jsonl"), "-",
    ]  # fmt: skip
    assert kept.sinks.event_log == configuration.sinks.event_log
    assert kept.sinks.console == ConsoleSection(kinds=["alert"])
    assert (kept.sinks.webhooks, kept.kafka) == ([], None)
    assert left_out_sinks(configuration) == ("webhooks",)
    delivering = kept_sinks(configuration, tmp_path / "run", deliver=True)
    assert delivering.sinks.webhooks == configuration.sinks.webhooks
    nothing = no_sinks(configuration).sinks
    assert (nothing.event_log, nothing.json_lines, nothing.console) == (None, [], None)


def test_kafka_is_written_to_only_where_it_is_asked_for(tmp_path: Path) -> None:
    text = (
        "version: 1\nname: n\nkafka:\n  servers: ['a:9092']\n"
        "  read: {topics: {x.frames: frames}}\n  write: {}\n"
    )
    configuration = config.parse(text, "a.yaml", tmp_path, {})
    assert left_out_sinks(configuration) == ("kafka",)
    assert kept_sinks(configuration, tmp_path, deliver=False).kafka is None
    kafka = kept_sinks(configuration, tmp_path, deliver=True).kafka
    assert kafka is not None
    assert (kafka.read, kafka.write is not None) == (None, True)


def test_the_retraining_queue_is_written_to_only_where_it_is_asked_for(tmp_path: Path) -> None:
    text = AWAY.replace("gone.mp4", "clip.mp4").partition("detector")[0]
    (tmp_path / "clip.mp4").touch()
    nowhere = text + "retraining: {}\n"
    (tmp_path / "away.yaml").write_text(nowhere, encoding="utf-8")
    load_for_replay(tmp_path / "away.yaml", deliver=False)
    configuration = config.parse(text + "retraining: {queue: q.sqlite3}\n", "a.yaml", tmp_path, {})
    assert left_out_sinks(configuration) == ("retraining",)
    assert kept_sinks(configuration, tmp_path, deliver=False).retraining is None
    kept = kept_sinks(configuration, tmp_path, deliver=True)
    assert kept.retraining == configuration.retraining
    assert no_sinks(configuration).retraining is None
