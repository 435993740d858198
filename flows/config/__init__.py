"""Configurations: one strict YAML file a flow, every fault told at once."""

from flows.config.cascade_section import (
    CascadeSection,
    ContractSection,
    DifferenceSection,
    PredicateSection,
)
from flows.config.load import load, parse
from flows.config.model import (
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
    "AlertSection",
    "CascadeSection",
    "Configuration",
    "ConsoleSection",
    "ContractSection",
    "DetectorSection",
    "DifferenceSection",
    "EventLogSection",
    "JsonLinesSection",
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
