"""Each fault is made, and must be found with its cure."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from flows import doctor, doctor_software
from flows.doctor import Check, Status, examine

ROOT = Path(__file__).resolve().parents[2]
NAMES = (
    "Python", "bytewax engine", "torch", "OpenCV", "ONNX Runtime", "LiteRT", "accelerator", "video",
    "detector", "disk", "memory", "open files", "clock", "loopback",
)  # fmt: skip
LIMITED = """
import resource, sys
resource.setrlimit(getattr(resource, sys.argv[1]), (int(sys.argv[2]),) * 2)
from flows.doctor import main
sys.exit(main(sys.argv[3:]))
"""
"""The doctor, in a process with less of something."""


def doctor_says(
    *words: str | Path, program: tuple[str | Path, ...] = (sys.executable,), path: str = ""
) -> tuple[int, str]:
    """What a doctor of its own process says: its exit code and its lines."""
    found = os.pathsep.join([path, str(ROOT)]) if path else str(ROOT)
    command = (
        [*program, "-m", "flows.doctor", *words] if "-c" not in program else [*program, *words]
    )
    done = subprocess.run(
        command, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": found},
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def shadowed(folder: Path, package: str, text: str) -> str:
    """A folder with a broken installation of a package, to stand before the right one."""
    (folder / package).mkdir()
    (folder / package / "__init__.py").write_text(text, encoding="utf-8")
    return str(folder)


def other_version(folder: Path, package: str, version: str) -> str:
    """A folder that says that another version of a package is installed."""
    (folder / f"{package}-{version}.dist-info").mkdir()
    text = f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
    (folder / f"{package}-{version}.dist-info" / "METADATA").write_text(text, encoding="utf-8")
    return str(folder)


def in_namespace(kind: str, script: str, *words: str | Path) -> tuple[int, str]:
    """What a doctor says in a namespace of its own, after a shell script."""
    unshare = shutil.which("unshare")
    tried = unshare and subprocess.run([unshare, kind, "true"], capture_output=True, check=False)
    if not tried or tried.returncode:
        pytest.skip(f"needs leave to run: unshare {kind}")
    shell = ("unshare", kind, "sh", "-euc", f'{script}; exec "$@"', "sh", sys.executable)
    return doctor_says(*words, program=shell)


def test_a_machine_that_runs_the_tests_has_no_failure(tmp_path: Path) -> None:
    checks = examine(tmp_path)
    assert tuple(check.name for check in checks) == NAMES
    assert [check for check in checks if check.status is Status.FAIL] == []
    assert all(check.found for check in checks)
    assert all(bool(check.cure) == (check.status is not Status.OK) for check in checks)


def test_every_check_is_documented() -> None:
    text = (ROOT / "docs" / "doctor.md").read_text(encoding="utf-8")
    assert all(f"| {name} |" in text for name in NAMES)


def test_one_check_is_asked_for_by_name() -> None:
    code, said = doctor_says("clock", "Open Files")
    assert code == 0
    assert [line.partition(":")[0] for line in said.splitlines()] == [
        "ok    open files",
        "ok    clock",
    ]


@pytest.mark.parametrize("version", ["3.13", "3.14"])
def test_a_python_that_the_engine_does_not_know_is_found(version: str) -> None:
    program = shutil.which(f"python{version}")
    works = program and subprocess.run([program, "-V"], capture_output=True, check=False)
    if program is None or not works or works.returncode:
        pytest.skip(f"needs python{version}")
    code, said = doctor_says("python", program=(program,))
    assert code == 1
    assert said.startswith(f"fail  Python: {version}.")
    assert said.endswith(". Use Python 3.11 or 3.12: bytewax has no others.\n")


def test_an_engine_that_is_half_there_is_found(tmp_path: Path) -> None:
    assert doctor_says("bytewax engine", path=shadowed(tmp_path, "bytewax", "")) == (
        1,
        "fail  bytewax engine: No module named 'bytewax.operators'. "
        "Run: pip install bytewax==0.21.1\n",
    )


def test_another_version_of_the_engine_is_found(tmp_path: Path) -> None:
    path = other_version(tmp_path, "bytewax", "0.20.0")
    assert doctor_says("bytewax engine", path=path) == (
        1, "fail  bytewax engine: 0.20.0. Run: pip install bytewax==0.21.1\n"
    )  # fmt: skip


def test_a_torchvision_for_another_torch_is_found(tmp_path: Path) -> None:
    told = "operator torchvision::nms does not exist"
    path = shadowed(tmp_path, "torchvision", f"raise RuntimeError({told!r})")
    assert doctor_says("torch", path=path) == (
        1, f"fail  torch: {told}. Run: pip install torch==2.14.1 torchvision==0.29.1\n"
    )  # fmt: skip


def test_an_opencv_without_its_libraries_is_found(tmp_path: Path) -> None:
    told = "libGL.so.1: cannot open shared object file: No such file or directory"
    code, said = doctor_says(
        "opencv", path=shadowed(tmp_path, "cv2", f"raise ImportError({told!r})")
    )
    assert code == 1
    assert said == (
        f"fail  OpenCV: {told}. Install the library it names (Debian: apt install libgl1 "
        "libglib2.0-0), or run: pip install --force-reinstall opencv-python\n"
    )


def test_a_missing_runtime_is_found(tmp_path: Path) -> None:
    code, said = doctor_says("onnx runtime", path=shadowed(tmp_path, "onnxruntime", ""))
    assert code == 1
    assert said.startswith("fail  ONNX Runtime: module 'onnxruntime' has no attribute")
    assert said.endswith(". Run: pip install onnxruntime\n")


def test_a_gpu_that_torch_cannot_use_is_found(tmp_path: Path) -> None:
    import torch  # noqa: PLC0415 - the rest of these tests need no torch

    if torch.cuda.is_available():
        pytest.skip("needs a machine whose torch uses no GPU")
    (tmp_path / "nvidia0").touch()
    check = doctor_software.accelerator(tmp_path)
    assert (check.status, check.found) == (Status.WARN, "a GPU is here, and torch cannot use it")
    wanted = "CUDA build" if torch.version.cuda is None else f"CUDA {torch.version.cuda}"
    assert wanted in check.cure


def test_a_broken_decoder_is_found(tmp_path: Path) -> None:
    path = shadowed(tmp_path, "av", "raise ImportError('libavcodec.so.61: file too short')")
    assert doctor_says("video", path=path) == (
        1, "fail  video: H.264 does not work: libavcodec.so.61: file too short. "
        "Run: pip install --force-reinstall av\n",
    )  # fmt: skip


def test_a_wrong_assets_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTFLOW_ASSETS", str(tmp_path / "gone"))
    found = f"SIGHTFLOW_ASSETS is no folder: {tmp_path / 'gone'}"
    cure = "Correct SIGHTFLOW_ASSETS or unset it."
    assert doctor_software.detector() == Check("detector", Status.FAIL, found, cure)


@pytest.mark.parametrize("damaged", [False, True])
def test_a_machine_without_a_whole_detector_is_told_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, damaged: bool
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("SIGHTFLOW_ASSETS", str(tmp_path))
    if damaged:
        (tmp_path / "models").mkdir()
        (tmp_path / "models" / "yolox_nano.onnx").write_bytes(b"half a mod")
    cure = "The first run fetches one; or run: sightflow assets fetch yolox_nano"
    want = Check("detector", Status.WARN, "no whole detector is here yet", cure)
    assert doctor_software.detector() == want


def test_a_folder_that_cannot_be_written_is_found() -> None:
    check = doctor.disk(Path("/proc"))
    assert check.status is Status.FAIL
    assert check.found.startswith("/proc cannot be written to: ")
    assert check.cure == "Start from a folder you may write in."


def test_a_disk_that_is_nearly_full_is_found(tmp_path: Path) -> None:
    script = f"mount -t tmpfs -o size=4m none {tmp_path}; cd {tmp_path}"
    assert in_namespace("--mount", script, "disk") == (
        0, f"warn  disk: 0.0 GB free in {tmp_path}. "
        "Make room, or point event_log.directory away.\n",
    )  # fmt: skip


def test_little_memory_is_found() -> None:
    program = (sys.executable, "-c", LIMITED, "RLIMIT_AS", str(10**9))
    assert doctor_says("memory", program=program) == (
        0, "warn  memory: 1.0 GB. Give the machine or the container at least 2 GB.\n"
    )  # fmt: skip


def test_a_low_limit_of_open_files_is_found() -> None:
    program = (sys.executable, "-c", LIMITED, "RLIMIT_NOFILE", "256")
    assert doctor_says("open files", program=program) == (
        0, "warn  open files: 256. Run: ulimit -n 1024\n"
    )  # fmt: skip


def test_a_clock_without_a_battery_is_found() -> None:
    check = doctor.clock(lambda: 0.0)
    assert (check.status, check.found) == (Status.FAIL, "1970-01-01T00:00:00+00:00")
    assert check.cure.startswith("Set the clock (timedatectl set-ntp true)")
    now = datetime.now(UTC).timestamp()
    assert doctor.clock(lambda: now).status is Status.OK


def test_a_machine_that_does_not_reach_itself_is_found() -> None:
    code, said = in_namespace("--net", "true", "loopback")
    assert code == 1
    assert said.startswith("fail  loopback: [Errno ")
    assert said.endswith(
        ". Allow connections to 127.0.0.1: the demo's receiver and /metrics need them.\n"
    )
