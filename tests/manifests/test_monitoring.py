"""Kubernetes monitors with the same rules, dashboards and names of jobs as compose."""

import json
import re
import runpy

import yaml

from tests.manifests.cluster import ROOT, Cluster, name_of

BRIDGE = ROOT / "k8s" / "components" / "monitoring" / "prometheus_rules.py"
PROMETHEUS = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())


def test_the_rules_in_the_cluster_are_those_of_prometheus() -> None:
    bridge = runpy.run_path(str(BRIDGE))
    assert bridge["TARGET"].read_text() == bridge["wrapped"](), "make manifests writes it anew"
    (rules,) = Cluster.of("prod").kind("PrometheusRule")
    alerts = [rule["alert"] for group in rules["spec"]["groups"] for rule in group["rules"] if "alert" in rule]
    assert len(alerts) > 10


def test_every_dashboard_is_in_the_cluster() -> None:
    files = {path.name for path in (ROOT / "deploy" / "grafana" / "dashboards").glob("*.json")}
    maps = [each for each in Cluster.of("prod").kind("ConfigMap") if name_of(each).startswith("dashboard-")]
    carried = {name: json.loads(text) for each in maps for name, text in each["data"].items()}
    assert set(carried) == files
    assert all(dashboard["panels"] for dashboard in carried.values())
    assert all(each["metadata"]["labels"]["grafana_dashboard"] == "1" for each in maps)


def test_every_service_is_scraped_once_and_on_a_port_it_has() -> None:
    cluster = Cluster.of("prod")
    scraped = []
    for monitor in cluster.kind("ServiceMonitor"):
        selector = monitor["spec"]["selector"]
        names = [value for each in selector.get("matchExpressions", []) for value in each["values"]]
        names += selector.get("matchLabels", {}).values()
        for name in names:
            ports = {port["name"] for port in cluster.get("Service", name)["spec"]["ports"]}
            assert {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]} <= ports
        scraped += names
    assert sorted(scraped) == ["feature", "gateway", "ingest", "ranking", "training"]


def test_compose_scrapes_the_ports_at_which_the_cluster_has_the_figures() -> None:
    jobs = {job["job_name"]: job["static_configs"][0]["targets"][0] for job in PROMETHEUS["scrape_configs"]}
    cluster = Cluster.of("prod")
    for job, target in jobs.items():
        name, port = re.fullmatch(r"aisle-(\w+) \1:(\d+)", f"{job} {target}").groups()  # type: ignore[union-attr]
        (figures,) = [each["port"] for each in cluster.get("Service", name)["spec"]["ports"]][-1:]
        assert int(port) == figures, name
