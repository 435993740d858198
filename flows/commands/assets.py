"""Commands about assets: the models and clips that Sightflow fetches by name."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from flows.output import EXIT_FAILURE, JsonOption, console, fail, note, print_json, print_text
from flows.progress import download_progress
from models.asset_catalogue import ASSETS
from models.assets import fetch, located
from records import AssetError

app = typer.Typer(name="assets", help="Models and clips that are fetched by name.",
                  no_args_is_help=True)  # fmt: skip


@app.command("list")
def list_assets(*, json: JsonOption = False) -> None:
    """List the assets, where they are, and their licences."""
    rows = [_row(name) for name in ASSETS]
    if json:
        print_json({"assets": rows})
        return
    table = Table(box=None, pad_edge=False)
    for title in ("Asset", "Size", "Licence", "Where"):
        table.add_column(title, justify="right" if title == "Size" else "left", overflow="fold")
    for row in rows:
        size = f"{row['bytes'] / 1e6:.1f} MB"
        table.add_row(row["name"], size, row["licence"], row["path"] or "not fetched")
    console().print(table)


@app.command("fetch")
def fetch_assets(
    names: Annotated[list[str], typer.Argument(help="The assets' names; 'all' for every one.")],
    *,
    json: JsonOption = False,
) -> None:
    """Fetch assets into the cache, unless they are there already."""
    wanted = list(ASSETS) if names == ["all"] else names
    unknown = [name for name in wanted if name not in ASSETS]
    if unknown:
        known = ", ".join(ASSETS)
        raise typer.BadParameter(f"no asset named {', '.join(unknown)}; there are: {known}")
    rows, failed = [], False
    for name in wanted:
        try:
            with download_progress(name) as progress:
                path = fetch(name, progress=progress)
        except AssetError as error:
            failed = True
            rows.append({"name": name, "path": None, "attempts": list(error.attempts)})
            if not json:
                fail(error, as_json=False)
        else:
            rows.append({"name": name, "path": str(path), "attempts": []})
            if not json:
                print_text(f"{name}: {path}")
    if json:
        print_json({"ok": not failed, "assets": rows})
    elif failed:
        note("Some assets could not be fetched.")
    if failed:
        raise typer.Exit(EXIT_FAILURE)


def _row(name: str) -> dict[str, Any]:
    asset, path = ASSETS[name], located(name)
    return {
        "name": name,
        "bytes": asset.size,
        "sha256": asset.sha256,
        "licence": asset.licence,
        "path": None if path is None else str(path),
    }
