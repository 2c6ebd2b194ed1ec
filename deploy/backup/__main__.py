"""The commands: `python -m deploy.backup backup|verify|restore`.

Called by   hand, a nightly job (backup, then verify), a drill (restore)
Errors      BackupError: one line on stderr and exit code 1; a wrong setting is named, exit code 2
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from deploy.backup.backup import KEEP_DAYS, make_backup
from deploy.backup.errors import BackupError
from deploy.backup.restore import restore_backup
from deploy.backup.verify import verify_backup
from shared.service.settings import Settings

Folder = Annotated[Path, typer.Option(help="folder of all backups; may be a mounted volume or bucket")]
One = Annotated[Path, typer.Argument(help="one backup: a folder below that")]
Keep = Annotated[int, typer.Option(help="days after which a backup is deleted; erasures reach backups by this")]

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False)


@app.command()
def backup(out: Folder = Path("backups"), keep_days: Keep = KEEP_DAYS) -> None:
    """Dump Postgres and copy the models that serve and served before; old backups are deleted."""
    print(make_backup(Settings.load(), out, keep_days))


@app.command()
def verify(backup: One) -> None:
    """Restore into a server of its own and compare every table with what was dumped."""
    print(verify_backup(backup).summary)


@app.command()
def restore(backup: One) -> None:
    """Restore into the empty database of AISLE_DATABASE_URL, and the models into AISLE_BUNDLE_URL."""
    print(restore_backup(backup, Settings.load()))


def main() -> int:
    """Run a command."""
    try:
        app(standalone_mode=False)
    except BackupError as error:
        print(error, file=sys.stderr)
        return 1
    except typer.Exit as ended:
        return ended.exit_code
    except typer.Abort:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
