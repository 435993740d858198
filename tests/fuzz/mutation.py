"""Inputs that are nearly right: samples of a format, damaged as accidents and attackers do it.

What is damaged is bytes (flipped, cut, doubled, spliced), the words of a text, or a tree of values
(JSON, msgpack), so that damage also reaches what stands behind a parser and a checksum.
"""

from __future__ import annotations

import copy
import json
import re
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import msgpack

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

LONGEST_INPUT = 2**18
"""The longest input that is made, bytes; doubled slices would grow without an end."""

WORDS = (
    b"", b"-1", b"0", b"1e999", b"-1e-999", b"nan", b"NaN", b"Infinity", b"1_0", b"0x10", b"1.",
    b"9" * 400, b"9" * 5000, b"0x" + b"f" * 5000, b"18446744073709551616", b"2147483648",
    b"true", b"null", b"\x00", b"\x1b[31m", b"\xff\xfe", "²".encode(), b"\xe2\x80\xa8",
    b'"\\ud800"', b"'", b'"', b"[" * 3000, b"(" * 2000, b'{"a":' * 500, b"../../etc/passwd",
    b"%00", b"${HOME}", b"a" * 70_000, b":", b"#", b"&a [*a]", b"<<: *a", b"!!python/object:os.x",
)  # fmt: skip
"""Words that parsers stumble over."""

VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**31, 2**63 - 1, 2**63, 2**64 - 1, -(2**63), 10**400, 0.5, -0.0,
    1e308, 5e-324, float("nan"), float("inf"), float("-inf"), "", "x", "\ud800", "\x00", "\x1b[2J",
    "a:b", "../x", "x" * 300, "y" * 70_000, "9" * 5000, [], {}, [[]], {"": None}, [0] * 5000,
)  # fmt: skip
"""Values that code which expects others stumbles over."""

BYTES = (b"", b"9" * 5000, b"\xff\xfe", b"-1", b"2023-11-14T22:13:20Z", b"application/json")
"""The same for formats that hold bytes."""

_TOKEN = re.compile(rb'"[^"\n]*"|[\w.+-]+|\s+|.', re.DOTALL)
_MOST_DAMAGE = 4
_RAW_BYTES = 64


class Form(StrEnum):
    """What a format is made of, which says how it can be damaged."""

    BYTES = "bytes"
    TEXT = "text"
    JSON = "json"
    MSGPACK = "msgpack"


def mutated(random: Random, samples: Sequence[bytes], form: Form, words: Sequence[bytes]) -> bytes:
    """One input: a sample that was damaged one to four times, or plain noise now and then.

    Args:
        random: The source of chance.
        samples: Valid inputs, at least one.
        form: What they are made of.
        words: Words of the format, besides `WORDS`.

    >>> from random import Random
    >>> mutated(Random(0), [b"[1, 2]"], Form.JSON, ()) == mutated(
    ...     Random(0), [b"[1, 2]"], Form.JSON, ()
    ... )
    True
    """
    kind = random.randrange(16)
    if kind == 0:
        return random.randbytes(random.randrange(_RAW_BYTES))
    data = random.choice(samples)
    if form in (Form.JSON, Form.MSGPACK) and kind > 6:
        return _changed_tree(random, data, form, samples)
    for _ in range(random.randrange(1, _MOST_DAMAGE + 1)):
        if form is not Form.BYTES and form is not Form.MSGPACK and random.randrange(2):
            data = _changed_words(random, data, (*WORDS, *words))
        else:
            data = _changed_bytes(random, data, random.choice(samples), (*WORDS, *words))
    return data[:LONGEST_INPUT]


def _changed_bytes(random: Random, data: bytes, other: bytes, words: Sequence[bytes]) -> bytes:
    if not data:
        return random.choice(words)
    start = random.randrange(len(data))
    stop = min(start + 2 ** random.randrange(8), len(data))
    match random.randrange(7):
        case 0:
            flipped = data[start] ^ (1 << random.randrange(8))
            return data[:start] + bytes([flipped]) + data[start + 1 :]
        case 1:
            return data[:start] + random.randbytes(min(stop - start, 8)) + data[stop:]
        case 2:
            return data[:start]
        case 3:
            return data[:start] + data[stop:]
        case 4:
            return data[:stop] + data[start:stop] + data[stop:]
        case 5:
            return data[:start] + other[random.randrange(len(other) or 1) :]
        case _:
            return data[:start] + random.choice(words) + data[start:]


def _changed_words(random: Random, data: bytes, words: Sequence[bytes]) -> bytes:
    tokens = _TOKEN.findall(data)
    if not tokens:
        return random.choice(words)
    place, other = random.randrange(len(tokens)), random.randrange(len(tokens))
    match random.randrange(4):
        case 0 | 1:
            tokens[place] = random.choice(words)
        case 2:
            tokens[place], tokens[other] = tokens[other], tokens[place]
        case _:
            first, last = sorted((place, other))
            tokens[last:last] = tokens[first : min(last, first + 50)]
    return b"".join(tokens)


def _changed_tree(random: Random, data: bytes, form: Form, samples: Sequence[bytes]) -> bytes:
    tree = _read(data, form)
    for _ in range(random.randrange(1, _MOST_DAMAGE + 1)):
        tree = _changed(random, copy.deepcopy(tree), random.choice(samples), form)
    return _written(tree, form, data)


def _changed(random: Random, tree: Any, other: bytes, form: Form) -> Any:
    values = VALUES if form is Form.JSON else (*VALUES, *BYTES)
    places = _places(tree)
    if not places:
        return random.choice(values)
    inside, key = random.choice(places)
    value = inside[key]
    match random.randrange(6):
        case 0 | 1:
            inside[key] = random.choice(values)
        case 2:
            del inside[key]
        case 3:
            inside[key] = [value, value]
        case 4:
            donor, where = random.choice(_places(_read(other, form)) or places)
            inside[key] = donor[where]
        case _:
            inside[key] = _near(random, value)
    return tree


def _near(random: Random, value: Any) -> Any:
    """A value of the same type that is another."""
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, int | float):
        return random.choice([-value, value + 1, value - 1, value * 1000, str(value)])
    if isinstance(value, str):
        return random.choice([value + value, value[1:], value.upper(), value + "\n"])
    if isinstance(value, bytes):
        return random.choice([value + b"\x00", value[1:], b""])
    return {"extra": value}


def _places(tree: Any) -> list[tuple[Any, Any]]:
    """Every container of a tree with each of its keys."""
    keys = (
        list(tree) if isinstance(tree, dict) else range(len(tree) if isinstance(tree, list) else 0)
    )
    found: list[tuple[Any, Any]] = []
    for key in keys:
        found += [(tree, key), *_places(tree[key])]
    return found


def _read(data: bytes, form: Form) -> Any:
    if form is Form.JSON:
        return json.loads(data)
    return msgpack.unpackb(data, unicode_errors="surrogatepass", strict_map_key=False)


def _written(tree: Any, form: Form, before: bytes) -> bytes:
    """The tree as bytes; what msgpack cannot hold leaves the bytes before."""
    if form is Form.JSON:
        return json.dumps(tree).encode()
    try:
        packed: bytes = msgpack.packb(tree, unicode_errors="surrogatepass")
    except (OverflowError, ValueError):
        return before
    return packed
