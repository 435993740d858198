"""The fenced blocks of documentation pages, and running them as they are printed."""

from __future__ import annotations

import contextlib
import io
import os
import re
import runpy
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML
from typer.main import get_command

from flows import config
from flows.cli import app, main
from flows.config.model import Configuration
from flows.query.parse import parse as parse_query
from flows.ui_option import with_address
from models.soap.machine_file import read_machine
from records.errors import SightflowError
from tests.support.webhooks import SECRET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

ROOT = Path(__file__).resolve().parents[2]
"""The folder of the whole project."""

PROCESS_SECONDS = 120.0
"""How long a process that a page starts may take, on a busy machine."""

_BLOCK = re.compile(
    r"(?:<!-- not run: (?P<reason>[^\n]*?) -->\n+)?^(?P<indent> *)```(?P<language>[\w-]*)[^\n]*\n"
    r"(?P<text>.*?)^(?P=indent)```$",
    re.DOTALL | re.MULTILINE,
)
_FILE = re.compile(r"# (?P<name>[\w/-]+\.(?:py|yaml))\b")
_REFERENCE = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True)
class Block:
    """One fenced block of a page.

    Attributes:
        place: The page and the line, for messages.
        language: What the fence says it is; "" for plain text.
        text: What stands in it.
        reason: Why it is not run; None where it is.
    """

    place: str
    language: str
    text: str
    reason: str | None

    @property
    def file(self) -> str:
        """The file that a first line ``# NAME.py`` or ``# NAME.yaml`` names, else ""."""
        found = _FILE.match(self.text)
        return "" if found is None else found["name"]


def pages() -> list[Path]:
    """All pages with blocks: the README and docs/."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    name = page.relative_to(ROOT)
    return [
        Block(
            f"{name}:{text.count(chr(10), 0, found.start('indent')) + 1}",
            found["language"],
            re.sub(f"^{found['indent']}", "", found["text"], flags=re.MULTILINE),
            found["reason"],
        )
        for found in _BLOCK.finditer(text)
    ]


def commands(text: str) -> Iterator[list[str]]:
    """The commands of a shell block as lists of words, without comments and prompts."""
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line.removeprefix("$ "), comments=True)
        if words:
            yield words


def check_words(words: list[str]) -> None:
    """Check that a command of ours and its options exist, without running it."""
    if Path(words[0]).name != "sightflow":
        return
    command: Any = get_command(app)
    rest = with_address(words[1:])
    while hasattr(command, "commands"):
        assert rest, words
        assert rest[0] in command.commands, words
        command, rest = command.commands[rest[0]], rest[1:]
    context = command.context_class(command, info_name=words[0])
    command.make_parser(context).parse_args(list(rest))


@dataclass
class Page:
    """A page that is being worked through, in a folder of its own.

    Attributes:
        folder: The working folder.
        replaced: Addresses in the page, and what stands in for them here.
        after: What a person does after a command that begins so.
        names: What the page's Python blocks have defined.
    """

    folder: Path
    replaced: Mapping[str, str] = field(default_factory=dict)
    after: Mapping[str, Callable[[], None]] = field(default_factory=dict)
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "__main__"})

    def run(self, block: Block) -> None:
        """Run or check one block."""
        text = block.text
        if block.reason is not None:
            if block.language in {"sh", "console"}:
                for words in commands(text):
                    check_words(words)
            return
        for old, new in self.replaced.items():
            text = text.replace(old, new)
        if block.file:
            path = self.folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        self._work(block, text)

    def _work(self, block: Block, text: str) -> None:
        match block.language:
            case "python":
                exec(compile(text, block.place, "exec"), self.names)  # noqa: S102 - our own pages
            case "sh" | "console":
                for words in commands(text):
                    self._command(words)
            case "yaml":
                self._yaml(text, block.place)
            case "sql":
                for query in text.split(";"):
                    parse_query(query.strip())
            case "" | "text" | "json":
                pass
            case other:
                raise AssertionError(f"{block.place}: no way to check a block of {other}")

    def _command(self, words: list[str]) -> None:
        match Path(words[0]).name:
            case "sightflow":
                self._sightflow(words[1:])
            case "export":
                self._export(words[1:])
            case "make":
                targets = [word for word in words[1:] if "<" not in word and ">" not in word]
                self._process(["make", "-n", *targets], ROOT)
            case "python":
                self._module(words[1:])
            case "curl" | "mkdir" | "cp" | "ls" | "cat":
                self._process(words, self.folder)
            case other:
                raise AssertionError(f"no way to run {other}: {words}")

    def _module(self, words: list[str]) -> None:
        assert words[0] == "-m", words
        before, sys.argv = sys.argv, words[1:]
        try:
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        except SystemExit as ended:
            assert not ended.code, f"python {shlex.join(words)}: exit code {ended.code}"
        finally:
            sys.argv = before

    def _process(self, words: list[str], folder: Path) -> None:
        done = subprocess.run(
            words, cwd=folder, check=False, capture_output=True, text=True, timeout=PROCESS_SECONDS
        )
        assert done.returncode == 0, f"{shlex.join(words)}: {done.stderr}"

    def _sightflow(self, words: list[str]) -> None:
        told = io.StringIO()
        try:
            with contextlib.redirect_stderr(told):
                main(words)
        except SystemExit as ended:
            code = ended.code
        assert not code, f"sightflow {shlex.join(words)}: exit code {code}: {told.getvalue()}"
        for beginning, act in self.after.items():
            if shlex.join(words).startswith(beginning):
                act()

    def _export(self, words: list[str]) -> None:
        for word in words:
            name, _, value = word.partition("=")
            shown = ["bash", "-c", f'printf %s "{value}"']
            done = subprocess.run(shown, cwd=self.folder, check=True, capture_output=True)
            os.environ[name] = done.stdout.decode()

    def _yaml(self, text: str, place: str) -> None:
        value = YAML(typ="safe").load(text)
        assert isinstance(value, dict), place
        if "version" in value and "streams" in value:
            config.parse(text, place, self.folder, self._environment(text))
        elif value.keys() <= {
            one.alias or name for name, one in Configuration.model_fields.items()
        }:
            whole = {"version": 1, "name": "page"} | value
            Configuration.model_validate(_resolved(whole, self._environment(text)))
        elif "switches" in value:
            path = self.folder / "machine.yaml"
            path.write_text(text, encoding="utf-8")
            read_machine(path)
        else:
            assert "services" in value or "kind" in value or "groups" in value, place

    def _environment(self, text: str) -> dict[str, str]:
        """A value for each name that the text refers to and that is not set."""
        found = {name: SECRET if "SECRET" in name else name for name in _REFERENCE.findall(text)}
        return found | dict(os.environ)


def _resolved(value: Any, environment: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _resolved(one, environment) for key, one in value.items()}
    if isinstance(value, list):
        return [_resolved(one, environment) for one in value]
    if isinstance(value, str):
        return _REFERENCE.sub(lambda found: environment[found[1]], value)
    return value


def failure(page: Page, block: Block) -> str:
    """Why a block does not work; "" when it does."""
    try:
        page.run(block)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a page does wrong is told
        told = error if isinstance(error, (AssertionError, SightflowError)) else repr(error)
        return f"{block.place}: {told}"
    return ""
