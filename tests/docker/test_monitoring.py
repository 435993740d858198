"""The dashboard and the alert rules: their queries parse, and ask for metrics that there are."""

from __future__ import annotations

import json
import re
from typing import Any

import promql_parser
import pytest

from connectors.metrics import Metrics
from connectors.model_metrics import ModelMetrics
from docker.grafana import dashboard
from tests.support.deployed import DOCKER, read_yaml

RULES: list[dict[str, Any]] = [
    rule
    for group in read_yaml(DOCKER / "prometheus" / "rules.yml")[0]["groups"]
    for rule in group["rules"]
]
RATE_INTERVAL = "1m"
"""What stands for the interval that Grafana fills in."""

SCRAPED_BY_PROMETHEUS = {"up": frozenset({"job", "instance"})}


def metrics() -> dict[str, frozenset[str]]:
    """Every sample that a run may show, with its labels."""
    shown = Metrics()
    ModelMetrics(shown.registry)
    found: dict[str, frozenset[str]] = dict(SCRAPED_BY_PROMETHEUS)
    for collector, names in shown.registry._collector_to_names.items():
        labels = frozenset(getattr(collector, "_labelnames", ()))
        found |= {name: labels | {"le"} if name.endswith("_bucket") else labels for name in names}
    return found


def selectors(query: str) -> list[tuple[str, set[str]]]:
    """The metrics that a query asks for, each with the labels that it is chosen by."""
    promql_parser.parse(query)  # raises where it is no PromQL
    return [
        (name, set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", inside)))
        for name, inside in re.findall(r"\b(sightflow_\w+|up)\b(?:\{([^}]*)\})?", query)
    ]


def check(query: str) -> set[str]:
    known = metrics()
    asked = selectors(query.replace("$__rate_interval", RATE_INTERVAL))
    assert asked, query
    for name, labels in asked:
        assert name in known, f"no metric {name}"
        assert labels <= known[name], f"{name} has no label {labels - known[name]}"
    for names in re.findall(r"by \(([^)]*)\)", query):
        grouped = {label.strip() for label in names.split(",")}
        assert grouped <= {label for name, _ in asked for label in known[name]}
    return {name for name, _ in asked}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_a_rule_asks_for_metrics_that_there_are(rule: dict[str, Any]) -> None:
    known = metrics()
    asked = check(rule["expr"])
    told = re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])
    assert set(told) <= {label for name in asked for label in known[name]}
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert rule["annotations"]["description"]


def test_the_faults_that_matter_have_a_rule() -> None:
    assert [rule["alert"].removeprefix("Sightflow") for rule in RULES] == [
        "Down", "StreamLost", "ContractBroken", "RecallBelowHalf", "FramesDropped", "DeadLetters",
        "KafkaLag", "WebhookPending", "WebhookFailed", "QueueRefused", "ModelFaulty",
    ]  # fmt: skip


@pytest.mark.parametrize("panel", dashboard.PANELS, ids=lambda panel: panel.title)
def test_a_panel_asks_for_metrics_that_there_are(panel: dashboard.Panel) -> None:
    known = metrics()
    for legend, query in panel.queries.items():
        asked = check(query)
        told = set(re.findall(r"\{\{(\w+)\}\}", legend))
        assert told <= {label for name in asked for label in known[name]}


def test_every_metric_is_shown() -> None:
    asked = " ".join(query for panel in dashboard.PANELS for query in panel.queries.values())
    shown = {name.removesuffix("_bucket") for name in re.findall(r"sightflow_\w+", asked)}
    meant = {re.sub("_(bucket|count|sum|created)$", "", name) for name in metrics()} - {"up"}
    counters = {name.removesuffix("_total") for name in shown}
    assert {name.removesuffix("_total") for name in meant} == counters


def test_the_dashboard_is_what_the_table_makes() -> None:
    written = dashboard.TARGET.read_text(encoding="utf-8")
    assert written == dashboard.text(), "run: python docker/grafana/dashboard.py"
    panels = json.loads(written)["panels"]
    places = {(one["gridPos"]["x"], one["gridPos"]["y"]) for one in panels}
    assert len(places) == len(panels) == len(dashboard.PANELS)


def test_grafana_finds_prometheus_and_the_dashboard() -> None:
    folder = DOCKER / "grafana" / "provisioning"
    source = read_yaml(folder / "datasources" / "prometheus.yml")[0]["datasources"][0]
    assert (source["uid"], source["url"]) == ("prometheus", "http://prometheus:9090")
    provider = read_yaml(folder / "dashboards" / "sightflow.yml")[0]["providers"][0]
    mounted = read_yaml(DOCKER / "compose.yaml")[0]["services"]["grafana"]["volumes"]
    assert f"./grafana/dashboards:{provider['options']['path']}:ro" in mounted
