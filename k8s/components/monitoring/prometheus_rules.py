"""Wrap the rules of deploy/prometheus into the object that the Prometheus operator reads.

Called by   make manifests; tests/manifests/test_monitoring.py proves that what is committed is what this writes
In          deploy/prometheus/rules/*.yml
Out         prometheus-rules.yaml beside this file; Kustomize itself cannot wrap a file
"""

from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
RULES = HERE.parents[2] / "deploy" / "prometheus" / "rules"
TARGET = HERE / "prometheus-rules.yaml"
HEAD = (
    "# Written by k8s/components/monitoring/prometheus_rules.py from deploy/prometheus/rules: change the rules there.\n"
)


def wrapped() -> str:
    """Return the text of the object."""
    groups = [group for path in sorted(RULES.glob("*.yml")) for group in yaml.safe_load(path.read_text())["groups"]]
    rules = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "aisle"},
        "spec": {"groups": groups},
    }
    return HEAD + yaml.safe_dump(rules, sort_keys=False, width=120)


if __name__ == "__main__":
    TARGET.write_text(wrapped())
