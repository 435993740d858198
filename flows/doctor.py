"""Finding the likely faults of a machine before a run does, each with its cure."""

from __future__ import annotations

import importlib
import importlib.util
import io
import os
import resource
import shutil
import socket
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np

from models.assets import located

if TYPE_CHECKING:
    from collections.abc import Callable

LEAST_DISK_BYTES = 1_000_000_000
"""Free disk below which an event log soon has no room, bytes."""

LEAST_OPEN_FILES = 1024
"""Open files below which many cameras cannot be read at once."""

EARLIEST_CLOCK = datetime(2026, 1, 1, tzinfo=UTC)
"""A clock before this is certainly wrong: Sightflow did not exist."""

TORCH_PAIR = {"torch": "2.14.1", "torchvision": "0.29.1"}
"""The versions that work together; others fail when torchvision is imported."""


class Status(StrEnum):
    """How a check went."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """What one check found.

    Attributes:
        name: What was looked at.
        status: OK, WARN (something optional is missing) or FAIL (runs will fail).
        found: What was found.
        cure: What to do; empty when all is well.
    """

    name: str
    status: Status
    found: str
    cure: str = ""


def examine(folder: Path) -> list[Check]:
    """Run every check.

    Args:
        folder: The folder in which runs will be started.
    """
    checks: list[Callable[[], Check]] = [
        _python,
        _engine,
        _torch,
        _onnx,
        _litert,
        _gpu,
        _video,
        _assets,
        lambda: _disk(folder),
        _open_files,
        _clock,
        _loopback,
    ]
    return [check() for check in checks]


def _python() -> Check:
    found = sys.version.split()[0]
    if (3, 11) <= sys.version_info[:2] < (3, 13):
        return Check("Python", Status.OK, found)
    return Check("Python", Status.FAIL, found, "Use Python 3.11 or 3.12: bytewax has no others.")


def _engine() -> Check:
    try:
        importlib.import_module("bytewax.operators")
    except ImportError as error:
        return Check("bytewax engine", Status.FAIL, str(error), "Run: pip install bytewax==0.21.1")
    return Check("bytewax engine", Status.OK, metadata.version("bytewax"))


def _torch() -> Check:
    cure = "Run: pip install " + " ".join(f"{k}=={v}" for k, v in TORCH_PAIR.items())
    try:
        found = " ".join(f"{name} {metadata.version(name)}" for name in TORCH_PAIR)
        importlib.import_module("torchvision.ops")
    except metadata.PackageNotFoundError as error:
        return Check("torch", Status.FAIL, f"{error.name} is not installed", cure)
    except (ImportError, RuntimeError, OSError) as error:
        # A mismatched pair raises RuntimeError: "operator torchvision::nms does not exist".
        return Check("torch", Status.FAIL, str(error).splitlines()[0], cure)
    return Check("torch", Status.OK, found)


def _onnx() -> Check:
    try:
        runtime = importlib.import_module("onnxruntime")
    except ImportError as error:
        return Check("ONNX Runtime", Status.FAIL, str(error), "Run: pip install onnxruntime")
    return Check("ONNX Runtime", Status.OK, str(runtime.__version__))


def _litert() -> Check:
    if importlib.util.find_spec("ai_edge_litert") is None:
        cure = "Only for the SSD detector: pip install 'sightflow[litert]'"
        return Check("LiteRT", Status.WARN, "not installed", cure)
    return Check("LiteRT", Status.OK, metadata.version("ai-edge-litert"))


def _gpu() -> Check:
    torch = importlib.import_module("torch")
    cores = os.cpu_count() or 1
    if torch.cuda.is_available():
        return Check("accelerator", Status.OK, str(torch.cuda.get_device_name(0)))
    cure = "" if cores > 1 else "One core is little: give the machine two."
    status = Status.OK if cores > 1 else Status.WARN
    return Check("accelerator", status, f"none; {cores} CPU cores", cure)


def _video() -> Check:
    """Write and read back a moment of H.264, the codec of nearly every camera."""
    cure = "Run: pip install --force-reinstall av"
    try:
        buffer = io.BytesIO()
        with av.open(buffer, "w", format="mp4") as container:
            stream = container.add_stream("libx264", rate=10)
            stream.width = stream.height = 64
            stream.pix_fmt = "yuv420p"
            picture = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 90, np.uint8), "rgb24")
            container.mux(stream.encode(picture))
            container.mux(stream.encode(None))
        buffer.seek(0)
        with av.open(buffer, "r") as readable:
            frames = len(list(readable.decode(video=0)))
    except (av.FFmpegError, ValueError) as error:
        return Check("video", Status.FAIL, f"H.264 does not work: {error}", cure)
    if frames != 1:
        return Check("video", Status.FAIL, f"wrote 1 H.264 frame, read back {frames}", cure)
    return Check("video", Status.OK, f"H.264 in and out, PyAV {metadata.version('av')}")


def _assets() -> Check:
    folder = os.environ.get("SIGHTFLOW_ASSETS", "")
    if folder and not Path(folder).is_dir():
        cure = "Correct SIGHTFLOW_ASSETS or unset it."
        return Check("detector", Status.FAIL, f"SIGHTFLOW_ASSETS is no folder: {folder}", cure)
    for name in ("yolox_nano", "ssd_mobilenetv2_oiv4"):
        path = located(name)
        if path is not None:
            return Check("detector", Status.OK, f"{name} in {path.parent}")
    cure = "The first run fetches one; or run: sightflow assets fetch yolox_nano"
    return Check("detector", Status.WARN, "no detector fetched yet", cure)


def _disk(folder: Path) -> Check:
    free = shutil.disk_usage(folder).free
    found = f"{free / 1e9:.1f} GB free in {folder}"
    if not os.access(folder, os.W_OK):
        cure = "Start from a folder you may write in."
        return Check("disk", Status.FAIL, f"{folder} cannot be written to", cure)
    if free < LEAST_DISK_BYTES:
        return Check("disk", Status.WARN, found, "Make room, or point event_log.directory away.")
    return Check("disk", Status.OK, found)


def _open_files() -> Check:
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= allowed < LEAST_OPEN_FILES:
        return Check("open files", Status.WARN, str(allowed), f"Run: ulimit -n {LEAST_OPEN_FILES}")
    return Check("open files", Status.OK, str(allowed))


def _clock() -> Check:
    now = datetime.fromtimestamp(time.time(), UTC)
    found = now.isoformat(timespec="seconds")
    if now < EARLIEST_CLOCK:
        cure = "Set the clock (timedatectl set-ntp true): live event times come from it."
        return Check("clock", Status.FAIL, found, cure)
    return Check("clock", Status.OK, found)


def _loopback() -> Check:
    try:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(1)
            with socket.create_connection(listener.getsockname(), timeout=2):
                return Check("loopback", Status.OK, "127.0.0.1 listens and answers")
    except OSError as error:
        cure = "Allow connections to 127.0.0.1: the demo's receiver and /metrics need them."
        return Check("loopback", Status.FAIL, str(error), cure)
