"""The rules in the repository: written from their definitions, accepted and tested by promtool, each one explained."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.prometheus.build import FOLDER, rule_files
from deploy.prometheus.slos import BURNS, PROMISES

DEPLOY = FOLDER.parents[1]
RULES = sorted(str(path) for path in FOLDER.glob("*.yml"))
TESTS = sorted(FOLDER.parent.joinpath("tests").glob("*.yml"))

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian: prometheus) is missing")
needs_amtool = pytest.mark.skipif(
    shutil.which("amtool") is None, reason="amtool (Debian: prometheus-alertmanager) is missing"
)


def rules() -> list[dict[str, Any]]:
    groups = [group for text in rule_files().values() for group in yaml.safe_load(text)["groups"]]
    return [rule for group in groups for rule in group["rules"]]


def alert_names() -> set[str]:
    return {rule["alert"] for rule in rules() if "alert" in rule}


def checked(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_rule_files_are_those_that_the_definitions_make() -> None:
    assert {path.name: path.read_text() for path in FOLDER.glob("*.yml")} == rule_files()


def test_every_alert_has_a_runbook_that_its_annotation_names_and_no_runbook_is_left_over() -> None:
    named = {rule["alert"]: rule["annotations"]["runbook"] for rule in rules() if "alert" in rule}
    assert named == {name: f"deploy/runbooks/{name}.md" for name in named}
    assert {path.stem for path in (DEPLOY / "runbooks").glob("*.md")} == set(named)


def test_every_alert_has_a_unit_test() -> None:
    tested = set(re.findall(r"alertname[=:] ?\"?(\w+)", "".join(path.read_text() for path in TESTS)))
    assert tested == alert_names()


def test_only_broken_promises_page() -> None:
    paging = {rule["alert"] for rule in rules() if rule.get("labels", {}).get("severity") == "page"}
    no_budget = {"GatewayUnreachable", "EventsLost", "EventsNotStored", "RequestsFailedInModelChange", "ErasureFailed"}
    assert paging == {promise.alert for promise in PROMISES} | no_budget


def test_a_page_uses_the_share_of_the_budget_that_its_windows_say() -> None:
    hours = {"1h": 1, "6h": 6, "1d": 24, "3d": 72}
    shares = [burn.rate * hours[burn.long] / (30 * 24) for burn in BURNS]
    assert shares == pytest.approx([0.02, 0.05, 0.10, 0.10])


@needs_promtool
def test_promtool_accepts_the_configuration_and_the_rules() -> None:
    checked("promtool", "check", "config", str(FOLDER.parent / "prometheus.yml"))
    checked("promtool", "check", "rules", *RULES)


@needs_promtool
def test_promtool_passes_the_unit_tests_of_the_alerts() -> None:
    checked("promtool", "test", "rules", *map(str, TESTS))


@needs_amtool
def test_amtool_accepts_the_routes(tmp_path: Path) -> None:
    text = (DEPLOY / "alertmanager" / "alertmanager.yml").read_text()
    # Alertmanager reads the address from a file since 0.26; Debian's amtool is older and checks all else.
    assert text.count("url_file: /etc/alertmanager/receiver_url") == 1
    older = tmp_path / "alertmanager.yml"
    older.write_text(text.replace("url_file: /etc/alertmanager/receiver_url", "url: http://127.0.0.1:9/"))
    checked("amtool", "check-config", str(older))
    for severity in ("page", "ticket", "none"):
        checked(
            "amtool",
            "config",
            "routes",
            "test",
            f"--config.file={older}",
            "--verify.receivers=webhook",
            f"severity={severity}",
        )
