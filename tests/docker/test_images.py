"""The recipes of the images: hadolint's rules, and those of our own."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RECIPES = sorted((ROOT / "docker").glob("Dockerfile*"))
IGNORED = ROOT / ".dockerignore"


def instructions(path: Path) -> list[tuple[str, str]]:
    """The instructions of a recipe: each name with its words, in one line."""
    text = re.sub(r"^#.*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(name, words) for name, _, words in (line.partition(" ") for line in lines if line)]


def last_stage(path: Path) -> list[tuple[str, str]]:
    found = instructions(path)
    return found[max(place for place, (name, _) in enumerate(found) if name == "FROM") :]


def test_there_is_one_for_cpus_and_one_for_gpus() -> None:
    assert [path.name for path in RECIPES] == ["Dockerfile", "Dockerfile.cuda"]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_hadolint_has_nothing_to_say(path: Path) -> None:
    program = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([program, path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_bases_are_pinned_and_nothing_is_added_from_elsewhere(path: Path) -> None:
    found = instructions(path)
    bases = [words.split()[0] for name, words in found if name == "FROM"]
    assert len(bases) == 2
    assert all(re.fullmatch(r"[a-z/]+:\d+\.\d+\.\d+-[a-z0-9.-]+", base) for base in bases)
    assert "ADD" not in {name for name, _ in found}
    assert all("curl" not in words and "wget" not in words for _, words in found)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_package_lists_are_removed_in_the_layer_that_fetched_them(path: Path) -> None:
    layers = [words for name, words in instructions(path) if name == "RUN" and "apt-get" in words]
    assert layers
    for words in layers:
        assert "rm -rf /var/lib/apt/lists/*" in words
        assert "--no-install-recommends" in words


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_the_image_runs_as_nobody_special_and_tells_its_health(path: Path) -> None:
    stage = dict(last_stage(path))
    assert stage["USER"] == "10001:10001"
    assert stage["HEALTHCHECK"].endswith('CMD ["sightflow-probe", "healthz"]')
    assert stage["ENTRYPOINT"] == '["sightflow"]'
    copied = [words for name, words in last_stage(path) if name == "COPY"]
    assert copied == [
        "--from=build /opt/sightflow /opt/sightflow",
        "--chmod=0555 docker/probe.py /usr/local/bin/sightflow-probe",
    ]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_no_secret_is_baked_in(path: Path) -> None:
    given = [words for name, words in instructions(path) if name in {"ARG", "ENV"}]
    assert not re.search(r"SECRET|TOKEN|PASSWORD|KEY", " ".join(given))


def test_only_what_is_named_goes_into_the_build() -> None:
    lines = IGNORED.read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    named = {rule[1:] for rule in rules if rule.startswith("!")}
    assert all((ROOT / name).exists() for name in named)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = {name.partition(".")[0] for name in project["tool"]["setuptools"]["packages"]}
    assert packages | {"docker/probe.py", "docker/sbom.py", "constraints.txt"} <= named
    assert not {"tests", "docker", ".git", "runs"} & named
