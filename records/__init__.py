"""Records: the values that flow through Sightflow, validated once, at the edge."""

from records.alert import Alert, AlertState
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
from records.frame import Frame, FrameBatch, Pixels
from records.protocols import Clock, Detector, PacketScorer, Scorer
from records.reading import Reading
from records.verdict import Stage, Verdict, VerdictBatch

Record = Verdict | Alert | StreamEvent | Estimate | Reading
"""Every record that sinks write and the codec knows."""

__all__ = [
    "UNTRACKED",
    "Alert",
    "AlertState",
    "AssetError",
    "Clock",
    "CodecError",
    "ConfigurationError",
    "Detections",
    "Detector",
    "DetectorError",
    "Estimate",
    "EventKind",
    "Fault",
    "Frame",
    "FrameBatch",
    "LogError",
    "PacketScorer",
    "Pixels",
    "QueryError",
    "Reading",
    "Record",
    "RecordError",
    "Scorer",
    "SightflowError",
    "SourceError",
    "Stage",
    "StreamEvent",
    "Verdict",
    "VerdictBatch",
]
