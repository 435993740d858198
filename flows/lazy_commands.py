"""Commands that are imported when they are called.

Most commands import torch, FFmpeg or Kafka's client, some seconds of work. Help, completion and
every other command do without.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True, slots=True)
class Lazy:
    """A command, or a group of commands, by its place.

    Attributes:
        place: ``module:name`` of the function, or of the Typer of a group.
        help: The first line of its help; a test compares it with the command's own.
    """

    place: str
    help: str

    def load(self, name: str) -> Any:  # noqa: ANN401 - typer's own classes are not public
        """Import it.

        Args:
            name: What it is called on the command line.
        """
        module, attribute = self.place.split(":")
        found = getattr(import_module(module), attribute)
        if isinstance(found, typer.Typer):
            return get_group(found)
        alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        alone.command(name)(found)
        return get_command(alone)


class LazyCommands(MutableMapping[str, Any]):
    """Commands by name; each is imported when it is asked for.

    Args:
        table: Where they are, in the order in which help lists them.
    """

    def __init__(self, table: Mapping[str, Lazy]) -> None:
        self.table = table
        self._loaded: dict[str, Any] = {}

    @override
    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            self._loaded[name] = self.table[name].load(name)
        return self._loaded[name]

    @override
    def __setitem__(self, name: str, command: Any) -> None:
        self._loaded[name] = command

    @override
    def __delitem__(self, name: str) -> None:
        del self._loaded[name]

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(self.table)

    @override
    def __len__(self) -> int:
        return len(self.table)


def lazy_group(table: Mapping[str, Lazy]) -> type[TyperGroup]:
    """The class of a group with these commands."""

    class LazyGroup(TyperGroup):
        """A group that imports the one command that is called."""

        def __init__(self, **values: Any) -> None:  # noqa: ANN401 - typer's own
            super().__init__(**values)
            self.commands = LazyCommands(table)

        @override
        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            """What help and completion show of a command; None where there is no such."""
            if cmd_name not in table:
                return None
            return TyperCommand(cmd_name, help=table[cmd_name].help, add_help_option=False)

        @override
        def list_commands(self, ctx: Any) -> list[str]:
            """Their names, in order."""
            return list(table)

        @override
        def resolve_command(self, ctx: Any, args: list[str]) -> Any:
            """The command that is called, imported."""
            name, known, rest = super().resolve_command(ctx, args)
            return name, known if name is None else self.commands[name], rest

    return LazyGroup
