"""Commands about the retraining queue: what waits in it, out to be labelled, and labels back in."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.markup import escape
from rich.table import Table

from connectors.codec import iso_time
from connectors.labels import LABEL_FILES, ImportSettings, LabelFormat
from connectors.labels.exchange import read_json, write_json
from connectors.queue import RetrainingQueue
from connectors.queue_codec import item_to_json, label_to_json
from connectors.queue_items import ItemState
from flows.output import EXIT_FAILURE, JsonOption, console, note, print_json, print_text
from flows.selectors import SELECTORS, Selection
from records import SightflowError
from records.checks import check_count, check_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from connectors.labels import Imported
    from connectors.queue_items import StoredItem
    from operators.selection import Choice, Fires
    from records import RetrainingItem

app = typer.Typer(
    name="queue",
    help="The retraining queue: what waits for labels, out to be labelled, and back in.",
    no_args_is_help=True,
)

CHOICES = "choices.json"
"""The file beside exported labels that tells why each item was chosen, and how likely that was."""

QueueArgument = Annotated[Path, typer.Argument(metavar="QUEUE", help="The queue, a SQLite file.")]
StreamOption = Annotated[str | None, typer.Option(help="Only items of this stream.")]
FormatOption = Annotated[LabelFormat, typer.Option("--format", help="The tool's format.")]
ClassOption = Annotated[
    list[str] | None, typer.Option("--class", help="A class to label; may be given several times.")
]


@app.command("list")
def list_items(
    queue: QueueArgument,
    *,
    state: Annotated[ItemState | None, typer.Option(help="Only items that stand so.")] = None,
    stream: StreamOption = None,
    last: Annotated[int, typer.Option(min=0, help="Show this many, the latest; 0 = all.")] = 50,
    json: JsonOption = False,
) -> None:
    """List the items of a retraining queue, and what became of those that left it."""
    with RetrainingQueue(queue, mode="ro") as opened:
        found = opened.items(state, stream)
        tally, classes = opened.tally(), opened.classes()
    shown = found[-last:] if last else found
    states = Counter(one.state.value for one in found)
    if json:
        items = [_to_json(one) for one in shown]
        print_json({"ok": True, "total": len(found), "states": dict(states), "tally": tally,
                    "classes": list(classes), "items": items})  # fmt: skip
        return
    console().print(_table(shown))
    if len(shown) < len(found):
        note(f"{len(found) - len(shown)} earlier ones are not shown; say --last 0 for all")
    print_text(", ".join(f"{count} {name}" for name, count in tally.items()) or "nothing was added")


@app.command("export")
def export_items(
    queue: QueueArgument,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where to; new, or empty.")],
    *,
    form: FormatOption,
    select: Annotated[Selection, typer.Option(help="How items are chosen.")] = Selection.VALUABLE,
    most: Annotated[int, typer.Option(min=1, help="Choose at most so many.")] = 100,
    classes: ClassOption = None,
    stream: StreamOption = None,
    again: Annotated[bool, typer.Option("--again", help="Also what was exported before.")] = False,
    fires: Annotated[
        Path | None,
        typer.Option(help="For bal: JSON, a list of {assertion: fires on the probe set} by round."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides what is drawn.")] = 0,
    json: JsonOption = False,
) -> None:
    """Choose items, and write them with their pictures and weak labels for a labelling tool."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SightflowError(f"{folder} must be a new or empty folder; name another")
    counted = _fires(fires)
    with RetrainingQueue(queue, mode="rw") as opened:
        pool = [
            one.item
            for one in opened.items(stream=stream)
            if one.state is ItemState.WAITING or (again and one.state is ItemState.EXPORTED)
        ]
        chosen = SELECTORS[select](pool, most, np.random.default_rng(seed), counted)
        items = [choice.item for choice in chosen]
        names = tuple(dict.fromkeys(classes or (*opened.classes(), *_weak_classes(items))))
        _check_classes(names)
        entries = [(item, opened.crop(item.id)) for item in items]
        done = LABEL_FILES[form].write(folder, entries, names)
        write_json(folder / CHOICES, [_choice_to_json(choice) for choice in chosen])
        opened.add_classes(names)
        opened.exported(done.written)
    result = {"ok": not done.skipped, "folder": str(folder), "format": form.value,
              "waiting": len(pool), "written": list(done.written),
              "skipped": dict(done.skipped), "classes": list(names)}  # fmt: skip
    if json:
        print_json(result)
    else:
        print_text(f"{len(done.written)} of {len(pool)} items written to {folder}")
        for item_id, reason in done.skipped.items():
            note(f"{item_id} was skipped: {reason}")
    if done.skipped:
        raise typer.Exit(EXIT_FAILURE)


