"""The whole platform as real processes: `aisle up` in a home of its own, the tiny shop inside, asked over HTTP.

Called by   tests/e2e, tests/monitoring, tests/security, tests/fuzz
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

from deploy.local.addresses import TOKEN_SETTING, read_addresses
from deploy.local.ports import free_port
from deploy.local.state_file import ChildRecord, StateFile
from shared.contracts.access import TOKEN_HEADER
from tests.running_shop import RunningShop, until

SERVICES = ("GATEWAY", "FEATURE", "RANKING", "TRAINING")


class Platform(RunningShop):
    """One home and what runs on it."""

    def __init__(self, home: Path) -> None:
        super().__init__(home, {name.lower(): f"http://127.0.0.1:{free_port()}" for name in SERVICES})
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AISLE_")},
            **{f"AISLE_{name.upper()}_URL": url for name, url in self.urls.items()},
            "AISLE_HOME": str(home),
            "AISLE_INGEST_PORT": str(free_port()),
            # The tests share two cores with everything else that runs; what is tested here is behaviour, not speed.
            "AISLE_DEADLINE_MS": "3000",
            "AISLE_FEATURE_TIMEOUT_MS": "1000",
            "AISLE_RANKING_TIMEOUT_MS": "1500",
            "AISLE_CACHE_TIMEOUT_MS": "500",
            "AISLE_LISTS_REFRESH_S": "2",
            "AISLE_LISTS_POLL_S": "1",
        }

    @property
    def database_url(self) -> str:
        """Where this home's Postgres is."""
        return read_addresses(self.home)["database_url"]

    def aisle(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run an aisle command and return how it ended."""
        command = [sys.executable, "-m", "services.command.main", *arguments]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=240, check=False)

    def open_shop(self) -> str:
        """Start everything with the tiny shop and a model that serves; return the model's version."""
        started = self.aisle("up")
        assert started.returncode == 0, started.stdout + started.stderr
        self.fill_catalogue()
        version = self.publish(seed=0)
        until(lambda: self.serves(version))
        return version

    def _credentials(self) -> dict[str, str]:
        """Return what the services of this home ask of each other, and what a test gave; the gateway heeds its own."""
        return {TOKEN_HEADER: read_addresses(self.home).get(TOKEN_SETTING, ""), **self.credentials}

    def child(self, name: str) -> ChildRecord:
        """Return how one process stands."""
        record = StateFile(self.home).read()
        assert record is not None
        return next(child for child in record.children if child.name == name)

    def kill(self, name: str) -> None:
        """End one process at once; the supervisor will start it again."""
        os.kill(self.child(name).identity.pid, signal.SIGKILL)
