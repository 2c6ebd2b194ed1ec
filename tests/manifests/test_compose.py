"""The compose file: every secret required, every process bounded and confined, started in order of health."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.service.settings import PREFIX, Settings
from tests.manifests.cluster import ROOT

COMPOSE = ROOT / "docker-compose.yml"
SECRETS = {"POSTGRES_PASSWORD", "REDIS_PASSWORD", "AISLE_API_KEYS", "AISLE_INTERNAL_TOKEN", "GRAFANA_PASSWORD"}
OURS = {"migrations", "feature", "ingest", "ranking", "ranking-gpu", "training", "gateway"}


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"]
    return found


def _config(**changes: str | None) -> subprocess.CompletedProcess[str]:
    given = {**os.environ, **dict.fromkeys((*SECRETS, "ALERT_WEBHOOK_URL"), "x"), **changes}
    environment = {name: value for name, value in given.items() if value is not None}
    # It asks for podman's version before anything and gives up without one, though `config` starts nothing.
    command = [str(Path(sys.executable).parent / "podman-compose"), "--podman-path", "/bin/echo"]
    command += ["-f", str(COMPOSE), "config"]
    return subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, timeout=60, check=False)


def test_the_file_is_valid_with_all_secrets_and_names_the_one_that_is_missing() -> None:
    assert _config().returncode == 0
    refused = _config(REDIS_PASSWORD=None)
    assert refused.returncode != 0
    assert "REDIS_PASSWORD" in refused.stderr


def test_every_secret_is_required() -> None:
    assert {name for name, _ in re.findall(r"\$\{(\w+):\?(make [^}]+)\}", COMPOSE.read_text())} == SECRETS


def test_no_secret_has_a_default() -> None:
    defaults = re.findall(r"\$\{(\w+):?-", COMPOSE.read_text())
    assert set(defaults) == {"AISLE_TIMEZONE", "AISLE_LOG_LEVEL", "AISLE_REPOSITORY", "AISLE_TAG", "AISLE_BIND"}


def test_every_process_is_bounded_healthy_and_logs_within_limits(services: dict[str, Any]) -> None:
    for name, service in services.items():
        limits = service["deploy"]["resources"]["limits"]
        assert {"cpus", "memory"} <= set(limits), name
        assert service["logging"]["options"]["max-size"], name
        assert name in OURS or "healthcheck" in service, name


def test_our_processes_are_confined(services: dict[str, Any]) -> None:
    for name in OURS:
        service = services[name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_services_start_after_the_migrations_and_the_migrations_after_postgres(services: dict[str, Any]) -> None:
    for name in ("feature", "ingest", "ranking", "training"):
        assert services[name]["depends_on"]["migrations"] == {"condition": "service_completed_successfully"}
    assert services["migrations"]["depends_on"]["postgres"] == {"condition": "service_healthy"}


def test_every_variable_of_ours_is_a_setting_and_nothing_but_the_gateway_is_published(services: dict[str, Any]) -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    for name in OURS:
        assert set(services[name]["environment"]) <= known, name
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert set(published) == {"gateway", "prometheus", "alertmanager", "grafana"}
    assert all(
        port.startswith(("127.0.0.1:", "${AISLE_BIND:-127.0.0.1}:")) for ports in published.values() for port in ports
    )


def test_the_gateway_gets_no_database(services: dict[str, Any]) -> None:
    assert "AISLE_DATABASE_URL" not in services["gateway"]["environment"]


def test_only_the_profile_gpu_asks_for_a_gpu(services: dict[str, Any]) -> None:
    with_gpu = {name for name, service in services.items() if "reservations" in service["deploy"]["resources"]}
    assert with_gpu == {"ranking-gpu"}
    assert services["ranking-gpu"]["profiles"] == ["gpu"]


def test_the_same_store_images_run_in_compose_and_in_the_cluster(services: dict[str, Any]) -> None:
    in_cluster = {path.stem: path.read_text() for path in (ROOT / "k8s" / "components" / "stores").glob("*.yaml")}
    for store in ("postgres", "redis-stream", "redis-cache"):
        assert f"image: {services[store]['image']}\n" in in_cluster[store]
