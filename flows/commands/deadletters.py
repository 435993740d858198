"""Commands about dead letters: messages of Kafka that were not understood, or not written."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from connectors.codec import iso_time
from connectors.kafka import LetterBox, LetterFilter, Reason
from connectors.kafka.headers import parse_time
from flows import config
from flows.kafka import kafka_settings
from flows.output import (
    EXIT_FAILURE,
    ConfigurationArgument,
    JsonOption,
    console,
    note,
    print_json,
    print_text,
)
from records import ConfigurationError, Fault, RecordError

if TYPE_CHECKING:
    from pathlib import Path

    from connectors.kafka import StoredLetter

app = typer.Typer(
    name="deadletters",
    help="Messages of Kafka that were not understood, or not written.",
    no_args_is_help=True,
)

ReasonOption = Annotated[Reason | None, typer.Option(help="Only those that failed for this.")]
TopicOption = Annotated[str | None, typer.Option(help="Only those of this original topic.")]
SinceOption = Annotated[
    str | None, typer.Option(help="Only originals from this time on: 2026-05-01T08:00:00Z.")
]
UntilOption = Annotated[str | None, typer.Option(help="Only originals before this time.")]

_NANOSECONDS_A_MILLISECOND = 1_000_000
_SHOWN_BYTES = 40


@app.command("list")
def list_letters(
    path: ConfigurationArgument,
    *,
    reason: ReasonOption = None,
    topic: TopicOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    most: Annotated[int, typer.Option(min=1, help="Show this many, the oldest first.")] = 50,
    json: JsonOption = False,
) -> None:
    """List dead letters of the cluster of a configuration, with reason and original place."""
    box = _box(path)
    letters = list(box.letters(_filter(reason, topic, since, until, most)))
    if json:
        print_json(
            {
                "ok": True,
                "letters": [_to_json(one) for one in letters],
                "unreadable": list(box.unreadable),
            }
        )
        return
    console().print(_table(letters))
    if len(letters) == most:
        note(f"only the oldest {most} are shown; say --most for more")
    for line in box.unreadable:
        note(line)


@app.command("replay")
def replay_letters(
    path: ConfigurationArgument,
    *,
    reason: ReasonOption = None,
    topic: TopicOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    most: Annotated[int | None, typer.Option(min=1, help="At most this many.")] = None,
    json: JsonOption = False,
) -> None:
    """Send dead letters to their original topics again, say after a mended producer or limit."""
    box = _box(path)
    report = box.replay(list(box.letters(_filter(reason, topic, since, until, most))))
    good = not report.skipped
    if json:
        print_json(
            {
                "ok": good,
                "replayed": dict(report.replayed),
                "skipped": dict(report.skipped),
                "unreadable": list(box.unreadable),
            }
        )
    else:
        print_text("\n".join(_report_lines(report.replayed, report.skipped)))
    if not good:
        raise typer.Exit(EXIT_FAILURE)


def _report_lines(replayed: Any, skipped: Any) -> list[str]:  # noqa: ANN401 - two mappings
    lines = [f"{count} sent again to {topic}" for topic, count in sorted(replayed.items())]
    lines += [f"{count} not sent: {why}" for why, count in sorted(skipped.items())]
    return lines or ["there are no such dead letters"]


def _box(path: Path) -> LetterBox:
    configuration, _ = config.load(path)
    section = configuration.kafka
    if section is None:
        remedy = "Name the cluster whose dead letters are meant."
        raise ConfigurationError([Fault(str(path), 0, "kafka", "", "is missing", remedy)])
    return LetterBox(kafka_settings(section, path.parent))


def _filter(
    reason: Reason | None, topic: str | None, since: str | None, until: str | None, most: int | None
) -> LetterFilter:
    return LetterFilter(reason, topic, _time("--since", since), _time("--until", until), most)


def _time(option: str, text: str | None) -> int | None:
    try:
        return None if text is None else parse_time(text)
    except RecordError as error:
        raise typer.BadParameter(f"{option}: {error}") from error


def _to_json(stored: StoredLetter) -> dict[str, Any]:
    letter, message = stored.letter, stored.letter.message
    return {
        "id": stored.id,
        "reason": str(letter.reason),
        "detail": letter.detail,
        "topic": message.topic,
        "partition": message.partition,
        "offset": message.offset,
        "time": _when(stored) or None,
        "key": None if message.key is None else message.key.decode(errors="replace"),
        "headers": {
            name: (value or b"").decode(errors="replace") for name, value in message.headers
        },
        "value": None if message.value is None else base64.b64encode(message.value).decode(),
        "truncated": stored.truncated,
        "replays": message.replays,
    }


def _when(stored: StoredLetter) -> str:
    milliseconds = stored.letter.message.time_ms
    return iso_time(milliseconds * _NANOSECONDS_A_MILLISECOND) if milliseconds >= 0 else ""


def _table(letters: list[StoredLetter]) -> Table:
    table = Table(title=f"{len(letters)} dead letters", title_justify="left")
    for title in ("Id", "Time", "From", "Reason", "Detail", "Begins with"):
        table.add_column(title, overflow="fold")
    for stored in letters:
        message = stored.letter.message
        never = message.offset < 0
        place = f"{message.topic}, never sent" if never else message.id
        begin = (message.value or b"")[:_SHOWN_BYTES].decode("ascii", errors="replace")
        table.add_row(
            stored.id,
            _when(stored)[: len("1970-01-01T00:00:00")],
            escape(place),
            str(stored.letter.reason),
            escape(stored.letter.detail),
            escape("".join(each if each.isprintable() else "·" for each in begin)),
        )
    return table
