"""Records: the values that flow through Sightflow, validated once, at the edge."""

from records.alert import Alert, AlertState
from records.classification import Classification, ClassificationBatch, SignalClassifier
from records.detections import UNTRACKED, Detections
from records.errors import (
    AssetError,
    CodecError,
    ConfigurationError,
    DetectorError,
    Fault,
    LogError,
    QueryError,
    RecordError,
    SightflowError,
    SourceError,
)
from records.estimate import Estimate
from records.event import EventKind, StreamEvent
from records.finding import Correction, CorrectionKind, Finding, Place
from records.frame import Frame, FrameBatch, Pixels
from records.protocols import Clock, Detector, PacketScorer, Scorer
from records.reading import Reading
from records.retraining import Crop, Flag, Label, Origin, RetrainingItem
from records.verdict import Stage, Verdict, VerdictBatch

Record = Verdict | Alert | StreamEvent | Estimate | Reading | Finding | Classification
"""Every record that sinks write and the codec knows."""

__all__ = [
    "UNTRACKED",
    "Alert",
    "AlertState",
    "AssetError",
    "Classification",
    "ClassificationBatch",
    "Clock",
    "CodecError",
    "ConfigurationError",
    "Correction",
    "CorrectionKind",
    "Crop",
    "Detections",
    "Detector",
    "DetectorError",
    "Estimate",
    "EventKind",
    "Fault",
    "Finding",
    "Flag",
    "Frame",
    "FrameBatch",
    "Label",
    "LogError",
    "Origin",
    "PacketScorer",
    "Pixels",
    "Place",
    "QueryError",
    "Reading",
    "Record",
    "RecordError",
    "RetrainingItem",
    "Scorer",
    "SightflowError",
    "SignalClassifier",
    "SourceError",
    "Stage",
    "StreamEvent",
    "Verdict",
    "VerdictBatch",
]
