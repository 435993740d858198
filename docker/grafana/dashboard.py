"""Makes the Grafana dashboard: ``python docker/grafana/dashboard.py`` writes it to dashboards/.

One table of panels, so that the file is never edited by hand and a test can hold it against the
metrics that there are.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parent / "dashboards" / "sightflow.json"
"""The file that Grafana reads."""

COLUMNS = 24
"""Grafana's grid is so many units wide."""

PANELS_IN_A_ROW = 3
"""How many panels stand side by side."""

PANEL_HEIGHT = 8
"""Height of a panel, units of the grid."""

SCHEMA_VERSION = 39
"""The version of Grafana's dashboard format; later Grafanas read it as well."""

_SOURCE = {"type": "prometheus", "uid": "prometheus"}
_STREAMS = 'stream=~"$stream"'


@dataclass(frozen=True, slots=True)
class Panel:
    """A graph over time.

    Attributes:
        title: What it shows.
        unit: Grafana's name of the unit of its values.
        queries: What Prometheus is asked, by the legend of the answers.
    """

    title: str
    unit: str
    queries: dict[str, str]


def rate(metric: str, by: str, labels: str = _STREAMS) -> str:
    """The rate of a counter, each second, summed by labels."""
    chosen = f"{{{labels}}}" if labels else ""
    return f"sum by ({by}) (rate({metric}{chosen}[$__rate_interval]))"


def of_streams(metric: str) -> str:
    """The values of a gauge, of the streams that are chosen on the page."""
    return f"{metric}{{{_STREAMS}}}"


PANELS = (
    Panel("Frames decided, by stage", "cps", {
        "{{stage}}": rate("sightflow_frames_total", "stage"),
    }),
    Panel("Share of frames that reaches the reference detector", "percentunit", {
        "{{stream}}": 'sum by (stream) (rate(sightflow_stage_frames_total{stage="reference",'
        f"{_STREAMS}}}[$__rate_interval])) / "
        'sum by (stream) (rate(sightflow_stage_frames_total{stage="packets",'
        f"{_STREAMS}}}[$__rate_interval]))",
    }),
    Panel("Streams that give frames", "bool_on_off", {
        "{{stream}}": of_streams("sightflow_stream_up"),
    }),
    Panel("Audited recall", "percentunit", {
        "{{stream}} {{bound}}": of_streams("sightflow_audit_recall"),
    }),
    Panel("Audited precision", "percentunit", {
        "{{stream}} {{bound}}": of_streams("sightflow_audit_precision"),
    }),
    Panel("What became of the contract", "short", {
        "{{stream}} {{reason}}": of_streams("sightflow_contract_changes_total"),
    }),
    Panel("Estimates of windows", "short", {
        "{{stream}} {{name}} {{bound}}": of_streams("sightflow_window_estimate"),
    }),
    Panel("Alerts", "cpm", {
        "{{rule}} {{state}}": "60 * " + rate("sightflow_alerts_total", "rule, state"),
    }),
    Panel("Findings, and verdicts that they corrected", "cpm", {
        "{{assertion}}": "60 * " + rate("sightflow_findings_total", "assertion"),
        "{{stream}} corrected": "60 * " + rate("sightflow_verdicts_corrected_total", "stream"),
    }),
    Panel("Frames and packets that were lost", "cps", {
        "{{stream}} {{reason}}": rate("sightflow_frames_dropped_total", "stream, reason"),
        "{{stream}} {{reason}} (packets)": rate("sightflow_packets_corrupt_total",
                                                "stream, reason"),
    }),
    Panel("What befell the streams", "cpm", {
        "{{stream}} {{kind}}": "60 * " + rate("sightflow_stream_events_total", "stream, kind"),
    }),
    Panel("Frames that the audit drew", "cps", {
        "{{stream}}": rate("sightflow_frames_audited_total", "stream"),
    }),
    Panel("Images seen by detectors", "cps", {
        "{{model}}": rate("sightflow_detector_calls_total", "model", ""),
    }),
    Panel("Time of a detector's call", "s", {
        f"{{{{model}}}} {share:.0%}": f"histogram_quantile({share}, "
        f"{rate('sightflow_detector_seconds_bucket', 'model, le', '')})"
        for share in (0.5, 0.99)
    }),
    Panel("Models in force", "short", {
        "{{name}} version {{version}}": "sightflow_model_info",
    }),
    Panel("Models: swaps, faults, candidates judged", "short", {
        "{{name}} swapped: {{reason}}": "sightflow_model_swaps_total",
        "{{name}} faulty": "sightflow_model_faults_total",
        "{{name}} shadow {{outcome}}": "sightflow_model_shadows_total",
    }),
    Panel("Retraining queue: items that wait", "short", {
        "{{queue}}": "sightflow_retraining_queue_items",
    }),
    Panel("Retraining queue: put in, and not", "cpm", {
        "{{origin}}": "60 * " + rate("sightflow_retraining_items_total", "origin"),
        "not: {{reason}}": "60 * " + rate("sightflow_retraining_dropped_total", "reason"),
    }),
    Panel("Kafka: messages not read yet", "short", {
        "{{topic}}": "sum by (topic) (sightflow_kafka_lag_messages)",
    }),
    Panel("Kafka: dead letters", "cpm", {
        "{{topic}} {{reason}}": "60 * " + rate("sightflow_dead_letters_total", "topic, reason", ""),
    }),
    Panel("Webhooks: alerts that wait, and deliveries each minute", "short", {
        "{{endpoint}} waiting": "sightflow_webhook_pending",
        "{{endpoint}} {{outcome}}": "60 * " + rate("sightflow_webhook_deliveries_total",
                                                   "endpoint, outcome", ""),
    }),
)  # fmt: skip
"""The panels, row by row."""


def dashboard() -> dict[str, Any]:
    """The dashboard in Grafana's JSON."""
    return {
        "uid": "sightflow",
        "title": "Sightflow",
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [_variable()]},
        "panels": [_panel(place, panel) for place, panel in enumerate(PANELS)],
    }


def _variable() -> dict[str, Any]:
    return {
        "name": "stream",
        "label": "Stream",
        "type": "query",
        "datasource": _SOURCE,
        "query": "label_values(sightflow_frames_total, stream)",
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def _panel(place: int, panel: Panel) -> dict[str, Any]:
    row, column = divmod(place, PANELS_IN_A_ROW)
    width = COLUMNS // PANELS_IN_A_ROW
    return {
        "id": place + 1,
        "type": "timeseries",
        "title": panel.title,
        "datasource": _SOURCE,
        "gridPos": {"h": PANEL_HEIGHT, "w": width, "x": column * width, "y": row * PANEL_HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + number), "datasource": _SOURCE, "expr": query,
             "legendFormat": legend}
            for number, (legend, query) in enumerate(panel.queries.items())
        ],
    }  # fmt: skip


def text() -> str:
    """What the file holds."""
    return json.dumps(dashboard(), indent=1) + "\n"


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
    sys.stdout.write(f"{TARGET.name}: {len(PANELS)} panels\n")
