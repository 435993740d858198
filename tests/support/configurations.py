"""A configuration that uses every key, and many ways to break it."""

from __future__ import annotations

import copy
import io
import random
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ENVIRONMENT = {"HOOK_SECRET": SECRET, "THRESHOLD": "7.5", "EMPTY": ""}

WHOLE = """\
version: 1
name: street
streams:
  gate:
    uri: clip.mp4
    start: 2026-05-01T08:00:00Z
    live: false
    batch_frames: 8
    frames_in_memory: 32
    drop: newest
    frames_at_most: 100
    decode_threads: 1
    decode: on_demand
    packet_megabytes: 32
    zone: [[0, 0], [320, 0], [160.5, 180]]
    masks: [[[0, 0], [0.5, 0], [0, 0.25]]]
  till:
    uri: rtsp://camera.example:554/main
    stall_seconds: 6
    open_seconds: 4.5
detector:
  model: yolox_nano
  device: cpu
  score_at_least: 0.25
  overlap_at_most: 0.5
  classes: [person, car]
  batch: 4
  threads: 1
cascade:
  difference:
    threshold: ${THRESHOLD}
    width: 64
    height: 48
    hold_seconds: null
    against: earlier
    earlier_seconds: 2
    blocks: 10
    exposure: true
  stride: 2
  predicate: {class: person, at_least: 2, score_at_least: 0.5}
  contract:
    recall: 0.95
    precision: 0.9
    audit_seconds: 5
    start: tuned
    trial_seconds: null
track:
  start_score: 0.6
  lost_seconds: 3
  rate_hz: 25
alerts:
  - name: crowd
    class: person
    at_least: 6
    for_seconds: 0.5
    streams: [gate]
sinks:
  event_log:
    directory: runs
    segment_megabytes: 16
  json_lines:
    - path: out.jsonl
      kinds: [verdict, alert]
  console:
    kinds: [alert]
  webhooks:
    - url: https://example.com/hook
      secrets: ["${HOOK_SECRET}"]
      attempts: 3
windows:
  - name: people
    classes: [person]
    aggregates: [average, presence]
    at_least: 2
    size_seconds: 30
    slide_seconds: 10
    calls_per_hour: 1200
    in_zone: true
metrics:
  port: 9100
"""

WRONG: list[Any] = [
    None, True, -1, 0, 1.5, 10**30, float("nan"), float("inf"), "", "x", "a:b", "${NOT_SET}",
    "${bad name}", "\u0000", "x" * 5000, [], [[]], ["x", 1], {}, {"x": 1}, "2026-13-45", "../..",
]  # fmt: skip
"""Values that are wrong in most places."""

BROKEN_TEXTS = [
    "",
    " ",
    "\t",
    "---\n---\n",
    "[]",
    "3",
    "null",
    "a",
    "a: b: c",
    "a:\n\t- b",
    "{",
    "}",
    "[",
    "'",
    '"',
    "&a",
    "*a",
    "!!python/object:os.system {}",
    "!!binary x",
    "!!set {a}",
    "!!omap [a: 1]",
    "? [a]\n: b",
    "%YAML 9.9\n---\na: 1",
    "a: &x [*x]",
    "a: 1\na: 2",
    "1: 2",
    "null: 3",
    "\x00",
    "\x1b[31m",
    "a: \x07",
    "- " * 3000,
    "[" * 3000,
    "{a: " * 3000,
    "a: !x y",
    "a: 2026-99-99",
    "a: 0o9",
    "a: 1_0_",
    "a: .nan",
    "<<: *b",
    "<<: {a: 1}\nb: 2",
    "a: |\n b\n  c\n d",
    "\ufeffversion: 1",
    "version: 1\nname: n\nstreams: {a: &a {uri: x}, b: *a}",
    "@",
    "`a`",
    "a: @b",
    "a: 1\n b: 2",
    "version: 1\nname: 'a\nstreams: {}",
    "# only a comment",
]
"""Texts that are no configuration at all."""

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join(['*' + before] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
"""Aliases of aliases: small on disk, hundreds of millions of values when written out."""


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every path in a tree of plain values."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        yield (*path, key)
        if isinstance(inner, dict | list):
            yield from paths(inner, (*path, key))


def broken() -> Iterator[str]:
    """Configurations that are broken in some way, always the same ones."""
    yield from BROKEN_TEXTS
    yield BOMB
    tree = YAML(typ="safe").load(WHOLE)
    rng = random.Random(11)
    for path in paths(tree):
        changes: list[str | int] = ["delete", "rename", *rng.sample(range(len(WRONG)), 3)]
        for change in changes:
            yield _written(_changed(tree, path, change))
    lines = WHOLE.splitlines(keepends=True)
    for _ in range(60):
        text = "".join(rng.sample(lines, len(lines)))
        yield text
        cut = rng.randrange(len(WHOLE))
        yield WHOLE[:cut]
        yield WHOLE[:cut] + chr(rng.randrange(1, 300)) + WHOLE[cut + 1 :]


def _changed(tree: Any, path: tuple[Any, ...], change: str | int) -> Any:
    changed = copy.deepcopy(tree)
    parent = changed
    for key in path[:-1]:
        parent = parent[key]
    if isinstance(change, int):
        parent[path[-1]] = WRONG[change]
    elif change == "delete" or isinstance(parent, list):
        del parent[path[-1]]
    else:
        parent[f"{path[-1]}x"] = parent.pop(path[-1])
    return changed


def _written(tree: Any) -> str:
    out = io.StringIO()
    YAML().dump(tree, out)
    return out.getvalue()
