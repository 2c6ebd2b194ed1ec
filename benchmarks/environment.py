"""Where a measurement was taken: machine, versions, commit. Every result file carries it.

Called by   every benchmark, when it writes its JSON
Copies      a source tree without its git repository (an archive sent to a GPU machine) is told its commit by
            AISLE_COMMIT, with "-dirty" behind it if the tree held changes
"""

import importlib.metadata
import os
import platform
import subprocess
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

LIBRARIES = (
    "fastapi",
    "uvicorn",
    "aiohttp",
    "orjson",
    "redis",
    "sqlalchemy",
    "numpy",
    "scipy",
    "scikit-learn",
    "onnxruntime",
    "torch",
)
ROOT = Path(__file__).resolve().parent.parent


def environment() -> dict[str, Any]:
    """Return machine, versions and commit; `dirty` says that the tree held changes that no commit has."""
    told = os.environ.get("AISLE_COMMIT", "")
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": told.removesuffix("-dirty") or _git("rev-parse", "--short=12", "HEAD"),
        "dirty": told.endswith("-dirty") if told else bool(_git("status", "--porcelain", "--untracked-files=no")),
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "libraries": _versions(),
    }


def _versions() -> dict[str, str]:
    """Return the versions of those that are installed: not every machine that measures serves."""
    found = {}
    for name in LIBRARIES:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()
