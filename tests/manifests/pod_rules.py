"""What every pod must be: confined, bounded, probed, and made of things that exist.

Called by   test_rules.py, on every overlay and on broken ones
In          a Cluster
Out         the faults, each naming the object; none is the aim
Source      Kubernetes' Pod Security Standards ("restricted"), and the checks of kube-linter and Polaris
"""

from collections.abc import Iterator

from shared.service.server import FINISH_S
from shared.service.settings import PREFIX, Settings
from tests.manifests.cluster import LONG_RUNNING, STORES, Cluster, container_of, name_of, pod_of

Faults = Iterator[str]
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")
STORE_KEYS = {"POSTGRES_PASSWORD", "REDIS_PASSWORD"}


def pods_are_confined(cluster: Cluster) -> Faults:
    """No root, no new privileges, no capability, no writable root, no token, no service variables."""
    for workload in cluster.workloads():
        pod, container = pod_of(workload), container_of(workload)
        context, own = pod.get("securityContext", {}), container.get("securityContext", {})
        confined = {
            "not root": context.get("runAsNonRoot") is True and context.get("runAsUser", 0) > 0,
            "seccomp": context.get("seccompProfile") == {"type": "RuntimeDefault"},
            "no escalation": own.get("allowPrivilegeEscalation") is False,
            "read-only root": own.get("readOnlyRootFilesystem") is True,
            "no capabilities": own.get("capabilities") == {"drop": ["ALL"]},
            "no token": pod.get("automountServiceAccountToken") is False,
            "no service variables": pod.get("enableServiceLinks") is False,
        }
        yield from (f"{name_of(workload)}: {what}" for what, fine in confined.items() if not fine)


def resources_are_bounded(cluster: Cluster) -> Faults:
    """CPU and memory are asked for and limited; what a pod writes on a node is limited, too."""
    for workload in cluster.workloads():
        resources = container_of(workload).get("resources", {})
        for part in ("requests", "limits"):
            yield from (
                f"{name_of(workload)}: no {part} of {of}"
                for of in ("cpu", "memory")
                if of not in resources.get(part, {})
            )
        for volume in pod_of(workload)["volumes"]:
            if "emptyDir" in volume and "sizeLimit" not in volume["emptyDir"]:
                yield f"{name_of(workload)}: volume {volume['name']} without a limit"


def services_are_probed(cluster: Cluster) -> Faults:
    """What runs for long has all three probes; liveness never depends on more than the event loop."""
    for workload in cluster.kind(*LONG_RUNNING):
        container = container_of(workload)
        yield from (f"{name_of(workload)}: no {probe}" for probe in PROBES if probe not in container)
        alive = container.get("livenessProbe", {})
        if name_of(workload) not in STORES and alive.get("httpGet", {}).get("path") != "/livez":
            yield f"{name_of(workload)}: liveness is not /livez"


def pods_drain(cluster: Cluster) -> Faults:
    """What takes requests goes on answering until its endpoint is gone everywhere, and has time to finish."""
    for workload in cluster.kind("Deployment"):
        sleep_s = container_of(workload).get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        grace_s = pod_of(workload).get("terminationGracePeriodSeconds", 30)
        if sleep_s < 5 or grace_s < sleep_s + FINISH_S:
            yield f"{name_of(workload)}: sleeps {sleep_s} s before SIGTERM of {grace_s} s grace"


def parts_exist(cluster: Cluster) -> Faults:
    """Service accounts, priorities, settings, claims and mounted volumes are there."""
    claims = cluster.names("PersistentVolumeClaim")
    for workload in cluster.workloads():
        pod, container, name = pod_of(workload), container_of(workload), name_of(workload)
        volumes = {volume["name"] for volume in pod["volumes"]}
        volumes |= {name_of(claim) for claim in workload["spec"].get("volumeClaimTemplates", [])}
        wanted = {
            "service account": ({pod.get("serviceAccountName")}, cluster.names("ServiceAccount")),
            "priority": ({pod.get("priorityClassName")}, cluster.names("PriorityClass")),
            "ConfigMap": (
                {source["configMapRef"]["name"] for source in container.get("envFrom", [])},
                cluster.names("ConfigMap"),
            ),
            "volume": ({mount["name"] for mount in container["volumeMounts"]}, volumes),
            "claim": (
                {
                    each["persistentVolumeClaim"]["claimName"]
                    for each in pod["volumes"]
                    if "persistentVolumeClaim" in each
                },
                claims,
            ),
        }
        for what, (used, there) in wanted.items():
            yield from (f"{name}: no {what} {missing}" for missing in used - there)


def settings_are_known(cluster: Cluster) -> Faults:
    """Every variable is a setting of Aisle, every secret comes from `aisle-secrets`, and no value holds one."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    (settings,) = (each for each in cluster.kind("ConfigMap") if name_of(each).startswith("aisle-settings"))
    yield from (f"ConfigMap: no setting {name}" for name in settings["data"] if name not in known)
    for workload in cluster.workloads():
        for variable in container_of(workload).get("env", []):
            name, source = variable["name"], variable.get("valueFrom", {}).get("secretKeyRef")
            if source and (source["name"] != "aisle-secrets" or source["key"] not in known | STORE_KEYS):
                yield f"{name_of(workload)}: {name} of an unknown secret"
            if not source and "value" in variable and ("PASSWORD" in name or "_KEY" in name or "_URL" in name):
                yield f"{name_of(workload)}: {name} is written down"
