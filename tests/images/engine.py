"""Run images of `make images` with podman; what is missing is the reason for a skipped test.

Called by   tests/images
Errors      AssertionError with the engine's words
Without     systemd (a container, a CI runner): podman needs the settings of deploy/docker/containers.conf
"""

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
REPOSITORY = "localhost/aisle"
TAG = "dev"


def _environment() -> dict[str, str]:
    if Path("/run/systemd/system").is_dir():
        return dict(os.environ)
    return {"CONTAINERS_CONF": str(ROOT / "deploy" / "docker" / "containers.conf")} | os.environ


def podman(*arguments: str, check: bool = True) -> str:
    """Run a command of podman; return what it prints."""
    run = subprocess.run(
        ["podman", *arguments], env=_environment(), capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode == 0 or not check, run.stderr
    return run.stdout


@cache
def _is_built(image: str) -> bool:
    command = ["podman", "image", "exists", image]
    return subprocess.run(command, env=_environment(), timeout=60, check=False).returncode == 0


def built(service: str) -> str:
    """Return the name of a service's image; the test is skipped where there is none."""
    if shutil.which("podman") is None:
        pytest.skip("podman is not installed")
    image = f"{REPOSITORY}/{service}:{TAG}"
    if not _is_built(image):
        pytest.skip(f"no image {image}: make images builds it")
    return image
