"""Every Dockerfile: a pinned base by argument, two stages, no root, one process, its own code and extra only."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("gateway", "feature", "ranking", "training")
EXTRAS = {"gateway": ".", "feature": "'.[relational]'", "ranking": '".[${EXTRA}]"', "training": "'.[training]'"}


def _dockerfile(service: str) -> str:
    return (ROOT / "deploy" / "docker" / service / "Dockerfile").read_text()


@pytest.mark.parametrize("service", SERVICES)
def test_the_image_is_small_pinned_and_not_root(service: str) -> None:
    text = _dockerfile(service)
    last_stage = text[text.rindex("\nFROM ") :]
    assert re.search(r"^ARG BASE=python:3\.\d+\.\d+-slim-\w+$", text, re.MULTILINE)
    assert "-c constraints.txt" in text
    assert "pip install" not in last_stage
    assert re.search(r"^USER [1-9]\d{3,}:[1-9]\d{3,}$", last_stage, re.MULTILINE)
    assert "HEALTHCHECK" in last_stage
    assert "org.opencontainers.image.revision" in last_stage
    assert len(re.findall(r"^CMD \[", last_stage, re.MULTILINE)) == 1


@pytest.mark.parametrize("service", SERVICES)
def test_the_image_holds_its_own_code_and_extra_only(service: str) -> None:
    text = _dockerfile(service)
    assert f"-c constraints.txt {EXTRAS[service]} " in text
    copied = set(re.findall(r"^COPY (services/\w+) ", text, re.MULTILINE))
    assert copied == {f"services/{service}"} | ({"services/command"} if service == "training" else set())


@pytest.mark.parametrize("service", ["gateway", "feature", "ranking"])
def test_serving_imports_nothing_that_its_image_lacks(service: str) -> None:
    absent = {"gateway": ["torch", "sqlalchemy", "psycopg2", "scipy", "onnxruntime"], "feature": ["torch", "scipy"]}
    blocked = [*absent.get(service, ["torch", "pandas"]), "typer", "rich", "yaml", "pytest"]
    program = f"import sys; sys.modules.update(dict.fromkeys({blocked})); import services.{service}.main"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=60)


def test_the_build_context_holds_neither_secrets_nor_results() -> None:
    rules = Path(ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in rules
    assert {rule[1:].split("/")[0] for rule in rules if rule.startswith("!")} == {
        "pyproject.toml",
        "constraints.txt",
        "shared",
        "services",
        "deploy",
    }
