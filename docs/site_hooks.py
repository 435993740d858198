"""What the site needs beyond its pages: pictures of results, and no links out of it.

Pages are read in the repository too, where they link to files beside `docs/`. On the site a
picture of these is copied, and any other link becomes the file's path.
https://www.mkdocs.org/dev-guide/plugins/#events
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

PICTURES = "benchmarks/results"
"""Where the pictures lie, from the repository's root."""

_PICTURE = re.compile(rf"\]\((?P<up>(?:\.\./)*)\.\./{PICTURES}/(?P<name>[\w-]+\.png)\)")
_OUTSIDE = re.compile(r"\[(?P<text>[^\]]*)\]\((?:\.\./)+(?P<path>(?:benchmarks|configs)[^)]*)\)")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pictures of results to the site, in `pictures/`."""
    root = Path(config.config_file_path).parent
    for path in sorted((root / PICTURES).glob("*.png")):
        files.append(File.generated(config, f"pictures/{path.name}", abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Make links to files beside the pages those of the site."""
    markdown = _PICTURE.sub(r"](\g<up>pictures/\g<name>)", markdown)
    return _OUTSIDE.sub(lambda found: f"{found['text']} (`{found['path']}`)", markdown)
