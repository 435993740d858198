"""The JSON schema of configurations, for editors and `sightflow schema`."""

from __future__ import annotations

from typing import Any

from flows.config.model import Configuration


def json_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of a configuration file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Configuration.model_json_schema(by_alias=True),
        "title": "Sightflow configuration",
    }
