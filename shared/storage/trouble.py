"""Say in words why a store could not be read, for a log line and for /readyz: which setting to look at, and no secret.

Called by   shared/storage/live_catalogue.py, services/feature/ingest.py, services/ranking/registry.py
"""

from shared.storage.relational.engine import STORAGE_DOWN_ERRORS
from shared.storage.relational.schema_version import SchemaTooOldError

POSTGRES_AWAY = "Postgres cannot be reached (AISLE_DATABASE_URL)"
REDIS_AWAY = "Redis cannot be reached (AISLE_REDIS_STREAM_URL)"


def trouble_of(error: Exception) -> str:
    """Return what is wrong; any other error than those of Postgres is one of the stream server."""
    if isinstance(error, SchemaTooOldError):
        return str(error)
    return POSTGRES_AWAY if isinstance(error, STORAGE_DOWN_ERRORS) else REDIS_AWAY
