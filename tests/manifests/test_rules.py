"""Each overlay renders, validates against Kubernetes' schemas, and keeps every rule; each rule names what breaks it."""

from collections.abc import Callable

import kubernetes_validate
import pytest
from kubernetes_validate import SchemaNotFoundError

from tests.manifests import cluster_rules, pod_rules
from tests.manifests.cluster import OVERLAYS, Cluster, Manifest, container_of, name_of, pod_of, template_of

RULES = [
    pod_rules.pods_are_confined,
    pod_rules.resources_are_bounded,
    pod_rules.services_are_probed,
    pod_rules.pods_drain,
    pod_rules.parts_exist,
    pod_rules.settings_are_known,
    cluster_rules.selectors_match,
    cluster_rules.addresses_match,
    cluster_rules.budgets_leave_room,
    cluster_rules.scaling_is_steady,
    cluster_rules.images_are_pinned,
    cluster_rules.namespace_is_restricted,
    cluster_rules.pods_have_policies,
    cluster_rules.gpus_are_whole,
]
# Of operators: Kubernetes has no schema for them.
CUSTOM_KINDS = {"ServiceMonitor", "PrometheusRule", "ScaledObject"}


def faults(rule: Callable[[Cluster], object], cluster: Cluster) -> list[str]:
    return list(rule(cluster))  # type: ignore[call-overload]


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_overlay_keeps_the_rule(rule: Callable[[Cluster], object], overlay: str) -> None:
    assert faults(rule, Cluster.of(overlay)) == []


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kubernetes_knows_every_field(overlay: str) -> None:
    unknown = set()
    for manifest in Cluster.of(overlay).objects:
        try:
            kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)
        except SchemaNotFoundError:
            unknown.add(manifest["kind"])
    assert unknown <= CUSTOM_KINDS


def test_a_misspelt_field_is_not_valid() -> None:
    gateway = Cluster.of("dev").get("Deployment", "gateway")
    container_of(gateway)["redinessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(gateway, kubernetes_validate.latest_version(), strict=True)


def test_only_the_gpu_overlay_asks_for_gpus() -> None:
    def with_gpu(overlay: str) -> list[str]:
        return [
            name_of(each)
            for each in Cluster.of(overlay).workloads()
            if cluster_rules.GPU in container_of(each)["resources"]["limits"]
        ]

    assert {overlay: with_gpu(overlay) for overlay in OVERLAYS} == {"dev": [], "prod": [], "prod-gpu": ["ranking"]}


def test_a_pod_gets_only_the_secrets_it_needs() -> None:
    def secrets(workload: Manifest) -> set[str]:
        return {
            each["valueFrom"]["secretKeyRef"]["key"]
            for each in container_of(workload)["env"]
            if "secretKeyRef" in each.get("valueFrom", {})
        }

    workloads = {name_of(each): secrets(each) for each in Cluster.of("prod-gpu").workloads()}
    assert "AISLE_DATABASE_URL" not in workloads["gateway"]
    assert [name for name, given in workloads.items() if "AISLE_API_KEYS" in given] == ["gateway"]
    assert workloads["migrations"] == {"AISLE_DATABASE_URL"}


def _gateway(cluster: Cluster) -> Manifest:
    return cluster.get("Deployment", "gateway")


BREAKS: list[tuple[Callable[[Cluster], object], str, Callable[[Cluster], object]]] = [
    (RULES[0], "dev", lambda c: pod_of(_gateway(c)).pop("automountServiceAccountToken")),
    (RULES[0], "dev", lambda c: pod_of(c.get("CronJob", "nightly-training")).update(securityContext={})),
    (RULES[0], "dev", lambda c: container_of(_gateway(c))["securityContext"].update(readOnlyRootFilesystem=False)),
    (RULES[1], "dev", lambda c: container_of(_gateway(c))["resources"]["limits"].pop("memory")),
    (RULES[1], "dev", lambda c: pod_of(_gateway(c))["volumes"][0].update(emptyDir={})),
    (RULES[2], "dev", lambda c: container_of(_gateway(c)).pop("readinessProbe")),
    (RULES[2], "dev", lambda c: container_of(_gateway(c))["livenessProbe"]["httpGet"].update(path="/readyz")),
    (RULES[3], "dev", lambda c: container_of(_gateway(c)).pop("lifecycle")),
    (RULES[3], "dev", lambda c: pod_of(_gateway(c)).update(terminationGracePeriodSeconds=10)),
    (RULES[4], "dev", lambda c: pod_of(_gateway(c)).update(priorityClassName="aisle-answer")),
    (RULES[4], "dev", lambda c: pod_of(_gateway(c))["volumes"].pop()),
    (RULES[5], "dev", lambda c: next(c.kind("ConfigMap"))["data"].update(AISLE_TIMEZON="UTC")),
    (RULES[5], "dev", lambda c: container_of(_gateway(c))["env"].append({"name": "AISLE_API_KEYS", "value": "k"})),
    (RULES[6], "dev", lambda c: c.get("Service", "gateway")["spec"].update(selector={"app": "gateway"})),
    (RULES[6], "dev", lambda c: c.get("Service", "gateway")["spec"]["ports"][0].update(targetPort="web")),
    (RULES[6], "dev", lambda c: template_of(_gateway(c))["metadata"].update(labels={"app": "gateway"})),
    (RULES[7], "dev", lambda c: container_of(_gateway(c))["ports"][0].update(containerPort=8080)),
    (RULES[8], "dev", lambda c: c.get("PodDisruptionBudget", "gateway")["spec"].update(maxUnavailable=0)),
    (RULES[8], "prod", lambda c: c.get("PodDisruptionBudget", "gateway")["spec"].update(minAvailable=3)),
    (RULES[9], "prod", lambda c: _gateway(c)["spec"].update(replicas=3)),
    (RULES[9], "prod", lambda c: c.get("HorizontalPodAutoscaler", "ranking")["spec"].update(minReplicas=0)),
    (RULES[9], "prod", lambda c: next(c.kind("ScaledObject"))["spec"].pop("fallback")),
    (RULES[10], "prod", lambda c: container_of(_gateway(c)).update(image="registry.example/aisle/gateway:1")),
    (RULES[10], "dev", lambda c: container_of(_gateway(c)).update(image="localhost/aisle/gateway")),
    (RULES[11], "dev", lambda c: next(c.kind("Namespace"))["metadata"].update(labels={})),
    (RULES[12], "dev", lambda c: c.objects.remove(c.get("NetworkPolicy", "deny-by-default"))),
    (RULES[12], "dev", lambda c: c.objects.remove(c.get("NetworkPolicy", "ingest"))),
    (RULES[13], "prod-gpu", lambda c: pod_of(c.get("Deployment", "ranking")).pop("tolerations")),
    (RULES[13], "prod-gpu", lambda c: c.get("Deployment", "ranking")["spec"].pop("strategy")),
]


@pytest.mark.parametrize(("rule", "overlay", "spoil"), BREAKS, ids=lambda part: getattr(part, "__name__", str(part)))
def test_the_rule_names_what_breaks_it(
    rule: Callable[[Cluster], object], overlay: str, spoil: Callable[[Cluster], object]
) -> None:
    cluster = Cluster.of(overlay)
    spoil(cluster)
    assert faults(rule, cluster) != []


def test_every_rule_is_seen_to_fail() -> None:
    assert {rule.__name__ for rule, _, _ in BREAKS} == {rule.__name__ for rule in RULES}
