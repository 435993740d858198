"""The command line: ``sightflow COMMAND``.

Every command takes ``--json``. Results go to standard output, logs and progress to standard error.
Exit codes: 0 all went well, 1 something failed, 2 wrong usage, 3 a wrong configuration.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from flows.commands import (
    alerts,
    assets,
    configuration,
    deadletters,
    evaluate,
    evaluate_assertions,
    evaluate_ecg,
    evaluate_replay,
    evaluate_traces,
    information,
    models,
    query,
    queue,
    replay,
    running,
)
from flows.output import EXIT_FAILURE, fail
from records import SightflowError

if TYPE_CHECKING:
    from collections.abc import Sequence

app = typer.Typer(
    name="sightflow",
    help="Watch live video cheaply: cascades, alerts, an event log to replay.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command()(running.demo)
app.command()(running.run)
app.command()(replay.replay)
app.command()(query.query)
app.command()(configuration.validate)
app.command()(configuration.schema)
app.command()(configuration.init)
app.command()(information.doctor)
evaluate.app.command("aggregate")(evaluate_traces.aggregate)
evaluate.app.command("limit")(evaluate_traces.limit)
evaluate.app.command("assertions")(evaluate_assertions.assertions)
evaluate.app.command("replay")(evaluate_replay.compare)
evaluate.app.command("ecg")(evaluate_ecg.ecg)
app.add_typer(evaluate.app)
app.add_typer(alerts.app)
app.add_typer(deadletters.app)
app.add_typer(queue.app)
app.add_typer(models.app)
app.add_typer(assets.app)
app.command()(information.version)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; exits the process.

    Args:
        arguments: The words after ``sightflow``; those of the process by default.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        app(words)
    except SightflowError as error:
        sys.exit(fail(error, as_json="--json" in words))
    except KeyboardInterrupt:
        sys.stderr.write("stopped at once, by a second interrupt\n")
        sys.exit(EXIT_FAILURE)


if __name__ == "__main__":
    main()
