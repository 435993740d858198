"""What a result must say of where it was measured."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path

SOFTWARE = ("bytewax", "av", "numpy", "onnxruntime", "torch")
"""The packages that shape the figures."""


def hardware() -> dict[str, str]:
    """The processor, the cores, the Python and the packages."""
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in SOFTWARE},
    }


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
