"""A Redis-compatible server of our own in one folder: Valkey from a wheel, else valkey-server or redis-server on PATH.

Called by   deploy/local/main.py (the stack), tests/conftest.py (throw-away servers)
Roles       STREAM keeps events until they are in Postgres: every write is on disk before it is answered, nothing is
            evicted, and when memory is full it refuses. CACHE holds only copies: it may lose everything and evicts
            what is old
Out         `ValkeyServer.url`; the server listens on 127.0.0.1 only and wants a generated password
Errors      StoreFailedError with the end of the server's log
"""

import os
import secrets
import signal
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

from deploy.local import programs
from deploy.local.child import Launch, launch, stop, tail
from deploy.local.child import wait_until as wait_until_ready
from deploy.local.files import write_private
from deploy.local.ports import LOOPBACK
from deploy.local.postgres import StoreFailedError

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0
PROBE_TIMEOUT_S = 1.0

STREAM = {
    "appendonly": "yes",
    "appendfsync": "always",
    "maxmemory": "1gb",
    "maxmemory-policy": "noeviction",
}
CACHE = {
    "appendonly": "no",
    "maxmemory": "256mb",
    "maxmemory-policy": "allkeys-lru",
}
COMMON = {
    "bind": LOOPBACK,
    "protected-mode": "yes",
    "daemonize": "no",
    "logfile": '""',
    "loglevel": "notice",
    "save": '""',
    "enable-debug-command": "no",
    "tcp-keepalive": "60",
}


class ValkeyServer:
    """One server; started and stopped by its owner, stopped by the kernel when its owner dies."""

    def __init__(self, name: str, home: Path, port: int, role: Mapping[str, str]) -> None:
        self.name = name
        self.port = port
        self._folder = home / name
        self._log_path = home / "logs" / f"{name}.log"
        self._role = dict(role)
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL for redis-py."""
        return f"redis://:{self._password()}@{LOOPBACK}:{self.port}/0"

    def start(self) -> None:
        """Start the server and wait until it answers, its log of writes replayed."""
        wanted = self.prepare()
        self._child = launch(wanted)
        if not wait_until_ready(self.is_ready, self._child, START_TIMEOUT_S):
            self.stop()
            raise StoreFailedError(f"{self.name} did not start; the end of {wanted.log_path}:\n{tail(wanted.log_path)}")

    def stop(self) -> None:
        """Stop the server; with an append-only file nothing is lost."""
        if self._child is not None:
            stop(self._child, signal.SIGTERM, STOP_TIMEOUT_S)
            self._child = None

    def prepare(self) -> Launch:
        """Write the configuration; return how to start the server."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        settings = COMMON | self._role | {"port": str(self.port), "dir": f'"{self._folder}"'}
        settings["requirepass"] = self._password()
        config_path = self._folder / "valkey.conf"
        # In a file and not on the command line: everybody may read the arguments of a process.
        write_private(config_path, "".join(f"{key} {value}\n" for key, value in settings.items()))
        return Launch(
            command=[str(programs.redis_server()), str(config_path)],
            log_path=self._log_path,
            cwd=self._folder,
            env={"PATH": os.defpath, "LC_ALL": "C"},
            death_signal=signal.SIGTERM,
        )

    def is_ready(self) -> bool:
        """Return whether the server lets us in and has loaded its file."""
        try:
            with socket.create_connection((LOOPBACK, self.port), PROBE_TIMEOUT_S) as connection:
                connection.settimeout(PROBE_TIMEOUT_S)
                connection.sendall(f"AUTH {self._password()}\r\nPING\r\nQUIT\r\n".encode())
                return b"+PONG" in b"".join(iter(lambda: connection.recv(256), b""))
        except OSError:
            return False

    def _password(self) -> str:
        path = self._folder / "password"
        if not path.exists():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_private(path, secrets.token_urlsafe(24))
        return path.read_text()
