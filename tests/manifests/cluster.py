"""The objects that an overlay of k8s/ renders to, and short ways to ask about them.

Called by   tests/manifests: the rules read a Cluster, the tests render or break one
In          the name of an overlay
Errors      AssertionError with kubectl's words when an overlay does not render
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
OVERLAYS = ("dev", "prod", "prod-gpu")
NAME = "app.kubernetes.io/name"
LONG_RUNNING = ("Deployment", "StatefulSet")
STORES = ("postgres", "redis-stream", "redis-cache")

Manifest = dict[str, Any]


def kubectl() -> str:
    """Return kubectl: of the virtual environment, so that everybody renders with one version, else of PATH."""
    own = Path(sys.executable).parent / "kubectl"
    return str(own) if own.exists() else shutil.which("kubectl") or ""


@cache
def rendered(overlay: str) -> str:
    """Return the YAML of an overlay."""
    command = [kubectl(), "kustomize", str(ROOT / "k8s" / "overlays" / overlay)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout


@dataclass(frozen=True)
class Cluster:
    """All objects of one overlay; made anew for each test, so that a test may break it."""

    objects: list[Manifest]

    @staticmethod
    def of(overlay: str) -> "Cluster":
        """Return the rendered overlay."""
        return Cluster([document for document in yaml.load_all(rendered(overlay), Loader=yaml.CSafeLoader) if document])

    def kind(self, *kinds: str) -> Iterator[Manifest]:
        """Iterate over the objects of some kinds."""
        return (each for each in self.objects if each["kind"] in kinds)

    def get(self, kind: str, name: str) -> Manifest:
        """Return one object."""
        return next(each for each in self.kind(kind) if name_of(each) == name)

    def names(self, kind: str) -> set[str]:
        """Return the names of a kind's objects."""
        return {name_of(each) for each in self.kind(kind)}

    def workloads(self) -> Iterator[Manifest]:
        """Iterate over everything that makes pods."""
        return self.kind(*LONG_RUNNING, "Job", "CronJob")


def name_of(manifest: Manifest) -> str:
    """Return the object's name."""
    return str(manifest["metadata"]["name"])


def template_of(workload: Manifest) -> Manifest:
    """Return the pod template."""
    spec = workload["spec"]
    template: Manifest = (spec["jobTemplate"]["spec"] if workload["kind"] == "CronJob" else spec)["template"]
    return template


def pod_of(workload: Manifest) -> Manifest:
    """Return the pod's spec."""
    spec: Manifest = template_of(workload)["spec"]
    return spec


def labels_of(workload: Manifest) -> dict[str, str]:
    """Return the labels of the workload's pods."""
    labels: dict[str, str] = template_of(workload)["metadata"]["labels"]
    return labels


def container_of(workload: Manifest) -> Manifest:
    """Return the pod's only container."""
    container: Manifest
    (container,) = pod_of(workload)["containers"]
    return container


def ports_of(workload: Manifest) -> dict[str, int]:
    """Return the container's ports by name."""
    return {port["name"]: port["containerPort"] for port in container_of(workload).get("ports", [])}


def selects(selector: Manifest, labels: dict[str, str]) -> bool:
    """Return whether a label selector, empty meaning all, fits."""
    wanted = selector.get("matchLabels", {})
    choices = {each["key"]: each["values"] for each in selector.get("matchExpressions", [])}
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        labels.get(key) in values for key, values in choices.items()
    )
