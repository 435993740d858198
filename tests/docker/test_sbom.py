from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from docker import sbom
from tests.support.deployed import DOCKER

if TYPE_CHECKING:
    from pathlib import Path


def test_every_dependency_is_listed_with_its_version() -> None:
    bill = sbom.bill()
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    listed = {one["name"]: one["version"] for one in bill["components"]}
    # As it was installed: an older installation than pyproject.toml is no fault of the bill.
    asked = {
        canonicalize_name(Requirement(one).name)
        for one in metadata.requires("sightflow") or []
        if "extra ==" not in one
    }
    assert asked <= set(listed)
    assert {name: metadata.version(name) for name in listed} == listed
    assert not {"pytest", "mypy", "ruff"} & set(listed)
    assert bill["metadata"]["component"]["name"] == "sightflow"


def test_references_are_unique_and_lead_somewhere() -> None:
    bill = sbom.bill()
    references = [one["bom-ref"] for one in (bill["metadata"]["component"], *bill["components"])]
    assert len(references) == len(set(references))
    assert {one["ref"] for one in bill["dependencies"]} == set(references)
    assert {ref for one in bill["dependencies"] for ref in one["dependsOn"]} <= set(references)
    licensed = [one for one in bill["components"] if "licenses" in one]
    assert len(licensed) > 0.9 * len(bill["components"])


def test_extras_are_listed_where_they_are_asked_for() -> None:
    assert "ai-edge-litert" not in sbom.closure()
    if sbom._is_installed("ai-edge-litert"):
        assert "ai-edge-litert" in sbom.closure(extras=frozenset({"litert"}))


def test_it_is_written_the_same_each_time(tmp_path: Path) -> None:
    written = []
    for name in ("one.json", "two.json"):
        subprocess.run([sys.executable, DOCKER / "sbom.py", tmp_path / name], check=True)
        written.append((tmp_path / name).read_bytes())
    assert written[0] == written[1]
    assert json.loads(written[0])["serialNumber"].startswith("urn:uuid:")
