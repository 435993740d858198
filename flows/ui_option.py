"""The option --ui of runs, which may stand without a value; light, for the command line's start."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_ADDRESS = re.compile(r"(\S*:)?\d{1,5}|")


def with_address(words: Sequence[str]) -> list[str]:
    """The words of a command line, ``--ui`` always with a value.

    >>> with_address(["run", "--ui", "street.yaml"])
    ['run', '--ui', '', 'street.yaml']
    >>> with_address(["run", "street.yaml", "--ui", "127.0.0.1:9000"])
    ['run', 'street.yaml', '--ui', '127.0.0.1:9000']
    """
    told: list[str] = []
    for place, word in enumerate(words):
        told.append(word)
        if word == "--ui" and not _ADDRESS.fullmatch((*words, "-")[place + 1]):
            told.append("")
    return told
