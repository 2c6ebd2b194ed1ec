"""The version that served last, on disk: a process that starts while Postgres is away still knows what to load.

Called by   services/ranking/model_host.py
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class LastServed:
    """One small file."""

    path: Path

    def read(self) -> str | None:
        """Return the version, None when none ever served or the file is damaged."""
        try:
            version = json.loads(self.path.read_bytes())["version"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return version if isinstance(version, str) else None

    def write(self, version: str) -> None:
        """Remember a version; the file is whole at any moment. OSError when the disk refuses."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        temporary.write_text(json.dumps({"version": version}))
        temporary.replace(self.path)
