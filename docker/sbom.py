"""Writes the bill of materials of this environment, CycloneDX 1.6: ``python docker/sbom.py FILE``.

It lists every installed distribution that Sightflow needs, with its version, licence and what it
needs itself, from the metadata that the installer left. The same environment gives the same bytes.
https://cyclonedx.org/docs/1.6/json/
"""

from __future__ import annotations

import json
import sys
import uuid
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = "sightflow"
"""The distribution that the bill is of."""

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "sightflow.io")
"""What serial numbers are derived from."""

MOST_LICENCE_CHARACTERS = 100
"""Longer than this, the field holds the licence's text in place of its name."""

_CLASSIFIER = "License :: "


def closure(root: str = ROOT, extras: frozenset[str] = frozenset()) -> dict[str, list[str]]:
    """Every installed distribution that one needs, itself included, each with what it needs.

    Args:
        root: Its name.
        extras: Extras that count as asked for where they are installed.

    Raises:
        PackageNotFoundError: it is not installed.
    """
    found: dict[str, list[str]] = {}
    waiting = [(canonicalize_name(root), extras)]
    while waiting:
        name, asked = waiting.pop()
        needs = []
        for text in metadata.requires(name) or []:
            needed = Requirement(text)
            if _applies(needed, asked) and _is_installed(needed.name):
                needs.append(canonicalize_name(needed.name))
                if needs[-1] not in found:
                    waiting.append((needs[-1], frozenset(needed.extras)))
        found[name] = sorted({*found.get(name, []), *needs})
    return dict(sorted(found.items()))


def bill(extras: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The bill of materials as plain JSON values."""
    needs = closure(extras=extras)
    components = {name: _component(name) for name in needs}
    root = components.pop(ROOT)
    value: dict[str, Any] = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": root | {"type": "application"}},
        "components": list(components.values()),
        "dependencies": [
            {"ref": _purl(name), "dependsOn": [_purl(one) for one in needed]}
            for name, needed in needs.items()
        ],
    }
    serial = uuid.uuid5(NAMESPACE, json.dumps(value, sort_keys=True))
    return {**value, "serialNumber": serial.urn}


def _applies(needed: Requirement, asked: frozenset[str]) -> bool:
    if needed.marker is None:
        return True
    return any(needed.marker.evaluate({"extra": extra}) for extra in ("", *asked))


def _is_installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _purl(name: str) -> str:
    return f"pkg:pypi/{name}@{metadata.version(name)}"


def _component(name: str) -> dict[str, Any]:
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": _purl(name),
        "name": name,
        "version": metadata.version(name),
        "purl": _purl(name),
    }
    licences = _licences(metadata.metadata(name))
    return component | ({"licenses": licences} if licences else {})


def _licences(told: metadata.PackageMetadata) -> list[dict[str, Any]]:
    """What a distribution says of its licence: an expression, else classifiers, else a name."""
    if "License-Expression" in told:
        return [{"expression": told["License-Expression"]}]
    names = [
        one.rpartition(" :: ")[2]
        for one in told.get_all("Classifier") or []
        if one.startswith(_CLASSIFIER)
    ]
    if not names and "License" in told and len(told["License"]) <= MOST_LICENCE_CHARACTERS:
        names = [told["License"]]
    return [{"license": {"name": one}} for one in names]


def main(words: list[str]) -> int:
    """Write the bill of materials to a file, or to standard output; the exit code."""
    text = json.dumps(bill(frozenset({"litert"})), indent=1) + "\n"
    if words:
        Path(words[0]).write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
