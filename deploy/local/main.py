"""The commands of the embedded stack: `python -m deploy.local up|down|status`.

Called by   hand, deploy/local/control.py (`up --foreground` is the supervisor); the `aisle` command registers the same
            functions
Errors      what we know is printed without a traceback, exit code 1; a wrong setting is named, exit code 2
"""

import sys
import time
from datetime import timedelta
from typing import Annotated

import typer

from deploy.local.control import STACK_ERRORS, down, not_ready, running_stack, supervise, up
from deploy.local.state_file import StateFile
from shared.service.settings import Settings

StoresOnly = Annotated[bool, typer.Option("--stores-only", help="Start Postgres and Valkey, none of the services")]
Foreground = Annotated[bool, typer.Option("--foreground", help="Supervise in this process, until a signal")]


def register(app: typer.Typer) -> None:
    """Add the three commands to an application."""
    app.command("up")(up_command)
    app.command("down")(down_command)
    app.command("status")(status_command)


def up_command(stores_only: StoresOnly = False, foreground: Foreground = False) -> None:
    """Start the stores and the services; return when everything answers."""
    settings = Settings.load()
    try:
        if foreground:
            supervise(settings, stores_only=stores_only)
            return
        _up_with_progress(settings, stores_only)
    except STACK_ERRORS as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None
    show_status(settings)


def down_command() -> None:
    """Stop the platform."""
    print("Stopped." if down(Settings.load()) else "Nothing was running.")


def status_command() -> None:
    """Show what runs; exit code 1 unless everything does."""
    if not show_status(Settings.load()):
        raise typer.Exit(1)


def show_status(settings: Settings) -> bool:
    """Print one line for each child; return whether everything that should run does."""
    from rich.console import Console  # only here: the supervisor lives long and prints nothing
    from rich.table import Table

    record = running_stack(StateFile(settings.home))
    if record is None:
        print(f"Nothing runs on {settings.home}.")
        return False
    table = Table("name", "pid", "port", "state", "uptime", "restarts")
    for child in record.children:
        alive = child.identity.is_alive()
        uptime = str(timedelta(seconds=int(time.time() - child.started_at_s))) if alive else "-"
        pid = str(child.identity.pid) if alive else "-"
        table.add_row(child.name, pid, str(child.port), child.state, uptime, str(child.restarts))
    Console().print(table, f"Logs: {settings.home / 'logs'}")
    return not not_ready(record, stores_only=not record.with_services)


def _up_with_progress(settings: Settings, stores_only: bool) -> None:
    from rich.console import Console

    with Console().status("starting") as shown:
        up(
            settings,
            stores_only=stores_only,
            report=lambda missing: shown.update(f"waiting for {', '.join(missing)}"),
        )


def main() -> None:
    """Run a command."""
    app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False)
    register(app)
    app()
