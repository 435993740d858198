"""Configurations: one strict YAML file a flow, every fault told at once."""

from flows.config.assertions_section import AssertionsSection, FindingAlertsSection
from flows.config.cascade_section import (
    CascadeSection,
    ContractSection,
    DifferenceSection,
    PredicateSection,
)
from flows.config.kafka_section import KafkaReadSection, KafkaSection, KafkaWriteSection
from flows.config.lidar_section import LidarSection
from flows.config.load import load, parse
from flows.config.model import (
    FROM_KAFKA,
    AlertSection,
    Configuration,
    DetectorSection,
    MetricsSection,
    StreamSection,
    TrackSection,
    WindowSection,
)
from flows.config.models_section import ModelsSection, ShadowSection
from flows.config.retraining_section import RetrainingSection
from flows.config.schema import json_schema
from flows.config.signal_section import ClassifierSection, SignalSection
from flows.config.sinks_section import (
    ConsoleSection,
    EventLogSection,
    JsonLinesSection,
    SinksSection,
    WebhookSection,
)

__all__ = [
    "FROM_KAFKA",
    "AlertSection",
    "AssertionsSection",
    "CascadeSection",
    "ClassifierSection",
    "Configuration",
    "ConsoleSection",
    "ContractSection",
    "DetectorSection",
    "DifferenceSection",
    "EventLogSection",
    "FindingAlertsSection",
    "JsonLinesSection",
    "KafkaReadSection",
    "KafkaSection",
    "KafkaWriteSection",
    "LidarSection",
    "MetricsSection",
    "ModelsSection",
    "PredicateSection",
    "RetrainingSection",
    "ShadowSection",
    "SignalSection",
    "SinksSection",
    "StreamSection",
    "TrackSection",
    "WebhookSection",
    "WindowSection",
    "json_schema",
    "load",
    "parse",
]
