"""Configurations: one strict YAML file a flow, every fault told at once."""

from flows.config.cascade_section import (
    CascadeSection,
    ContractSection,
    DifferenceSection,
    PredicateSection,
)
from flows.config.kafka_section import KafkaReadSection, KafkaSection, KafkaWriteSection
from flows.config.load import load, parse
from flows.config.model import (
    FROM_KAFKA,
    AlertSection,
    Configuration,
    ConsoleSection,
    DetectorSection,
    EventLogSection,
    JsonLinesSection,
    MetricsSection,
    SinksSection,
    StreamSection,
    TrackSection,
    WebhookSection,
    WindowSection,
)
from flows.config.schema import json_schema

__all__ = [
    "FROM_KAFKA",
    "AlertSection",
    "CascadeSection",
    "Configuration",
    "ConsoleSection",
    "ContractSection",
    "DetectorSection",
    "DifferenceSection",
    "EventLogSection",
    "JsonLinesSection",
    "KafkaReadSection",
    "KafkaSection",
    "KafkaWriteSection",
    "MetricsSection",
    "PredicateSection",
    "SinksSection",
    "StreamSection",
    "TrackSection",
    "WebhookSection",
    "WindowSection",
    "json_schema",
    "load",
    "parse",
]
