"""What commands print: results on standard output, logs and progress on standard error."""

from __future__ import annotations

import json
import logging
import re
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import structlog
import typer
from rich.console import Console
from typing_extensions import override

from records import AssetError, ConfigurationError, QueryError, SightflowError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import ConsoleOptions, RenderableType
    from rich.segment import Segment
    from structlog.typing import EventDict

_UNSAFE = re.compile("[\x7f-\x9f\ud800-\udfff]")

EXIT_FAILURE = 1
"""Something failed."""

EXIT_USAGE = 2
"""Wrong usage: of options, which typer handles, or of the query language."""

EXIT_CONFIGURATION = 3
"""The configuration is wrong."""

JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
"""The option that every command takes."""

ConfigurationArgument = Annotated[
    Path, typer.Argument(metavar="CONFIG", help="The configuration, a YAML file.")
]
"""The configuration file that a command works on."""


class _PlainConsole(Console):
    """A console on which no text steers the terminal, in whatever table or panel it stands."""

    @override
    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                yield segment._replace(text=printable(segment.text))


def console() -> Console:
    """Where tables and pictures of state go: standard output."""
    return _PlainConsole(highlight=False, soft_wrap=False, emoji=False)


def error_console() -> Console:
    """Where logs and progress go: standard error."""
    return _PlainConsole(stderr=True, highlight=False, emoji=False)


def printable(text: str) -> str:
    r"""Text in which nothing can steer a terminal: what does not print is replaced.

    >>> printable("a\x1b[2Jb\tc\n")
    'a\ufffd[2Jb\tc\n'
    """
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() or each in "\n\t" else "\N{REPLACEMENT CHARACTER}"
        for each in text
    )


def print_json(value: object) -> None:
    """Print a result as one JSON document."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    # What JSON leaves as it is, and no stream of UTF-8 can carry or no terminal should get.
    sys.stdout.write(_UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n")
    sys.stdout.flush()


def print_text(text: str) -> None:
    """Print a result as plain text."""
    sys.stdout.write(printable(text) + "\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """Tell a person something beside the result, on standard error."""
    error_console().print(text, markup=False, soft_wrap=True)


def fail(error: SightflowError, *, as_json: bool) -> int:
    """Tell of an error and give the exit code that goes with it."""
    if as_json:
        print_json(error_json(error))
    else:
        error_console().print(f"error: {error}", markup=False, style="red", soft_wrap=True)
    if isinstance(error, QueryError):
        return EXIT_USAGE
    return EXIT_CONFIGURATION if isinstance(error, ConfigurationError) else EXIT_FAILURE


def error_json(error: SightflowError) -> dict[str, Any]:
    """An error as plain JSON values."""
    value: dict[str, Any] = {"ok": False, "error": type(error).__name__, "message": str(error)}
    if isinstance(error, ConfigurationError):
        value["faults"] = [asdict(fault) for fault in error.faults]
    if isinstance(error, AssetError):
        value["attempts"] = list(error.attempts)
    return value


def _plain(_: object, __: str, event: EventDict) -> EventDict:
    """A log entry whose texts cannot steer a terminal."""
    return {
        name: printable(value) if isinstance(value, str) else value for name, value in event.items()
    }


def set_up_logs(*, verbose: bool = False) -> None:
    """Send logs to standard error: for people on a terminal, as JSON lines elsewhere."""
    terminal = sys.stderr.isatty()
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=terminal)
        if terminal
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            *([_plain] if terminal else []),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.DEBUG if verbose else logging.INFO
        ),
        # Looked up for each logger, since a progress display puts its own stream in its place.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )
