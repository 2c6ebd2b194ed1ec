"""Bring the database of the settings up to date: `python -m deploy.migrations`.

Called by   deploy/local/control.py, as a process of its own: the supervisor shall not hold SQLAlchemy for ever
Creates     the database itself, too, if the server's other databases may be reached with the same user
Errors      an exit code, and the reason on stderr
"""

import sys

from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError

from deploy.migrations import migrate
from shared.service.settings import Settings
from shared.storage.relational.databases import ensure_database


def main() -> int:
    """Create what is missing; return the exit code."""
    url = make_url(Settings.load().database_url)
    try:
        if "--create" in sys.argv[1:]:
            ensure_database(url.set(database="postgres").render_as_string(hide_password=False), str(url.database))
        migrate(url.render_as_string(hide_password=False))
    except DBAPIError as error:
        print(f"the database could not be brought up to date: {error.orig}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
