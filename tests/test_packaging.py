"""The wheel and the source archive hold the whole program and nothing else, and the wheel runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import app

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES = ("records", "operators", "connectors", "models", "flows")
BESIDE = ("pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "constraints.txt")
NOT_PACKED = shutil.ignore_patterns("__pycache__", "*.pyc")
NAME = f"sightflow-{PROJECT['project']['version']}"


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both archives, and the copy of the checkout that they were built from."""
    target = tmp_path_factory.mktemp("built")
    source = target / "checkout"
    source.mkdir()
    for name in (*PACKAGES, "tests", "docker"):
        shutil.copytree(ROOT / name, source / name, ignore=NOT_PACKED)
    for name in BESIDE:
        shutil.copy(ROOT / name, source)
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", target, source],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return target


def program(built: Path) -> set[str]:
    """Every file of the program: all that lies in its packages."""
    checkout = built / "checkout"
    return {
        str(path.relative_to(checkout))
        for package in PACKAGES
        for path in (checkout / package).rglob("*")
        if path.is_file()
    }


def test_the_wheel_holds_the_program_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        found = set(archive.namelist())
    assert wheel.name == f"{NAME}-py3-none-any.whl"
    described = {name for name in found if name.startswith(f"{NAME}.dist-info/")}
    assert found - described == program(built)
    assert {f"{package}/py.typed" for package in PACKAGES} <= found
    assert "flows/templates/start.yaml" in found
    assert "flows/dashboard/static/index.html" in found
    assert f"{NAME}.dist-info/licenses/LICENSE" in described


def test_the_source_archive_can_build_it_and_holds_no_tests(built: Path) -> None:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        found = {one.name.removeprefix(f"{NAME}/") for one in archive if one.isfile()}
    generated = {name for name in found if name.startswith("sightflow.egg-info/")}
    assert found - generated - {"PKG-INFO", "setup.cfg"} == program(built) | set(BESIDE)


def test_the_wheel_runs_where_it_is_installed(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--target", tmp_path / "site", wheel], check=True, cwd=tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run(
        [sys.executable, tmp_path / "site" / "bin" / "sightflow", "version", "--json"],
        capture_output=True, text=True, check=True, cwd=tmp_path, env=environment,
    )  # fmt: skip
    assert json.loads(done.stdout)["sightflow"] == PROJECT["project"]["version"]
    # Taken from there, not from a checkout that this environment may know as well.
    where = "from importlib.util import find_spec; print(find_spec('flows').origin)"
    done = subprocess.run(
        [sys.executable, "-c", where],
        capture_output=True, text=True, check=True, cwd=tmp_path, env=environment,
    )  # fmt: skip
    assert Path(done.stdout.strip()) == tmp_path / "site" / "flows" / "__init__.py"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_the_commands(shell: str) -> None:
    words = {"bash": {"COMP_WORDS": "sightflow mod", "COMP_CWORD": "1"}}
    asked = words.get(shell, {"_TYPER_COMPLETE_ARGS": "sightflow mod"})
    if shell == "fish":
        asked["_TYPER_COMPLETE_FISH_ACTION"] = "get-args"
    environment = {**asked, "_SIGHTFLOW_COMPLETE": f"complete_{shell}"}
    done = CliRunner().invoke(app, [], env=environment, prog_name="sightflow")
    assert "models" in done.output
    assert "doctor" not in done.output


def test_every_extra_is_pinned() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.partition("==")[0].lower().replace("_", "-") for line in lines if "==" in line}
    extras = PROJECT["project"]["optional-dependencies"]
    asked = {need.partition(">=")[0].partition("==")[0]
             for needs in (PROJECT["project"]["dependencies"], *extras.values())
             for need in needs}  # fmt: skip
    assert {name.lower() for name in asked} <= pinned
