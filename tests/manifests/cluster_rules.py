"""How the objects of a cluster must fit together: selectors, ports, budgets, scaling, network, images, GPUs.

Called by   test_rules.py, on every overlay and on broken ones
In          a Cluster
Out         the faults, each naming the object; none is the aim
"""

from urllib.parse import urlsplit

from tests.manifests.cluster import (
    LONG_RUNNING,
    STORES,
    Cluster,
    Manifest,
    container_of,
    labels_of,
    name_of,
    pod_of,
    ports_of,
    selects,
)
from tests.manifests.pod_rules import Faults

GPU = "nvidia.com/gpu"


def selectors_match(cluster: Cluster) -> Faults:
    """A workload selects its own pods, a service a port of somebody's pods, a budget exactly one workload."""
    for workload in cluster.kind(*LONG_RUNNING):
        if not selects(workload["spec"]["selector"], labels_of(workload)):
            yield f"{name_of(workload)}: does not select its own pods"
    for service in cluster.kind("Service"):
        backends = [
            each
            for each in cluster.workloads()
            if selects({"matchLabels": service["spec"]["selector"]}, labels_of(each))
        ]
        if not backends:
            yield f"service {name_of(service)}: selects nobody"
        for port in service["spec"]["ports"]:
            if any(port["targetPort"] not in ports_of(each) for each in backends):
                yield f"service {name_of(service)}: nobody has the port {port['targetPort']}"
    for budget in cluster.kind("PodDisruptionBudget"):
        chosen = [each for each in cluster.kind(*LONG_RUNNING) if selects(budget["spec"]["selector"], labels_of(each))]
        if len(chosen) != 1:
            yield f"budget {name_of(budget)}: selects {len(chosen)} workloads"


def addresses_match(cluster: Cluster) -> Faults:
    """The URL by which the services know each other is that of a Service, and its port the container's."""
    (settings,) = (each for each in cluster.kind("ConfigMap") if name_of(each).startswith("aisle-settings"))
    for setting, url in settings["data"].items():
        if url.startswith("http://"):
            host, port = urlsplit(url).hostname, urlsplit(url).port
            if host not in cluster.names("Service"):
                yield f"{setting}: no Service {host}"
                continue
            served = cluster.get("Service", host)["spec"]["ports"][0]["port"]
            listens = ports_of(cluster.get("Deployment", host))["http"]
            if not port == served == listens:
                yield f"{setting}: port {port}, of the Service {served}, of the container {listens}"


def budgets_leave_room(cluster: Cluster) -> Faults:
    """Everything that answers has a budget, and none forbids every eviction: never at or above the fewest replicas."""
    budgets = {name_of(budget): budget["spec"] for budget in cluster.kind("PodDisruptionBudget")}
    fewest = {each["spec"]["scaleTargetRef"]["name"]: each["spec"]["minReplicas"] for each in scalers(cluster)}
    for workload in cluster.kind(*LONG_RUNNING):
        name = name_of(workload)
        if name in STORES:
            continue
        budget = budgets.get(name)
        if budget is None:
            yield f"{name}: no budget"
        elif budget.get("maxUnavailable", 1) < 1 or budget.get("minAvailable", 0) >= fewest.get(name, 1):
            yield f"{name}: its budget forbids every eviction"
        elif budget.get("unhealthyPodEvictionPolicy") != "AlwaysAllow":
            yield f"{name}: a broken pod blocks a drain"


def scalers(cluster: Cluster) -> list[Manifest]:
    """Return the autoscalers of Kubernetes itself."""
    return list(cluster.kind("HorizontalPodAutoscaler"))


