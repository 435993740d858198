"""Detectors: one interface, `records.Detector`, over three runtimes.

No runtime is imported before a detector that needs it is loaded.
"""

from models.detectors.loading import class_names_of, load_detector
from models.detectors.settings import DetectorSettings

__all__ = ["DetectorSettings", "class_names_of", "load_detector"]
