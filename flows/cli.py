"""The command line: ``sightflow COMMAND``.

Every command takes ``--json``. Results go to standard output, logs and progress to standard error.
Exit codes: 0 all went well, 1 something failed, 2 wrong usage, 3 a wrong configuration.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from flows.lazy_commands import Lazy, lazy_group
from flows.output import EXIT_FAILURE, fail
from flows.ui_option import with_address
from records import SightflowError

if TYPE_CHECKING:
    from collections.abc import Sequence

EVALUATE = {
    "cascade": Lazy(
        "flows.commands.evaluate:cascade",
        "Find a cascade on the first half of a video, and judge it on the second.",
    ),
    "aggregate": Lazy(
        "flows.commands.evaluate_traces:aggregate",
        "Judge estimators of windowed averages: error, interval, coverage, and calls.",
    ),
    "limit": Lazy(
        "flows.commands.evaluate_traces:limit",
        "Count the reference calls until so many frames are found, in several orders.",
    ),
    "assertions": Lazy(
        "flows.commands.evaluate_assertions:assertions",
        "Judge assertions against truth: precision, recall, corrections, what they cost.",
    ),
    "replay": Lazy(
        "flows.commands.evaluate_replay:compare",
        "Replay one recording for two configurations, compare them, and write a report.",
    ),
    "ecg": Lazy(
        "flows.commands.evaluate_ecg:ecg",
        "Train a model of ECG rhythm, and judge it and its corrections on unseen records.",
    ),
    "retraining": Lazy(
        "flows.commands.evaluate_retraining:retraining",
        "Compare selections of ECG records to label: learning curves, paired with random choice.",
    ),
}
"""The commands that judge."""

evaluate = typer.Typer(
    name="evaluate",
    cls=lazy_group(EVALUATE),
    help="Judge a part of the system on recorded data.",
    no_args_is_help=True,
)


@evaluate.callback()
def _evaluate() -> None:
    """A group needs a function of its own."""


COMMANDS = {
    "demo": Lazy(
        "flows.commands.running:demo",
        "Run a real clip through the whole system: cascade, alert, signed webhook, event log.",
    ),
    "run": Lazy(
        "flows.commands.running:run",
        "Run a configuration until its inputs end, or until Ctrl-C ends it cleanly.",
    ),
    "ui": Lazy(
        "flows.commands.ui:ui",
        "Show a recorded run on a web page, with its past, until Ctrl-C ends it.",
    ),
    "replay": Lazy(
        "flows.commands.replay:replay",
        "Replay an event log, videos or a range of a topic through a configuration.",
    ),
    "train": Lazy(
        "flows.commands.train:train",
        "Train a model from the retraining queue, beside the running flow, until Ctrl-C ends it.",
    ),
    "plan": Lazy(
        "flows.commands.plan:plan",
        "Find how to split the training of a model over devices, and predict a step of it.",
    ),
    "query": Lazy(
        "flows.commands.query:query",
        "Answer a question about streams, in FrameQL, with honest intervals.",
    ),
    "validate": Lazy(
        "flows.commands.configuration:validate",
        "Check a configuration and everything it names, without running it.",
    ),
    "schema": Lazy(
        "flows.commands.configuration:schema",
        "Print the JSON schema of configurations, for editors and checks.",
    ),
    "init": Lazy(
        "flows.commands.configuration:init",
        "Write a configuration to start from, with every key explained.",
    ),
    "doctor": Lazy(
        "flows.commands.information:doctor",
        "Look for what would keep a run from working, and say the cure.",
    ),
    "evaluate": Lazy("flows.cli:evaluate", "Judge a part of the system on recorded data."),
    "alerts": Lazy("flows.commands.alerts:app", "Alerts, and what became of their webhooks."),
    "deadletters": Lazy(
        "flows.commands.deadletters:app",
        "Messages of Kafka that were not understood, or not written.",
    ),
    "queue": Lazy(
        "flows.commands.queue:app",
        "The retraining queue: what waits for labels, out to be labelled, and back in.",
    ),
    "models": Lazy(
        "flows.commands.models:app",
        "Trained models: their versions, and which of them is in force.",
    ),
    "assets": Lazy("flows.commands.assets:app", "Models and clips that are fetched by name."),
    "version": Lazy(
        "flows.commands.information:version",
        "Print the versions of Sightflow and of what shapes its results.",
    ),
}
"""The commands, in the order in which help lists them."""

app = typer.Typer(
    name="sightflow",
    cls=lazy_group(COMMANDS),
    help="Watch live video cheaply: cascades, alerts, an event log to replay.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _sightflow() -> None:
    """A group needs a function of its own."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; exits the process.

    Args:
        arguments: The words after ``sightflow``; those of the process by default.
    """
    words = with_address(sys.argv[1:] if arguments is None else arguments)
    try:
        app(words)
    except SightflowError as error:
        sys.exit(fail(error, as_json="--json" in words))
    except KeyboardInterrupt:
        sys.stderr.write("stopped at once, by a second interrupt\n")
        sys.exit(EXIT_FAILURE)


if __name__ == "__main__":
    main()