def scaling_is_steady(cluster: Cluster) -> Faults:
    """Nobody scales to zero or at once; what is scaled has no replicas of its own, what is not has; pods are spread."""
    scaled = {each["spec"]["scaleTargetRef"]["name"] for each in scalers(cluster)}
    yield from (f"{name}: is scaled and not there" for name in scaled - cluster.names("Deployment"))
    for scaler in scalers(cluster):
        spec = scaler["spec"]
        if not 1 <= spec["minReplicas"] <= spec["maxReplicas"]:
            yield f"{name_of(scaler)}: {spec['minReplicas']} to {spec['maxReplicas']} replicas"
        if spec["behavior"]["scaleDown"]["stabilizationWindowSeconds"] < 300:
            yield f"{name_of(scaler)}: shrinks too fast"
    for workload in cluster.kind(*LONG_RUNNING):
        if ("replicas" in workload["spec"]) == (name_of(workload) in scaled):
            yield f"{name_of(workload)}: replicas and autoscaler disagree"
        if name_of(workload) in scaled and not pod_of(workload).get("topologySpreadConstraints"):
            yield f"{name_of(workload)}: is not spread over nodes and zones"
    for scaled_object in cluster.kind("ScaledObject"):
        spec = scaled_object["spec"]
        careful = all(trigger["metadata"].get("ignoreNullValues") == "false" for trigger in spec["triggers"])
        if not (spec["minReplicaCount"] >= 1 and "fallback" in spec and careful):
            yield f"{name_of(scaled_object)}: a Prometheus that is away would shrink it"


def images_are_pinned(cluster: Cluster) -> Faults:
    """An image has a version and never `latest`; in production, by digest."""
    in_production = any(name_of(each) == "aisle" for each in cluster.kind("Namespace"))
    for workload in cluster.workloads():
        image = container_of(workload)["image"]
        _, _, tag = image.rpartition("/")[2].partition(":")
        if in_production and "@sha256:" not in image:
            yield f"{name_of(workload)}: {image} has no digest"
        elif tag in ("", "latest") and "@" not in image:
            yield f"{name_of(workload)}: {image} has no version"


def namespace_is_restricted(cluster: Cluster) -> Faults:
    """Kubernetes itself refuses a pod that is not confined."""
    for namespace in cluster.kind("Namespace"):
        if namespace["metadata"]["labels"].get("pod-security.kubernetes.io/enforce") != "restricted":
            yield f"namespace {name_of(namespace)}: is not restricted"


def pods_have_policies(cluster: Cluster) -> Faults:
    """All is denied by default, and every pod has a policy of its own."""
    policies = list(cluster.kind("NetworkPolicy"))
    everybody = [each for each in policies if each["spec"]["podSelector"] == {}]
    denied = any(
        set(each["spec"]["policyTypes"]) == {"Ingress", "Egress"} and not {"ingress", "egress"} & set(each["spec"])
        for each in everybody
    )
    if not denied:
        yield "nothing is denied by default"
    own = [each for each in policies if each not in everybody and "scrapes" not in name_of(each)]
    for workload in cluster.workloads():
        if not any(selects(each["spec"]["podSelector"], labels_of(workload)) for each in own):
            yield f"{name_of(workload)}: no policy"


def gpus_are_whole(cluster: Cluster) -> Faults:
    """A pod with a GPU has a limit, tolerates the taint, asks for such a node and never surges; two at least."""
    for workload in cluster.workloads():
        limits, pod = container_of(workload)["resources"]["limits"], pod_of(workload)
        if GPU not in limits:
            continue
        tolerates = any(each["key"] == GPU for each in pod.get("tolerations", []))
        chooses = "nodeAffinity" in pod.get("affinity", {})
        rollout = workload["spec"].get("strategy", {}).get("rollingUpdate", {})
        fewest = min(each["spec"]["minReplicas"] for each in scalers(cluster) if name_of(each) == name_of(workload))
        if not (isinstance(limits[GPU], int) and limits[GPU] >= 1 and tolerates and chooses):
            yield f"{name_of(workload)}: GPU limit, toleration or affinity"
        if rollout != {"maxSurge": 0, "maxUnavailable": 1} or fewest < 2:
            yield f"{name_of(workload)}: a rollout would wait for a GPU, or leave nobody"
