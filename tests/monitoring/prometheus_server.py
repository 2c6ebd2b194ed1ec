"""A real Prometheus on a port of its own, with the rules and jobs of the repository, scraping as often as a test needs.

Called by   tests/monitoring/test_running_platform.py
"""

import json
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from deploy.local.ports import free_port
from deploy.prometheus.build import FOLDER, as_yaml

CONFIG = FOLDER.parent / "prometheus.yml"


class PrometheusServer:
    """Started in a folder; stopped by the test that started it."""

    def __init__(self, folder: Path, targets: Mapping[str, str], rule_files: Mapping[str, str]) -> None:
        self._folder, self._port = folder, free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        config = yaml.safe_load(CONFIG.read_text())
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        del config["alerting"]
        for job in config["scrape_configs"]:
            # Only the addresses differ from those of the containers.
            job["static_configs"] = [{"targets": [targets[job["job_name"]]]}]
        (folder / "rules").mkdir(parents=True)
        (folder / "prometheus.yml").write_text(as_yaml(config))
        for name, text in rule_files.items():
            groups = [{**group, "interval": "1s"} for group in yaml.safe_load(text)["groups"]]
            (folder / "rules" / name).write_text(as_yaml({"groups": groups}))

    def start(self) -> None:
        """Start it."""
        command = ["prometheus", f"--config.file={self._folder / 'prometheus.yml'}", "--log.level=warn"]
        command += [f"--storage.tsdb.path={self._folder / 'data'}", f"--web.listen-address=127.0.0.1:{self._port}"]
        with (self._folder / "prometheus.log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=self._folder)

    def stop(self) -> None:
        """Stop it."""
        self._process.terminate()
        self._process.wait(20)

    def is_ready(self) -> bool:
        """Return whether it answers."""
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except urllib.error.URLError:
            return False

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """Return the labels and the value of each series, now."""
        found = self._get("query", query=expression)["result"]
        return [(series["metric"], float(series["value"][1])) for series in found]

    def rules(self) -> list[dict[str, Any]]:
        """Return every rule with its health."""
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def paging(self, *windows: str) -> set[str]:
        """Return the alerts that page now; those of a burn rate only if they watch one of the windows."""
        labels = [alert["labels"] for alert in self._get("alerts")["alerts"] if alert["state"] == "firing"]
        pages = [found for found in labels if found["severity"] == "page"]
        return {found["alertname"] for found in pages if "window" not in found or found["window"] in windows}

    def _get(self, path: str, **parameters: str) -> Any:
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]
