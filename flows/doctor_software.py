"""The checks of what is installed: each loads a part of Sightflow's ground, and says what fails.

Everything is imported in the check that needs it, so that one broken part hides no other.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import os
import sys
from importlib import metadata
from pathlib import Path

from flows.doctor_check import Check, Status

ENGINE = "0.21.1"
"""The version of bytewax that snapshots are written with, and read by."""

TORCH_PAIR = {"torch": "2.14.1", "torchvision": "0.29.1"}
"""The versions that work together; others fail when torchvision is imported."""

DEVICES = Path("/dev")
"""Where the system shows its devices."""

BROKEN = (ImportError, AttributeError, RuntimeError, OSError)
"""What importing a package raises that is not there, half there, or made for others."""


def python() -> Check:
    """Whether this Python is one that the engine is built for."""
    found = sys.version.split()[0]
    if (3, 11) <= sys.version_info[:2] < (3, 13):
        return Check("Python", Status.OK, found)
    return Check("Python", Status.FAIL, found, "Use Python 3.11 or 3.12: bytewax has no others.")


def engine() -> Check:
    """Whether bytewax loads, and is the version whose snapshots can be read."""
    cure = f"Run: pip install bytewax=={ENGINE}"
    try:
        importlib.import_module("bytewax.operators")
        found = metadata.version("bytewax")
    except BROKEN as error:
        return Check("bytewax engine", Status.FAIL, _line(error), cure)
    status = Status.OK if found == ENGINE else Status.FAIL
    return Check("bytewax engine", status, found, "" if status is Status.OK else cure)


def torch() -> Check:
    """Whether torch and torchvision load together."""
    cure = "Run: pip install " + " ".join(f"{k}=={v}" for k, v in TORCH_PAIR.items())
    try:
        found = " ".join(f"{name} {metadata.version(name)}" for name in TORCH_PAIR)
        importlib.import_module("torchvision.ops")
    except metadata.PackageNotFoundError as error:
        return Check("torch", Status.FAIL, f"{error.name} is not installed", cure)
    except BROKEN as error:
        # A mismatched pair raises RuntimeError: "operator torchvision::nms does not exist".
        return Check("torch", Status.FAIL, _line(error), cure)
    return Check("torch", Status.OK, found)


def opencv() -> Check:
    """Whether OpenCV loads; small containers lack libraries of the system that it needs."""
    try:
        found = importlib.import_module("cv2").__version__
    except BROKEN as error:
        cure = "Install the library it names (Debian: apt install libgl1 libglib2.0-0), or run: "
        return Check(
            "OpenCV",
            Status.FAIL,
            _line(error),
            cure + "pip install --force-reinstall opencv-python",
        )
    return Check("OpenCV", Status.OK, str(found))


def onnx() -> Check:
    """Whether the runtime of the usual detector loads."""
    try:
        found = importlib.import_module("onnxruntime").__version__
    except BROKEN as error:
        return Check("ONNX Runtime", Status.FAIL, _line(error), "Run: pip install onnxruntime")
    return Check("ONNX Runtime", Status.OK, str(found))


def litert() -> Check:
    """Whether the runtime of the SSD detector is there; it is optional."""
    if importlib.util.find_spec("ai_edge_litert") is None:
        cure = "Only for the SSD detector: pip install 'sightflow[litert]'"
        return Check("LiteRT", Status.WARN, "not installed", cure)
    return Check("LiteRT", Status.OK, metadata.version("ai-edge-litert"))


def accelerator(devices: Path = DEVICES) -> Check:
    """Whether a GPU that is there is used.

    Args:
        devices: Where the system shows its devices.
    """
    name, cores = "accelerator", os.cpu_count() or 1
    try:
        library = importlib.import_module("torch")
        usable, built = library.cuda.is_available(), library.version.cuda
    except BROKEN as error:
        return Check(name, Status.WARN, f"torch does not load: {_line(error)}", "See torch above.")
    if usable:
        return Check(name, Status.OK, str(library.cuda.get_device_name(0)))
    if any(devices.glob("nvidia[0-9]*")):
        cure = (
            "Install torch's CUDA build in place of the one for CPUs."
            if built is None
            else f"Install a driver for CUDA {built}; a container needs --gpus all as well."
        )
        return Check(name, Status.WARN, "a GPU is here, and torch cannot use it", cure)
    cure = "" if cores > 1 else "One core is little: give the machine two."
    status = Status.OK if cores > 1 else Status.WARN
    return Check(name, status, f"none; {cores} CPU cores", cure)


def video() -> Check:
    """Write and read back a moment of H.264, the codec of nearly every camera."""
    cure = "Run: pip install --force-reinstall av"
    try:
        frames = _frames_read_back()
    except (*BROKEN, ValueError) as error:
        # FFmpeg's own errors are OSErrors, and an unknown codec a ValueError.
        return Check("video", Status.FAIL, f"H.264 does not work: {_line(error)}", cure)
    if frames != 1:
        return Check("video", Status.FAIL, f"wrote 1 H.264 frame, read back {frames}", cure)
    return Check("video", Status.OK, f"H.264 in and out, PyAV {metadata.version('av')}")


def _frames_read_back() -> int:
    av, np = importlib.import_module("av"), importlib.import_module("numpy")
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
        return len(list(readable.decode(video=0)))


def detector() -> Check:
    """Whether the model of a detector is on this machine, whole."""
    folder = os.environ.get("SIGHTFLOW_ASSETS", "")
    if folder and not Path(folder).is_dir():
        cure = "Correct SIGHTFLOW_ASSETS or unset it."
        return Check("detector", Status.FAIL, f"SIGHTFLOW_ASSETS is no folder: {folder}", cure)
    try:
        located = importlib.import_module("models.assets").located
    except BROKEN as error:
        return Check("detector", Status.WARN, f"not looked for: {_line(error)}", "See above.")
    for name in ("yolox_nano", "ssd_mobilenetv2_oiv4"):
        path = located(name)
        if path is not None:
            return Check("detector", Status.OK, f"{name} in {path.parent}")
    cure = "The first run fetches one; or run: sightflow assets fetch yolox_nano"
    return Check("detector", Status.WARN, "no whole detector is here yet", cure)


def _line(error: BaseException) -> str:
    """The first line of an error's text; its kind where it has none."""
    return (str(error).splitlines() or [type(error).__name__])[0]