@app.command("import")
def import_labels(
    queue: QueueArgument,
    path: Annotated[Path, typer.Argument(metavar="FILE", help="The labels, a file or a folder.")],
    *,
    form: FormatOption,
    classes: ClassOption = None,
    empty: Annotated[
        bool, typer.Option("--empty", help="A picture without boxes says: nothing is there.")
    ] = False,
    accept_auto: Annotated[
        bool, typer.Option("--accept-auto", help="CVAT's untouched boxes were looked at.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Read what people have labelled into the queue; whatever is wrong is told with its place."""
    with RetrainingQueue(queue, mode="rw") as opened:
        names = tuple(dict.fromkeys((*opened.classes(), *(classes or ()))))
        _check_classes(names)
        known = [one.item for one in opened.items()]
        settings = ImportSettings(names, empty=empty, accept_auto=accept_auto)
        found = LABEL_FILES[form].read(path, known, settings)
        opened.add_classes(names)
        opened.label(found.labels, time.time_ns())
    if json:
        print_json({"ok": not found.refused, "labelled": list(found.labels),
                    "unlabelled": list(found.unlabelled),
                    "refused": [{"place": one.place, "problem": one.problem}
                                for one in found.refused]})  # fmt: skip
    else:
        _tell_imported(found)
    if found.refused:
        raise typer.Exit(EXIT_FAILURE)


def _tell_imported(found: Imported) -> None:
    print_text(f"{len(found.labels)} items labelled, {len(found.unlabelled)} not labelled yet")
    for one in found.refused:
        note(f"{one.place}: {one.problem}")
    if found.refused:
        note("what is refused was left as it was; mend it and import again")


def _check_classes(names: Sequence[str]) -> None:
    if not names:
        raise SightflowError("the classes must be known: no weak label names one; say --class NAME")
    for name in names:
        check_name("--class", name)


def _weak_classes(items: Iterable[RetrainingItem]) -> list[str]:
    """The classes that weak labels name, in order of their names."""
    found: set[str] = set()
    for label in (item.label for item in items if item.label is not None):
        found |= {label.class_name} if label.boxes is None else set(label.boxes.classes)
    return sorted(found)


def _fires(path: Path | None) -> list[Fires]:
    if path is None:
        return []
    found = read_json(path)
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise SightflowError(
            f"{path} must be a list of objects, one a round, of fires by assertion"
        )
    for one in found:
        for name, count in one.items():
            check_count(f"{path}: the fires of {name}", count)
    return found


def _choice_to_json(choice: Choice) -> dict[str, Any]:
    item = choice.item
    return {
        "id": item.id,
        "name": item.name,
        "reason": choice.reason.value,
        "assertion": choice.assertion,
        "probability": choice.probability,
        "propensity": item.propensity,
        "label": None if item.label is None else label_to_json(item.label),
    }


def _to_json(stored: StoredItem) -> dict[str, Any]:
    label = None if stored.label is None else label_to_json(stored.label)
    state = {"state": stored.state.value, "added": iso_time(stored.added_ns)}
    return item_to_json(stored.item) | state | {"human_label": label}


def _table(stored: Sequence[StoredItem]) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in ("Item", "State", "Origin", "Flags", "Priority", "Weak label"):
        table.add_column(title, justify="right" if title == "Priority" else "left", overflow="fold")
    for one in stored:
        item = one.item
        flags = ", ".join(f"{flag.assertion} {flag.severity:.3g}" for flag in item.flags)
        cells = [item.id, one.state.value, ", ".join(item.origins), flags, f"{item.priority:.2f}",
                 _weak_text(item)]  # fmt: skip
        table.add_row(*(escape(cell) for cell in cells))
    return table


def _weak_text(item: RetrainingItem) -> str:
    label = item.label
    if label is None:
        return ""
    what = label.class_name if label.boxes is None else f"{len(label.boxes)} boxes"
    right = "" if label.probability is None else f", right with {label.probability:.2f}"
    return f"{what} by {label.source}{right}"
