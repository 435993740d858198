"""The clustered form: right by Kubernetes' own schemas, and closed by our own rules."""

from __future__ import annotations

from typing import Any

import pytest
from kubernetes_validate import ValidationError, validate

from flows.shards import MOST_PROCESSES
from tests.support.deployed import DOCKER, ENVIRONMENT, read_yaml

FOLDER = DOCKER / "kubernetes"
VERSIONS = ("1.28", "1.33")
"""The oldest Kubernetes that labels pods of a StatefulSet by their number, and a late one."""

ORDER = read_yaml(FOLDER / "kustomization.yaml")[0]["resources"]
OBJECTS: dict[tuple[str, str], dict[str, Any]] = {
    (one["kind"], one["metadata"]["name"]): one
    for name in ORDER
    for one in read_yaml(FOLDER / name)
}
WORKLOADS = {name: one for name, one in OBJECTS.items() if "template" in one.get("spec", {})}

workloads = pytest.mark.parametrize("one", WORKLOADS.values(), ids=[name for _, name in WORKLOADS])


def test_every_file_is_taken() -> None:
    assert {*ORDER, "kustomization.yaml"} == {path.name for path in FOLDER.iterdir()}
    assert {kind for kind, _ in OBJECTS} == {
        "Namespace", "ConfigMap", "PersistentVolumeClaim", "StatefulSet", "Deployment", "Service",
        "NetworkPolicy", "PodDisruptionBudget",
    }  # fmt: skip


@pytest.mark.parametrize("one", OBJECTS.values(), ids=["-".join(name) for name in OBJECTS])
@pytest.mark.parametrize("version", VERSIONS)
def test_it_follows_the_schema(one: dict[str, Any], version: str) -> None:
    assert validate(one, version, strict=True) == version


def test_the_schema_would_find_a_slip() -> None:
    slip = {**OBJECTS["StatefulSet", "sightflow-flow"], "specs": {}}
    with pytest.raises(ValidationError, match="specs"):
        validate(slip, VERSIONS[0], strict=True)


@workloads
def test_pods_are_closed(one: dict[str, Any]) -> None:
    pod = one["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert set(container["resources"]) == {"requests", "limits"}
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}


@workloads
def test_secrets_are_references(one: dict[str, Any]) -> None:
    container = one["spec"]["template"]["spec"]["containers"][0]
    secret = {entry["name"]: entry["valueFrom"]["secretKeyRef"]["name"]
              for entry in container["env"] if "secretKeyRef" in entry["valueFrom"]}  # fmt: skip
    assert secret == dict.fromkeys(set(ENVIRONMENT) - {"SIGHTFLOW_KAFKA"}, "sightflow")
    told = OBJECTS["ConfigMap", "sightflow"]["data"]
    assert set(told) == {"SIGHTFLOW_KAFKA", "SIGHTFLOW_STATE", "SIGHTFLOW_ADDRESSES"}


def test_the_addresses_are_those_of_the_pods() -> None:
    flow = OBJECTS["StatefulSet", "sightflow-flow"]["spec"]
    service = OBJECTS["Service", flow["serviceName"]]["spec"]
    port = service["ports"][0]["port"]
    assert OBJECTS["ConfigMap", "sightflow"]["data"]["SIGHTFLOW_ADDRESSES"].split(",") == [
        f"sightflow-flow-{number}.{flow['serviceName']}:{port}"
        for number in range(flow["replicas"])
    ]
    assert (service["clusterIP"], service["publishNotReadyAddresses"]) == ("None", True)
    assert flow["podManagementPolicy"] == "Parallel"


def test_selectors_find_the_pods() -> None:
    flow = OBJECTS["StatefulSet", "sightflow-flow"]["spec"]["template"]["metadata"]["labels"]
    budget = OBJECTS["PodDisruptionBudget", "sightflow-flow"]["spec"]
    assert budget["selector"]["matchLabels"] == flow
    assert OBJECTS["Service", "sightflow-flow"]["spec"]["selector"] == flow
    policy = OBJECTS["NetworkPolicy", "sightflow"]["spec"]
    assert policy["podSelector"]["matchLabels"].items() <= flow.items()
    cluster, metrics, _ = policy["ingress"]
    assert cluster["from"] == [{"podSelector": {"matchLabels": flow}}]
    port = metrics["ports"][0]
    assert port["endPort"] - port["port"] + 1 == MOST_PROCESSES


def test_the_flow_is_that_of_the_containers() -> None:
    told = OBJECTS["ConfigMap", "sightflow-flow"]["data"]["flow.yaml"]
    assert told == (DOCKER / "flow.yaml").read_text(encoding="utf-8")
