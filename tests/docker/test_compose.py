"""The services on one machine: right by the specification, and closed by our own rules."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from compose_spec import PyCompose

from flows import config
from tests.support.deployed import DOCKER, ENVIRONMENT, read_yaml

COMPOSE: dict[str, Any] = read_yaml(DOCKER / "compose.yaml")[0]
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
SERVE_NOTHING = {"trainer", "topics"}
REFERENCE = re.compile(r"\$\{([A-Z_]+)(:[-?][^}]*)?\}")

services = pytest.mark.parametrize("name", sorted(SERVICES))


def test_it_follows_the_specification() -> None:
    PyCompose.from_json(json.dumps(COMPOSE)).validate()
    assert set(SERVICES) == {
        "flow", "trainer", "ui", "kafka", "topics", "prometheus", "grafana",
    }  # fmt: skip


@services
def test_a_service_is_closed(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    user = int(service["user"].partition(":")[0])
    assert user > 0
    assert not {"privileged", "network_mode", "pid", "ipc", "cap_add", "devices"} & set(service)
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}


@services
def test_a_service_tells_its_health(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    assert check == {"disable": True} if name in SERVE_NOTHING else check["test"][0] == "CMD"


@services
def test_images_are_pinned(name: str) -> None:
    assert re.fullmatch(r"[a-z/]+:v?\d+\.\d+\.\d+", SERVICES[name]["image"])


@services
def test_secrets_come_from_the_environment(name: str) -> None:
    for key, value in SERVICES[name].get("environment", {}).items():
        if re.search(r"SECRET|TOKEN|PASSWORD", key):
            assert REFERENCE.fullmatch(value), key


@services
def test_ports_are_open_to_this_machine_alone(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


@services
def test_what_is_mounted_from_here_is_there_and_cannot_be_written(name: str) -> None:
    for volume in SERVICES[name].get("volumes", []):
        source, _, rest = volume.partition(":")
        if source.startswith("."):
            assert (DOCKER / source).exists()
            assert rest.endswith(":ro")
        else:
            assert source in COMPOSE["volumes"]


def test_every_reference_is_explained() -> None:
    text = (DOCKER / "compose.yaml").read_text(encoding="utf-8")
    asked = {found[1] for found in REFERENCE.finditer(text)} - {"SIGHTFLOW_RUN"}
    example = (DOCKER / "example.env").read_text(encoding="utf-8")
    told = dict(re.findall(r"^([A-Z_]+)=(.*)$", example, flags=re.MULTILINE))
    assert set(told) == asked
    assert not any(value for name, value in told.items() if re.search("SECRET|TOKEN|PASS", name))


def test_the_flow_is_told_all_that_it_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    given = SERVICES["flow"]["environment"]
    assert set(given) == {*ENVIRONMENT, "SIGHTFLOW_STATE"}
    for name, value in {**ENVIRONMENT, "SIGHTFLOW_STATE": given["SIGHTFLOW_STATE"]}.items():
        monkeypatch.setenv(name, value)
    flow, _ = config.load(DOCKER / "flow.yaml")
    assert flow.kafka is not None
    assert flow.kafka.servers == [given["SIGHTFLOW_KAFKA"]]
    assert flow.metrics is not None
    assert flow.ui is not None
    assert SERVICES["flow"]["ports"] == [f"127.0.0.1:{flow.ui.port}:{flow.ui.port}"]
    scraped = read_yaml(DOCKER / "prometheus" / "prometheus.yml")[0]["scrape_configs"]
    targets = scraped[0]["static_configs"][0]["targets"]
    assert targets == [f"flow:{flow.metrics.port + process}" for process in range(2)]
