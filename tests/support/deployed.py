"""Reading the files of docker/: YAML with its merges, and references to the environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

DOCKER = Path(__file__).resolve().parents[2] / "docker"

ENVIRONMENT = {
    "SIGHTFLOW_KAFKA": "kafka:9092",
    "SIGHTFLOW_WEBHOOK_URL": "https://alerts.example.com/in",
    "SIGHTFLOW_WEBHOOK_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "SIGHTFLOW_UI_TOKEN": "6b1c2a9be0d04e41",
}
"""What the flow of the containers is told."""


def read_yaml(path: Path) -> list[Any]:
    """Every document of a YAML file, merges and anchors resolved."""
    return list(YAML(typ="safe").load_all(path.read_text(encoding="utf-8")))
