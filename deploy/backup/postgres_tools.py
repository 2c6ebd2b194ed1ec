"""Run pg_dump and pg_restore against a database: those of the embedded wheel, else of PATH.

Called by   backup.py, restore.py
In          the URL of AISLE_DATABASE_URL; the password goes by the environment, where no list of processes shows it
Errors      BackupError with what the program said
"""

import os
import subprocess

from sqlalchemy import make_url

from deploy.backup.errors import BackupError
from deploy.local.programs import ProgramMissingError, postgres_programs


def run_tool(name: str, database_url: str, *arguments: str) -> None:
    """Run one program of Postgres on a database."""
    url = make_url(database_url)
    try:
        program = postgres_programs() / name
    except ProgramMissingError as error:
        raise BackupError(str(error)) from None
    connection = {"PGHOST": url.host, "PGPORT": url.port, "PGUSER": url.username, "PGPASSWORD": url.password}
    environment = {**os.environ, **{key: str(value) for key, value in connection.items() if value is not None}}
    command = [str(program), f"--dbname={url.database}", "--no-password", *arguments]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    except OSError as error:
        raise BackupError(f"{name} does not run here: {error.strerror}") from None
    if done.returncode != 0:
        raise BackupError(f"{name} ended with {done.returncode}: {done.stderr.strip()[-600:]}")
