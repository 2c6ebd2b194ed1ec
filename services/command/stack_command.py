"""aisle up, down, status, migrate: the embedded stack, and the tables of a database of your own.

Called by   services/command/main.py
Exit code   0 done, 1 it could not be done (the reason is on stderr), 2 a wrong setting
"""

import sys

import typer

from deploy.local import main as local_stack


def register(app: typer.Typer) -> None:
    """Add the commands."""
    local_stack.register(app)
    app.command("migrate")(migrate)


def migrate() -> None:
    """Bring the tables of AISLE_DATABASE_URL up to date; `aisle up` does it by itself."""
    import subprocess

    raise typer.Exit(subprocess.run([sys.executable, "-m", "deploy.migrations"], check=False).returncode)
